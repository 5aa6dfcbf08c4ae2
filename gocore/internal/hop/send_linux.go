// On Linux a process that is gone is an error, and no signal, whatever an
// application has set SIGPIPE to.
package hop

import "golang.org/x/sys/unix"

func send(fd int, b []byte) (int, error) {
	return unix.SendmsgN(fd, b, nil, nil, unix.MSG_NOSIGNAL)
}
