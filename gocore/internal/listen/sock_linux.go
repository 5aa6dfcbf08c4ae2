// What netconn.go asks of a socket, on Linux.
package listen

import "golang.org/x/sys/unix"

const sendFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL

func prepare(int) {}
