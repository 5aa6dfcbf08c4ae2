// This file checks passwords against hashes: those that htpasswd writes, and
// those that Linux distributions have in their shadow files. Slow hashes are never
// computed on the leader's thread; a password that was right is remembered for
// some minutes under a keyed hash, so that a client that sends it with every
// request pays once.

package authnfile

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/GehirnInc/crypt"
	"github.com/GehirnInc/crypt/apr1_crypt"
	"github.com/GehirnInc/crypt/md5_crypt"
	"github.com/GehirnInc/crypt/sha256_crypt"
	"github.com/GehirnInc/crypt/sha512_crypt"
	"github.com/go-crypt/x/yescrypt"
	"golang.org/x/crypto/bcrypt"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/internal/descrypt"
)

const (
	maxCost   = 17        // of bcrypt: the most that htpasswd can write; some ten seconds
	maxRounds = 5_000_000 // of SHA crypt: some seconds
	maxMemory = 128 << 20 // of yescrypt, in bytes; distributions write hashes of 16 MiB
	maxKnown  = 4096      // remembered pairs
	keepFor   = 5 * time.Minute
)

// errKind is for what htpasswd cannot write on Linux: plain text, Solaris' and
// BSDi's kinds of crypt, scrypt, NTLM.
var errKind = errors.New("the hash is of no kind that can be checked here; htpasswd -B makes a new one")

// crypts are the kinds of crypt(3) by their prefix.
var crypts = []struct {
	prefix string
	make   func() crypt.Crypter
}{
	{apr1_crypt.MagicPrefix, apr1_crypt.New}, {md5_crypt.MagicPrefix, md5_crypt.New},
	{sha256_crypt.MagicPrefix, sha256_crypt.New}, {sha512_crypt.MagicPrefix, sha512_crypt.New},
}

// known remembers (hash, password) pairs that were right, by a keyed digest: a
// copy of the memory does not give passwords away more easily than the file.
type known struct {
	mu  sync.Mutex
	key [32]byte
	m   map[[32]byte]time.Time // until
}

var right = func() *known {
	k := &known{m: map[[32]byte]time.Time{}}
	if _, err := rand.Read(k.key[:]); err != nil {
		panic(err) // the system has no random numbers: nothing may be trusted
	}
	return k
}()

func (k *known) digest(hash, password string) (d [32]byte) {
	h := hmac.New(sha256.New, k.key[:])
	fmt.Fprintf(h, "%d:%s%s", len(hash), hash, password)
	h.Sum(d[:0])
	return d
}

func (k *known) has(d [32]byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	until, ok := k.m[d]
	return ok && time.Now().Before(until)
}

func (k *known) add(d [32]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.m) >= maxKnown {
		clear(k.m)
	}
	k.m[d] = time.Now().Add(keepFor)
}

// hashing bounds how many slow hashes are computed at the same time: strangers
// can ask for any number of them, and the application needs processors, too.
var hashing = make(chan struct{}, max(1, runtime.NumCPU()/2))

// Verify says whether the password belongs to the hash, an entry of htpasswd's.
// r may be sent off the leader's thread (Request.Need).
func Verify(r *httpd.Request, hash, password string) (bool, error) {
	if rest, ok := strings.CutPrefix(hash, "{SHA}"); ok {
		sum := sha1.Sum([]byte(password))
		return subtle.ConstantTimeCompare([]byte(base64.StdEncoding.EncodeToString(sum[:])), []byte(rest)) == 1, nil
	}
	check, err := slow(hash)
	if err != nil {
		return false, err
	}
	d := right.digest(hash, password)
	if right.has(d) {
		return true, nil
	}
	r.Need(httpd.OnWorker)
	hashing <- struct{}{}
	ok := check(password)
	<-hashing
	if ok {
		right.add(d)
	}
	return ok, nil
}

// slow gives the check for a hash that takes long, or says why there is none.
func slow(hash string) (func(password string) bool, error) {
	if len(hash) > 4 && hash[:2] == "$2" && (hash[2] == 'a' || hash[2] == 'b' || hash[2] == 'y') && hash[3] == '$' {
		cost, err := bcrypt.Cost([]byte(hash))
		if err != nil {
			return nil, fmt.Errorf("bcrypt: %w", err)
		}
		if cost > maxCost {
			return nil, fmt.Errorf("bcrypt: the cost %d is above %d", cost, maxCost)
		}
		return func(password string) bool {
			if len(password) > 72 { // what bcrypt looks at; htpasswd cuts as well
				password = password[:72]
			}
			return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
		}, nil
	}
	for _, c := range crypts {
		if !strings.HasPrefix(hash, c.prefix) {
			continue
		}
		kind := c.make()
		cost, err := kind.Cost(hash)
		if err != nil {
			return nil, err
		}
		if cost > maxRounds {
			return nil, fmt.Errorf("%d rounds are above %d", cost, maxRounds)
		}
		return func(password string) bool { return kind.Verify(hash, []byte(password)) == nil }, nil
	}
	switch {
	case strings.HasPrefix(hash, "$y$"):
		return slowest(hash)
	case descrypt.Is(hash):
		return func(password string) bool { return same(descrypt.Hash(password, hash), hash) }, nil
	}
	return nil, errKind
}

// slowest is slow for yescrypt: $y$, flags, N and r as one character each, $,
// salt, $, hash. The library knows what the tools of distributions write.
func slowest(hash string) (func(password string) bool, error) {
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	if len(hash) < 7 || hash[3] != 'j' || hash[6] != '$' {
		return nil, errors.New("yescrypt: the parameters are none that can be checked here")
	}
	n, r := strings.IndexByte(alphabet, hash[4])+1, strings.IndexByte(alphabet, hash[5])+1
	if n < 10 || n > 18 || r < 1 || r > 32 {
		return nil, errors.New("yescrypt: the parameters are none that can be checked here")
	}
	if memory := 128 * r << n; memory > maxMemory {
		return nil, fmt.Errorf("yescrypt: it takes %d MiB, more than %d", memory>>20, maxMemory>>20)
	}
	return func(password string) bool {
		h, err := yescrypt.Hash([]byte(password), []byte(hash))
		return err == nil && same(string(h), hash)
	}, nil
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
