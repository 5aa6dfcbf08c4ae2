// This file gives the kernel's thread id, what %{tid}P prints.

package logconfig

import "syscall"

func threadID() int { return syscall.Gettid() }
