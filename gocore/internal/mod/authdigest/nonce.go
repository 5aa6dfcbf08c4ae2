// This file makes nonces and judges those that come back.
//
//	nonce = base64url( time, 8 bytes | random, 8 bytes | MAC, 16 bytes )
//
// The MAC covers time, random bytes and realm, with a key that all processes
// of the server share, so that no nonce has to be remembered. With
// AuthDigestNcCheck, or nonces for one request, counts have to be: then the key
// is the process's own, and a client that comes to another process is told that
// its nonce is stale and gets one of that process, without asking the user.

package authdigest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"sync"
	"time"

	"modwsgi/gocore/internal/httpd"
)

const (
	macLen   = 16
	nonceLen = 8 + 8 + macLen
	// nonceSize is what a nonce and its counts take in memory, in bytes;
	// defaultNonces of them are remembered, minNonces at least.
	nonceSize, defaultNonces, minNonces = 128, 4096, 16

	window = 64 // counts may come out of order by so much: parallel connections
	// clockSkew is how far in the future a nonce may lie: none is, but clocks jump.
	clockSkew = 2 * time.Second
)

var ownKey = sync.OnceValue(func() (k [32]byte) {
	if _, err := rand.Read(k[:]); err != nil {
		panic(err) // the system has no random numbers: nothing may be trusted
	}
	return k
})

func (c *Config) remembered() bool { return c.counted || c.once() }

func mac(r *httpd.Request, c *Config, head []byte, realm string) []byte {
	key := r.Host.Server().Key("digest nonce")
	if c.remembered() {
		key = ownKey()
	}
	h := hmac.New(sha256.New, key[:])
	h.Write(head)
	h.Write([]byte(realm))
	return h.Sum(nil)[:macLen]
}

func newNonce(r *httpd.Request, c *Config, realm string, now time.Time) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, nonceLen), uint64(now.UnixNano()))
	b = b[:16]
	if _, err := rand.Read(b[8:]); err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(append(b, mac(r, c, b, realm)...))
}

// opaque is the same for a realm; it has no meaning but that it comes back.
func opaque(r *httpd.Request, realm string) string {
	key := r.Host.Server().Key("digest opaque")
	h := hmac.New(sha256.New, key[:])
	h.Write([]byte(realm))
	return hex.EncodeToString(h.Sum(nil)[:8])
}

type verdict int

const (
	nonceGood  verdict = iota
	nonceStale         // not ours any more: ask again with stale=true
	nonceUsed          // this count came before
)

// judge is called when the digest is right. A request and what is made from it
// inside the server count once.
func judge(r *httpd.Request, c *Config, h *header, realm string) (age time.Duration, v verdict) {
	now := time.Now()
	b, err := base64.RawURLEncoding.DecodeString(h.nonce)
	if err != nil || len(b) != nonceLen || !hmac.Equal(b[16:], mac(r, c, b[:16], realm)) {
		return 0, nonceStale
	}
	issued := int64(binary.BigEndian.Uint64(b))
	age = time.Duration(now.UnixNano() - issued)
	if age < -clockSkew || c.lifetime > 0 && age > c.lifetime {
		return age, nonceStale
	}
	if !c.remembered() {
		return age, nonceGood
	}
	type key struct{ nonce, nc string }
	k := key{h.nonce, h.nc}
	if v, ok := r.Memo(k); ok {
		return age, v.(verdict)
	}
	n := uint64(1)
	if h.qop != "" {
		if n, err = strconv.ParseUint(h.nc, 16, 32); err != nil || n == 0 {
			return age, nonceUsed
		}
	}
	switch {
	case c.once() || h.qop == "": // no count, or one request for each nonce
		v = counts.use(c.maxNonces(), h.nonce, issued, 1)
	default:
		v = counts.use(c.maxNonces(), h.nonce, issued, n)
	}
	r.SetMemo(k, v)
	return age, v
}

// used remembers the counts of nonces.
type used struct {
	mu    sync.Mutex
	m     map[string]*count
	floor int64 // nonces issued up to here are forgotten and not accepted any more
}

// count is a window over the counts of one nonce: bit i of seen is top-i.
type count struct {
	issued    int64
	top, seen uint64
}

var counts = &used{m: map[string]*count{}}

func (c *Config) maxNonces() int {
	if c.nonces == 0 {
		return defaultNonces
	}
	return c.nonces
}

// use takes a count of a nonce: good the first time only. No more than limit
// nonces are remembered.
func (u *used) use(limit int, nonce string, issued int64, n uint64) verdict {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.m[nonce]
	if c == nil {
		if issued <= u.floor {
			return nonceStale
		}
		if len(u.m) >= limit {
			u.forget()
		}
		if issued <= u.floor {
			return nonceStale
		}
		c = &count{issued: issued}
		u.m[nonce] = c
	}
	switch {
	case n > c.top:
		if shift := n - c.top; shift < window {
			c.seen <<= shift
		} else {
			c.seen = 0
		}
		c.top, c.seen = n, c.seen|1
		return nonceGood
	case c.top-n >= window || c.seen>>(c.top-n)&1 == 1:
		return nonceUsed
	}
	c.seen |= 1 << (c.top - n)
	return nonceGood
}

// forget drops the older half. Only clients with the right password get here.
func (u *used) forget() {
	var sum, n int64
	for _, c := range u.m { // the mean of the times, without overflow
		n++
		sum += (c.issued - sum) / n
	}
	for k, c := range u.m {
		if c.issued <= sum {
			delete(u.m, k)
		}
	}
	u.floor = max(u.floor, sum)
}
