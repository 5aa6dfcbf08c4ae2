// Secrets of the server: keys that all its processes share, for what one of
// them hands out and another gets back (nonces).
package httpd

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
)

// secret is set once, by SetSecret or the first Key.
type secret struct {
	once  sync.Once
	value [32]byte
}

// SetSecret gives the secret that the supervisor made; before the first
// request.
func (s *Server) SetSecret(v [32]byte) { s.secret.once.Do(func() { s.secret.value = v }) }

// Key derives a key for one purpose. Without SetSecret it is this process's own.
func (s *Server) Key(purpose string) (k [32]byte) {
	s.secret.once.Do(func() {
		if _, err := rand.Read(s.secret.value[:]); err != nil {
			panic(err) // the system has no random numbers: nothing may be trusted
		}
	})
	h := hmac.New(sha256.New, s.secret.value[:])
	h.Write([]byte(purpose))
	h.Sum(k[:0])
	return k
}
