//go:build !linux

package worker

// peakMemory is the largest resident set so far, in bytes.
func peakMemory() (int64, error) {
	u, err := usage()
	return u.Maxrss, err
}
