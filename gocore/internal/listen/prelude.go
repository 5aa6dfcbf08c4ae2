// The PROXY protocol (RemoteIPProxyProtocol): a header before the first request
// that says who the client is. It is read once per connection, where the
// Handler asks for it, and goes first when the connection is handed over
// (passport.go).
package listen

import (
	"slices"

	"modwsgi/gocore/internal/proxyproto"
)

// ProxyReporter is a Handler that wants to know of connections that were closed
// because their PROXY header is missing or wrong. Called on the leader's thread.
type ProxyReporter interface {
	BadProxy(c *Conn, err error)
}

type prelude int

const (
	preludeDone prelude = iota
	preludeMore
	preludeBad
)

// takeProxy takes the header off the received bytes. For the owner, while
// c.ProxyHeader is set.
func (c *Conn) takeProxy(h Handler) prelude {
	q := c.req
	client, n, err := proxyproto.Parse(q.Input())
	if err != nil {
		if p, ok := h.(ProxyReporter); ok {
			p.BadProxy(c, err)
		}
		return preludeBad
	}
	if n == 0 {
		return preludeMore
	}
	c.ProxyHeader = false
	c.before = slices.Clone(q.Input()[:n])
	if client.IsValid() {
		c.Remote = client
		setAddr(&q.Remote, &q.RemotePort, client)
	}
	b := q.inBuf()
	q.InLen = uint64(copy(b, b[n:q.InLen]))
	return preludeDone
}
