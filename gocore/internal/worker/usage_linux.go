package worker

// peakMemory is the largest resident set so far; Linux counts in KiB.
func peakMemory() (int64, error) {
	u, err := usage()
	return u.Maxrss << 10, err
}
