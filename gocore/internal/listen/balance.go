// Times and sizes of sharing work with the processes that accept from the same
// sockets, the same for both sources: balance_linux.go, balance_net.go.
package listen

import "time"

const (
	settleTime  = 2 * time.Second        // a connection that came from another process stays so long, unless its request has to wait
	levelGap    = 250 * time.Millisecond // between two looks at the shares where there is no janitor
	levelAtOnce = 32                     // connections that leave in one go; a quarter of the excess if that is more
	waitsLong   = time.Millisecond       // a request that has waited so long may be somebody else's
	sharedMax   = 64 << 10               // bytes of a waiting request; a larger one stays, so that the monitor is not held up
)
