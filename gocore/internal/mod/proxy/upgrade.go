// This file is what follows 101 (Switching Protocols): a tunnel between client
// and server (mod_proxy_wstunnel, and the parameter upgrade=).

package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"modwsgi/gocore/internal/httpd"
)

// wants is the protocol that the client asks for and that the configuration
// lets through, "" if there is none.
func (f *forward) wants(m *worker) string {
	allowed := m.p.upgrade.V
	if allowed == "" && (f.t.scheme == "ws" || f.t.scheme == "wss") {
		allowed = "websocket"
	}
	v, ok := f.r.Get("Upgrade")
	if !ok || allowed == "" || strings.EqualFold(allowed, "none") || f.r.Proto != "HTTP/1.1" || !asks(f.r) {
		return ""
	}
	v = strings.TrimSpace(v)
	if strings.Contains(v, ",") || !strings.EqualFold(allowed, "any") && !strings.EqualFold(allowed, v) {
		return ""
	}
	return v
}

// switched joins client and server after a 101.
func (f *forward) switched(w httpd.StreamWriter, resp *http.Response) error {
	server, ok := resp.Body.(io.ReadWriteCloser)
	if got := resp.Header.Get("Upgrade"); f.upgrade == "" || !ok || !strings.EqualFold(got, f.upgrade) {
		return &httpd.StatusError{Status: http.StatusBadGateway, Err: fmt.Errorf("%s switched to the protocol %q, which nobody asked for", f.t.name(), got)}
	}
	f.via(resp.Header)
	fields := []httpd.Field{{Name: "Upgrade", Value: resp.Header.Get("Upgrade")}, {Name: "Connection", Value: "Upgrade"}}
	resp.Header.Del("Connection")
	resp.Header.Del("Upgrade")
	fields = append(fields, f.fields(resp.Header)...)
	if err := w.WriteHead(http.StatusSwitchingProtocols, fields); err != nil {
		return err
	}
	client, early, err := w.Hijack()
	if err != nil {
		return err
	}
	defer client.Close()
	defer server.Close()
	closeBoth := sync.OnceFunc(func() {
		client.SetDeadline(time.Unix(1, 0)) // wakes those who wait; it is closed when both are done
		server.Close()
	})
	defer context.AfterFunc(w.Context(), closeBoth)()
	var idle watchdog
	idle.reset(f.timeout, closeBoth)
	idle.start()
	defer idle.end()
	if len(early) > 0 {
		if _, err := server.Write(early); err != nil {
			return err
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer closeBoth()
		relay(server, client, &idle)
	}()
	relay(client, server, &idle)
	closeBoth()
	<-done
	return nil
}

// relay copies until either end is gone.
func relay(to io.Writer, from io.Reader, idle *watchdog) {
	buf := make([]byte, copyBlock)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			idle.start()
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// asks reports whether the client's Connection field lists upgrade.
func asks(r *httpd.Request) bool {
	v, _ := r.Get("Connection")
	for word := range strings.SplitSeq(v, ",") {
		if strings.EqualFold(strings.TrimSpace(word), "upgrade") {
			return true
		}
	}
	return false
}
