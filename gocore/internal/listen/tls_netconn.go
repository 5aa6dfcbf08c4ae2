//go:build linux || darwin || freebsd

// Encrypted connections that have a goroutine each. It has the socket aside
// (tls.go), but while a Python thread works for the request.
package listen

import "errors"

// handshake makes the connection an encrypted one; false: it is finished.
func (n *netConn) handshake() bool {
	s, c := n.s, n.Conn
	w := newSecure(c, c.takeInput())
	c.deadline.Store(0)
	n.setBusy(true)
	s.aside.Add(1)
	c.connect(w)
	err := w.begin(n.tcp, s.h)
	s.aside.Add(-1)
	if err != nil {
		return false
	}
	if c.Secure.NegotiatedProtocol == alpnH2 {
		n.setBusy(false)
		return n.serveH2(nil)
	}
	w.aside = n.tcp
	s.mu.Lock()
	n.nc, n.busy = &tlsSocket{w.tls, n.tcp}, false
	s.mu.Unlock()
	c.phase = phIdle
	c.stage(s.now(), c.Settings.Header)
	return true
}

// stays is the reactor's of the same name.
func (n *netConn) stays() bool {
	return n.wire != nil && n.s.handoff.Load() && n.s.draining.Load()
}

// sendWire sends the whole response, in pieces that have Timeout each.
func (n *netConn) sendWire() {
	q := n.req
	if w, ok := n.wire.(*secure); ok {
		n.writeDeadline()
		if w.settle() != nil {
			q.Aborted = 1
		}
	}
	for q.Aborted == 0 {
		n.writeDeadline()
		sent, err := n.feed(&n.s.mem)
		if x, ok := n.nc.(*h2Socket); ok && errors.Is(err, errAgain) {
			if x.await() == nil {
				continue
			}
		}
		if err != nil {
			q.Aborted = 1
		}
		if sent == 0 {
			return
		}
	}
}
