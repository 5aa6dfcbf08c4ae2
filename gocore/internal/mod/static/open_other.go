//go:build !unix

// This file stands in on systems without O_NONBLOCK and O_NOFOLLOW.

package static

import "os"

const nonBlock, noFollow = 0, 0

func inodeOf(os.FileInfo) uint64 { return 0 }
