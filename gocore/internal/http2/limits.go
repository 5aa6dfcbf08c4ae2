// What a client can make us do without asking for anything is bounded here:
// streams that are opened and given up at once (CVE-2023-44487), frames that
// carry nothing (CVE-2019-9518), questions that we have to answer
// (CVE-2019-9512, 9515), windows so small that a response leaves byte by byte
// (CVE-2019-9511, 9517). A connection that goes too far ends with
// ENHANCE_YOUR_CALM; requests that are in progress end with it.
//
// Header blocks are bounded in header.go and receive.go (CONTINUATION), streams
// by SETTINGS_MAX_CONCURRENT_STREAMS, where a stream that the client gave up
// counts until its request is over here, bodies by the streams' windows, and
// output by outMax and by what reading waits for (Conn.Full).
package http2

import "time"

// Bounds. A bucket holds its burst at first and gets its rate per second.
const (
	maxContinuations = 16
	cancelRate       = 20  // streams reset by the client, beyond those that were served
	answerBurst      = 200 // SETTINGS and PING
	answerRate       = 50
	brokenBurst      = 50 // errors that end one stream
	brokenRate       = 5
	dribbleBurst     = 2000 // DATA frames that a window kept below dribbleSize
	dribbleRate      = 200
	dribbleSize      = 64
	controlMax       = 512 << 10 // bytes of output that wait: whoever asks on and reads nothing
	floodSlack       = 1 << 20   // bytes received beyond eight times the useful ones
)

// bucket is a budget that refills.
type bucket struct {
	tokens, burst, rate float64
	at                  time.Time
}

// take takes a token; false: there is none.
func (b *bucket) take(now time.Time) bool {
	if !b.at.IsZero() {
		b.tokens = min(b.burst, b.tokens+now.Sub(b.at).Seconds()*b.rate)
	}
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// earn puts n tokens in.
func (b *bucket) earn(n float64) { b.tokens = min(b.burst, b.tokens+n) }

// limits of one connection. Under Conn.mu.
type limits struct {
	now                                 func() time.Time
	cancels, answers, breaches, dribble bucket
	total, good                         int64 // bytes received; those of bodies and heads
}

func (l *limits) init(c *Config) {
	l.now = c.Now
	full := func(burst, rate float64) bucket { return bucket{tokens: burst, burst: burst, rate: rate} }
	l.cancels = full(float64(2*c.MaxStreams), cancelRate)
	l.answers = full(answerBurst, answerRate)
	l.breaches = full(brokenBurst, brokenRate)
	l.dribble = full(dribbleBurst, dribbleRate)
}

func calm(why string) *Error { return &Error{EnhanceYourCalm, why} }

// frame counts a frame that came.
func (l *limits) frame(n int) *Error {
	if l.total += int64(n); l.total > 8*l.good+floodSlack {
		return calm("too many frames that carry nothing")
	}
	return nil
}

// useful counts bytes that a request is made of, served a response.
func (l *limits) useful(n int) { l.good += int64(n) }

func (l *limits) servedOne() {
	l.cancels.earn(1)
	l.good += 64 // its WINDOW_UPDATEs
}

// sentData counts DATA that was sent: some clients measure the way with a PING for it.
func (l *limits) sentData(n int) {
	l.answers.earn(1)
	l.good += int64(n) / 8
}

// cancelled counts a stream that the client reset, or opened above the limit.
func (l *limits) cancelled() *Error {
	if !l.cancels.take(l.now()) {
		return calm("too many streams are reset")
	}
	return nil
}

// answered counts a question; waiting is how much output there is.
func (l *limits) answered(waiting int) *Error {
	if waiting > controlMax || !l.answers.take(l.now()) {
		return calm("too many SETTINGS or PING frames")
	}
	return nil
}

// broken counts an error that ended a stream.
func (l *limits) broken() *Error {
	if !l.breaches.take(l.now()) {
		return calm("too many frames that break the rules")
	}
	return nil
}

// idle is for frames that mean nothing now; their bytes are counted.
func (l *limits) idle() *Error { return nil }

// dribbled counts DATA that had to be small; false: too many.
func (l *limits) dribbled() bool { return l.dribble.take(l.now()) }
