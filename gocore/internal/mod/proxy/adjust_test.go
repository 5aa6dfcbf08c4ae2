// Variables that adjust requests to other servers.

package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/internal/streamtest"
)

func TestAdjustments(t *testing.T) {
	var connections atomic.Int32
	b := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %v %s %q", r.ContentLength, r.Close, body, r.Header.Get("Proxy-Authorization"))
	}))
	b.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	b.Start()
	defer b.Close()
	for _, c := range []struct {
		config      string
		chunked     bool
		want        string // of each of two requests, the second one of the same client connection
		connections int32
	}{
		{"", false, `5 false hello ""`, 1},
		{"", true, `-1 false hello ""`, 1},
		{"SetEnv proxy-nokeepalive 1", false, `5 true hello ""`, 2},
		{"SetEnv proxy-sendcl 1", true, `5 false hello ""`, 1},
		{"SetEnv proxy-sendcl 1", false, `5 false hello ""`, 1},
		{"SetEnvIf Host . proxy-sendchunked", false, `-1 false hello ""`, 1},
		{"SetEnv proxy-sendchunks", false, `-1 false hello ""`, 1},
		{"SetEnv proxy-chain-auth On", false, `5 false hello "Basic eDp5"`, 1},
	} {
		srv := server(t, "ProxyPass / "+b.URL+"/\n"+c.config)
		connections.Store(0)
		for n := uint64(1); n <= 2; n++ {
			r := streamtest.Request("POST", "/", "hello")
			r.RequestNo = n
			r.Header = append(r.Header, httpd.Field{Name: "Proxy-Authorization", Value: "Basic eDp5"})
			if c.chunked {
				r.ContentLength, r.Chunked = -1, true
			}
			w := &streamtest.Writer{}
			_, err := streamtest.Do(srv.Main, r, w)
			require.NoError(t, err, c.config)
			assert.Equal(t, c.want, w.Body.String(), c.config)
		}
		assert.Equal(t, c.connections, connections.Load(), c.config)
	}

	srv := server(t, "ProxyPass / "+b.URL+"/\nSetEnv proxy-initial-not-pooled 1")
	connections.Store(0)
	for _, n := range []uint64{2, 1, 2, 1, 2} { // the first request of a connection never uses one that was kept
		r := streamtest.Request("GET", "/", "")
		r.RequestNo = n
		_, err := streamtest.Do(srv.Main, r, &streamtest.Writer{})
		require.NoError(t, err)
	}
	assert.Equal(t, int32(3), connections.Load())
}

func TestVariablesWithoutEffect(t *testing.T) {
	_, diags := compile("SetEnv force-proxy-request-1.0 1\nSetEnvIf Host x proxy-interim-response=RFC !proxy-source-port\nBrowserMatch x Proxy-Source-Port=1\nSetEnv other 1\n")
	require.Len(t, diags, 3)
	for i, word := range []string{"force-proxy-request-1.0", "proxy-interim-response", "Proxy-Source-Port"} {
		assert.Equal(t, conf.Notice, diags[i].Severity)
		assert.True(t, strings.Contains(diags[i].Message, word), diags[i].Message)
	}
}
