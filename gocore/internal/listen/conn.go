// What both sources of requests share: a connection, the settings of a source,
// and sizes. The sources are the reactor (Linux, see reactor_linux.go) and the
// goroutines of netconn.go.
package listen

import (
	"crypto/tls"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"modwsgi/gocore/internal/balance"
	"modwsgi/gocore/internal/http1"
)

// Sizes, in bytes.
const (
	inStart   = 16 << 10 // first buffer: head limits of Apache fit
	outStart  = 4 << 10
	inKeep    = 256 << 10 // a buffer above is returned to the system after use
	bufferMax = 1 << 20   // bodies up to this are complete before a thread is involved
	keepReqs  = 512       // up to so many connections keep their buffers while idle
)

// lingerTime is how long a closing connection is still read from, as Apache's
// SECONDS_TO_LINGER, so that a reset does not destroy the response.
const lingerTime = 2 * time.Second

type phase uint8

const (
	phIdle   phase = iota // between requests
	phHead                // part of a head is there
	phBody                // head routed, body incomplete
	phWrite               // response waits for the socket
	phLinger              // closing: discard what still comes
	phRun                 // in the application or its queue
	phDecide              // where Decide runs, or on the way there
)

// Conn is one client connection. Fields are its owner's (see the states above)
// except the atomics.
type Conn struct {
	FD            int
	ID            uint64
	Local, Remote netip.AddrPort
	Settings      *Settings
	User          any    // the handler's own, per connection
	Tag           any    // the handler's own, per request
	Requests      int    // complete requests so far
	Parts         []Part // what follows the output buffer and the file part
	ProxyHeader   bool   // set by Open: a PROXY header comes before the first request
	Borrowed      bool   // FileFD belongs to the Handler until Done: the source does not close it
	// TLS is set by Open where clients speak TLS first. Secure is how that ended,
	// before the first Route; nil: this connection, or at least its first byte,
	// is in clear text. SecureNote is the handler's own, and goes with the
	// connection to another process. See SecureHandler.
	TLS        *tls.Config
	Secure     *tls.ConnectionState
	SecureNote string
	// Stream is set by Route together with the action Streamed.
	Stream func(s *Stream)

	state     atomic.Uint32
	deadline  atomic.Int64 // reactor clock; 0 none
	expired   atomic.Bool
	hup       atomic.Bool  // the peer's end of data is known: read until it shows
	hupUs     atomic.Int64 // since when, Unix time; 0: it is not, or was never looked for
	req       *Req
	before    []byte // the PROXY header that was taken
	phase     phase
	drained   bool // the socket had no more bytes at the last read
	eof       bool
	routed    bool
	action    Action
	continued bool
	bodyEnd   uint64 // raw end of a body that is complete in the buffer
	scan      http1.ChunkDecoder
	scanned   uint64
	progress  http1.Progress
	started   int64 // reactor clock when the stage, head or body, began
	closing   bool  // close after the pending output
	unread    bool  // closing with request bytes unread: linger
	memo      *http1.Memo
	streamed  int64 // bytes of the request that a stream received
	adopted   int64 // reactor clock when it came from another process; 0 it was accepted here
	stream    atomic.Pointer[Stream]
	away      atomic.Pointer[Away]
	resumed   chan Action // of netconn.go: what Resume was told
	home      home
	hop       *Hop // not nil: a request from a front process; no descriptor
	wire      wire // not nil: what is received and sent passes it; FD is its socket
	wireID    uint32
	last      bool                   // another process has the keys: it stays for one more request at most
	h2        atomic.Pointer[h2Conn] // not nil: it speaks HTTP/2, and its requests are those of its streams
	h2s       *h2Stream              // not nil: it is a stream of HTTP/2; no descriptor
	h2id      uint32                 // the number of the stream that another process has; 0 none
	limits    *http1.Limits          // not nil: instead of those in Settings
}

// Config of a source of requests.
type Config struct {
	Handler     Handler
	Memory      Memory
	Listeners   []*os.File // non-blocking listening sockets
	Threads     int        // Python threads, at least 1
	Track       func(fd int, open bool)
	ThreadStart func(thread int) error // run once on each Python thread
	ThreadEnd   func()                 // the last that a Python thread does, after Stop; nil: nothing
	// Ready is called once, by Start, when every Python thread is ready and before
	// a connection is accepted; its error is Start's. nil: nobody wants to know.
	Ready func() error
	// Leaders is how many threads may serve short requests at the same time: more
	// than one only makes sense where the interpreter has no global lock. Linux.
	Leaders int
	// QueueTimeout answers requests with 504 that wait longer than that for a
	// Python thread; 0: they wait for ever.
	QueueTimeout time.Duration
	// FlushDelay is how long a streamed response waits for more output before
	// what is there is sent; 0: no longer than it takes to notice.
	FlushDelay time.Duration
	// Siblings are the processes that accept from the same sockets, and Share
	// gives a connection, with what was read from it, to number to of them; false:
	// impossible. The descriptor stays the caller's to close. nil: there are none.
	Siblings *balance.Member
	Share    func(fd int, pending []byte, to int) bool
	// Exhausted reports that a connection could not be accepted for lack of
	// descriptors or memory: the number of those that are open. Called once,
	// until there was no such error for a while; any thread; nil: nobody listens.
	Exhausted func(err error, connections int)
	// Panic reports a panic of the Handler: the value and the stack. The request
	// is answered with 500 if nothing was sent, the connection closed. c is nil
	// when it happened outside a connection. Any thread; nil: nobody listens.
	Panic func(c *Conn, value any, stack []byte)
	Hop   *HopConfig // nil: no front processes
}

// Source accepts connections and serves their requests. All methods are safe
// from any goroutine.
type Source interface {
	// Start waits until every Python thread is ready, then begins to accept.
	Start() error
	// Drain stops accepting. Idle connections are handed to the successor when
	// handoff is set, else closed; busy ones follow after their response.
	Drain(handoff bool)
	// Done is closed when a drained source has no connection left.
	Done() <-chan struct{}
	// Adopt takes over a connection from another process with bytes it had
	// read. The descriptor is the source's from now on, also after an error.
	Adopt(fd int, pending []byte) error
	// Connections is the number of open connections.
	Connections() int
	// Running is the number of requests that are inside the application or
	// wait for a thread.
	Running() int
	// Stop ends all threads as soon as they are out of the application.
	Stop()
}

// SetAway tells who wants to know that the client of a forwarded request is
// gone; nil: nobody any more. The owner's.
func (c *Conn) SetAway(a *Away) { c.away.Store(a) }

// Message is the current request's head and its body, complete and with its
// framing, as received. For the owner, in Forward.
func (c *Conn) Message() (head, body []byte) {
	q := c.req
	return q.Input()[:q.BodyOff], q.Input()[q.BodyOff:max(c.bodyEnd, q.BodyOff)]
}

// BytesIn is the size of the current request as received so far, head and
// framing of the body included. For the owner, from Route to Done.
func (c *Conn) BytesIn() int64 {
	q := c.req
	switch {
	case q.BodyOff == 0: // no usable head
		return int64(q.InLen)
	case q.Head.Flags&http1.FlagContentLength != 0 && q.StreamLeft+int64(q.BodyLen) > 0:
		return int64(q.BodyOff) + q.Head.ContentLength - q.StreamLeft
	case c.bodyEnd > 0:
		return int64(c.bodyEnd) + c.streamed
	}
	return int64(q.InLen)
}
