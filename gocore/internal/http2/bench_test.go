package http2

import (
	"strings"
	"testing"

	"modwsgi/gocore/internal/http1"
)

// BenchmarkGet is a small GET as a browser sends it and a response of 200
// bytes: frames in, head parsed, response translated, frames out.
func BenchmarkGet(b *testing.B) {
	p := dial(b, Config{})
	browser := get("/index.html", "sec-ch-ua", `"Chromium";v="130", "Not?A_Brand";v="99"`, "sec-ch-ua-mobile", "?0", "sec-ch-ua-platform", `"Linux"`,
		"upgrade-insecure-requests", "1", "user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
		"accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", "sec-fetch-site", "none", "sec-fetch-mode", "navigate",
		"sec-fetch-user", "?1", "sec-fetch-dest", "document", "accept-encoding", "gzip, deflate, br, zstd", "accept-language", "en-US,en;q=0.9", "cookie", "session=0123456789abcdef0123456789abcdef")
	p.headers(1, true, browser...)
	s, _ := p.opened()
	response := []byte("HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 22:00:00 GMT\r\nServer: Apache\r\nContent-Length: 200\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + strings.Repeat("x", 200))
	respond(b, s, string(response))
	s.Release()
	p.frames()
	p.headers(3, true, browser...)
	s, _ = p.opened()
	respond(b, s, string(response))
	s.Release()
	p.frames()
	p.headers(5, true, browser...)
	frame := append([]byte(nil), p.up.Bytes()...)
	window := appendWindow(nil, 0, 200)
	var out []byte
	var events []Event
	var memos http1.Memos
	var memo *http1.Memo
	var h http1.Head
	id := uint32(5)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		frame[5], frame[6], frame[7], frame[8] = byte(id>>24), byte(id>>16), byte(id>>8), byte(id)
		n := copy(p.c.Space(), frame)
		if id%64 == 1 {
			window = appendWindow(window[:0], 0, 200*32)
			n += copy(p.c.Space()[n:], window)
		}
		id += 2
		if id > 1<<31-100 {
			b.Fatal("stream numbers used up")
		}
		if err := p.c.Received(n); err != nil {
			b.Fatal(err)
		}
		events = p.c.Events(events[:0])
		s := events[0].Stream
		if _, st := memos.Parse(s.Head(), &h, &http1.Limits{HTTP2: true}, &memo); st != http1.OK {
			b.Fatal(st)
		}
		if n, err := s.Write(response); n != len(response) || err != nil {
			b.Fatal(n, err)
		}
		s.Release()
		out = p.c.Take(out[:0])
		p.c.Sent(len(out))
	}
}
