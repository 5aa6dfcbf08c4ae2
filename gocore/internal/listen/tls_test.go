//go:build linux || darwin || freebsd

// Encrypted connections, with crypto/tls and net/http as the client.
package listen

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testCertificate is self-signed, for www.example.com.
func testCertificate(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "www.example.com"},
		DNSNames: []string{"www.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func startTLS(t *testing.T, open opener, threads int, change func(*fakeApp)) (Source, *fakeApp, string) {
	conf := &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}, DynamicRecordSizingDisabled: true}
	return open.start(t, threads, func(f *fakeApp) {
		f.tls = conf
		if change != nil {
			change(f)
		}
	})
}

var trusting = &tls.Config{InsecureSkipVerify: true, ServerName: "www.example.com"}

func tlsClient() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: trusting, MaxIdleConnsPerHost: 32}, Timeout: 20 * time.Second}
}

func dialTLS(t *testing.T, addr string) *tls.Conn {
	c, err := tls.Dial("tcp", addr, trusting)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func TestTLSRequests(t *testing.T) { each(t, testTLSRequests) }

func testTLSRequests(t *testing.T, open opener) {
	path := filepath.Join(t.TempDir(), "file")
	content := append([]byte{0}, bytes.Repeat([]byte("f"), bigSize)...)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	s, f, addr := startTLS(t, open, 2, func(f *fakeApp) { f.file = file })
	client := tlsClient()
	get := func(method, path string, body io.Reader) string {
		req, err := http.NewRequest(method, "https://"+addr+path, body)
		require.NoError(t, err)
		res, err := client.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return string(b)
	}
	for range 3 {
		assert.Equal(t, "/a:", get("GET", "/a", nil))
		assert.Equal(t, "static", get("GET", "/static", nil))
		assert.True(t, strings.HasPrefix(get("GET", "/secure", nil), "www.example.com noted 127.0.0.1:"))
		assert.Equal(t, strings.Repeat("b", bigSize), get("GET", "/big", nil))
		assert.Equal(t, string(content[1:]), get("GET", "/file", nil))
		body := strings.Repeat("x", 200<<10)
		assert.Equal(t, "/p:"+body, get("POST", "/p", strings.NewReader(body)))
		assert.Equal(t, "/think:", get("GET", "/think", nil))
		assert.Equal(t, "failed", get("GET", "/error", nil))
	}
	assert.Equal(t, 1, s.Connections(), "one connection served them all")
	require.Eventually(t, func() bool { return f.done.Load() == 24 }, 5*time.Second, time.Millisecond)
	client.CloseIdleConnections()
	require.Eventually(t, func() bool { return s.Connections() == 0 }, 5*time.Second, time.Millisecond)
}

func TestTLSPipelined(t *testing.T) { each(t, testTLSPipelined) }

func testTLSPipelined(t *testing.T, open opener) {
	_, _, addr := startTLS(t, open, 1, nil)
	c := dialTLS(t, addr)
	for range 3 { // bytes of requests in records of all sizes
		io.WriteString(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHo")
		io.WriteString(c, "st: x\r\n\r\n")
	}
	io.WriteString(c, "POST /c HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
	r := bufio.NewReader(c)
	var all strings.Builder
	for !strings.HasSuffix(all.String(), interim) {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		all.WriteString(line)
	}
	io.WriteString(c, "hi")
	rest, err := io.ReadAll(r)
	require.NoError(t, err, "the end is announced: no truncation")
	assert.Equal(t, 3, strings.Count(all.String(), "/a:"))
	assert.Equal(t, 3, strings.Count(all.String(), "/b:"))
	assert.Contains(t, string(rest), "/c:hi")
}

// TestTLSSlowReader: a large response to a client that takes its time is
// complete, and occupies nobody meanwhile.
func TestTLSSlowReader(t *testing.T) { each(t, testTLSSlowReader) }

func testTLSSlowReader(t *testing.T, open opener) {
	_, _, addr := startTLS(t, open, 1, nil)
	c := dialTLS(t, addr)
	io.WriteString(c, "GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	for range 3 {
		other := dialTLS(t, addr)
		io.WriteString(other, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		b, err := io.ReadAll(other)
		require.NoError(t, err)
		assert.Contains(t, string(b), "/a:")
	}
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Greater(t, len(b), bigSize)
}

func TestTLSStream(t *testing.T) { each(t, testTLSStream) }

func testTLSStream(t *testing.T, open opener) {
	_, _, addr := startTLS(t, open, 1, nil)
	c := dialTLS(t, addr)
	io.WriteString(c, "GET /panic-stream-cut HTTP/1.1\r\nHost: x\r\n\r\n")
	b, _ := io.ReadAll(c)
	assert.True(t, strings.HasSuffix(string(b), "hal"), "%q", b)
}

func TestClearTextOnTLSPort(t *testing.T) { each(t, testClearTextOnTLSPort) }

func testClearTextOnTLSPort(t *testing.T, open opener) {
	_, _, addr := startTLS(t, open, 1, nil)
	assert.Contains(t, exchange(t, addr, "GET /secure HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "\r\n\r\n-")
	assert.Contains(t, exchange(t, addr, "\x00\x01\x02\r\n\r\n"), "400")
}

func TestTLSHandshakeErrors(t *testing.T) { each(t, testTLSHandshakeErrors) }

func testTLSHandshakeErrors(t *testing.T, open opener) {
	s, f, addr := startTLS(t, open, 1, func(f *fakeApp) {
		f.secured = make(chan error, 3)
		f.settings.Handshake = time.Second
	})
	_, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "www.example.com"}) // does not trust us
	assert.Error(t, err)
	assert.ErrorContains(t, <-f.secured, "bad certificate")
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte{recordHandshake, 3, 1})
	require.NoError(t, err)
	assert.ErrorIs(t, <-f.secured, os.ErrDeadlineExceeded)
	require.Eventually(t, func() bool { return s.Connections() == 0 }, 5*time.Second, time.Millisecond)
}

// TestTLSHandedOver: a request that a process gives up is answered by another
// one, on the same connection, although that has no keys.
func TestTLSHandedOver(t *testing.T) { each(t, testTLSHandedOver) }

func testTLSHandedOver(t *testing.T, open opener) {
	old, f, addr := startTLS(t, open, 1, func(f *fakeApp) {
		f.handed, f.kept = make(chan string, 1), make(chan [2]int, 1)
	})
	next, _, _ := startTLS(t, open, 1, nil)
	successor := func() {
		fds, pending := <-f.kept, <-f.handed
		assert.NoError(t, next.Adopt(fds[1], []byte(pending)))
	}
	for _, drain := range []bool{false, true} {
		t.Run(fmt.Sprint("drain ", drain), func(t *testing.T) {
			c := dialTLS(t, addr)
			r := bufio.NewReader(c)
			io.WriteString(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n") // and it is idle then
			res, err := http.ReadResponse(r, nil)
			require.NoError(t, err)
			io.Copy(io.Discard, res.Body)
			if drain {
				old.Drain(true)
			} else {
				f.stale.Store(true)
			}
			go successor()
			io.WriteString(c, "GET /secure HTTP/1.1\r\nHost: x\r\n\r\n")
			res, err = http.ReadResponse(r, nil)
			require.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprint("www.example.com noted ", c.LocalAddr()), string(body))
			assert.True(t, res.Close, "the process with the keys should not have to stay")
			_, err = r.ReadByte()
			assert.Equal(t, io.EOF, err)
			f.stale.Store(false)
		})
	}
	select {
	case <-old.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("not done")
	}
}

// TestPassportIsNotTheClients: bytes of a client cannot pass for those of a process.
func TestPassportIsNotTheClients(t *testing.T) {
	secure := &Conn{Secure: &tls.ConnectionState{ServerName: "x"}}
	forged := secure.handover([]byte("GET"))
	p, rest, err := unpack(forged)
	require.NoError(t, err)
	assert.Equal(t, "x", p.SNI)
	assert.Equal(t, "GET", string(rest))
	for _, clear := range [][]byte{forged, {passMark}, {passMark, passPlain}, []byte("GET"), nil} {
		p, rest, err := unpack((&Conn{}).handover(clear))
		require.NoError(t, err)
		assert.Nil(t, p)
		assert.Equal(t, string(clear), string(rest))
	}
	for _, broken := range []string{"\x00S", "\x00S\x00\x00\x00\x05{}", "\x00S\x00\x00\x00\x02[]", "\x00X"} {
		_, _, err := unpack([]byte(broken))
		assert.Error(t, err, "%q", broken)
	}
}
