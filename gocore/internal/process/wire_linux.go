// Linux can make sockets close-on-exec in the same system call.
package process

import "golang.org/x/sys/unix"

const sockCloexec = unix.SOCK_CLOEXEC
