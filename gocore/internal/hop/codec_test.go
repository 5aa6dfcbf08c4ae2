// Tests of the wire format: every frame there and back, what must be refused,
// and fuzz targets.
package hop

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func sampleRequest() *Request {
	return &Request{Plan: 7, ScriptLen: 3, Local: netip.MustParseAddrPort("192.0.2.1:443"), Remote: netip.MustParseAddrPort("[2001:db8::1]:5000"),
		ConnID: 1 << 40, RequestNo: 9, StartUs: 1_700_000_000_000_000, QueueUs: -5, Flags: 0x80000001, Window: 1 << 20, BodyLimit: 1 << 33,
		BodyLen: 10, Chunked: true, Head: []byte("POST /app/x HTTP/1.1\r\nHost: a\r\n\r\n"), Extra: []byte("extra"), Body: []byte("half!")}
}

// empties gives nil parts the form that Decode gives them.
func empties(r Request) Request {
	for _, p := range []*[]byte{&r.Key, &r.Head, &r.Extra, &r.Body} {
		if *p == nil {
			*p = []byte{}
		}
	}
	return r
}

// one decodes exactly one frame.
func one(t *testing.T, b []byte, from Side) Frame {
	t.Helper()
	d := Decoder{From: from}
	d.Feed(b)
	f, ok, err := d.Next()
	require.NoError(t, err)
	require.True(t, ok)
	_, more, err := d.Next()
	require.NoError(t, err)
	require.False(t, more)
	require.Zero(t, d.Buffered())
	return f
}

func TestRequestRoundTrip(t *testing.T) {
	for name, edit := range map[string]func(*Request){
		"plan":         func(*Request) {},
		"zero":         func(r *Request) { *r = Request{} },
		"key":          func(r *Request) { r.Plan, r.Key = 0, []byte("a key") },
		"no plan":      func(r *Request) { r.Plan = 0 },
		"unknown body": func(r *Request) { r.BodyLen = -1 },
		"whole body":   func(r *Request) { r.BodyLen = 5 },
		"no body":      func(r *Request) { r.BodyLen, r.Body = 0, nil },
		"unix socket":  func(r *Request) { r.Remote = netip.AddrPort{} },
		"mapped":       func(r *Request) { r.Remote = netip.MustParseAddrPort("[::ffff:192.0.2.7]:1") },
		"zones": func(r *Request) {
			r.Local = netip.MustParseAddrPort("[fe80::1%eth0]:80")
			r.Remote = netip.MustParseAddrPort("[fe80::2%en1]:2")
		},
		"large":         func(r *Request) { r.Body = bytes.Repeat([]byte("x"), 1<<20); r.BodyLen = 1 << 20 },
		"as long as it": func(r *Request) { r.Body = make([]byte, MaxRequest-r.size()+len(r.Body)); r.BodyLen = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			in := sampleRequest()
			edit(in)
			b := AppendRequest([]byte("before"), 77, in)
			f := one(t, b[len("before"):], FromFront)
			assert.Equal(t, TypeRequest, f.Type)
			assert.EqualValues(t, 77, f.Stream)
			assert.Equal(t, in.Complete(), f.End)
			var out Request
			require.NoError(t, out.Decode(f.Payload))
			assert.Equal(t, empties(*in), out)
		})
	}
}

func TestRequestRefused(t *testing.T) {
	base := AppendRequest(nil, 1, sampleRequest())[HeaderSize:]
	for name, edit := range map[string]func(p []byte) []byte{
		"empty":             func(p []byte) []byte { return nil },
		"short":             func(p []byte) []byte { return p[:requestFixed-1] },
		"cut in the head":   func(p []byte) []byte { return p[:requestFixed+7] },
		"key too long":      func(p []byte) []byte { binary.BigEndian.PutUint32(p[offKeyLen:], 0xffffffff); return p },
		"extra too long":    func(p []byte) []byte { binary.BigEndian.PutUint32(p[offExtraLen:], 0xffffffff); return p },
		"head too long":     func(p []byte) []byte { binary.BigEndian.PutUint32(p[offHeadLen:], 0xffffffff); return p },
		"all too long":      func(p []byte) []byte { copy(p[offKeyLen:], bytes.Repeat([]byte{0xff}, 12)); return p },
		"key and plan":      func(p []byte) []byte { binary.BigEndian.PutUint32(p[offKeyLen:], 1); return p },
		"zone without IPv6": func(p []byte) []byte { p[offZones] = 1; return p },
		"both families":     func(p []byte) []byte { p[offBits] |= bitLocal6; return p },
		"unknown bit":       func(p []byte) []byte { p[offBits] |= 0x40; return p },
		"reserved":          func(p []byte) []byte { p[offBits+1] = 1; return p },
		"body beyond":       func(p []byte) []byte { return append(p, "more than ten bytes"...) },
		"window":            func(p []byte) []byte { binary.BigEndian.PutUint32(p[offWindow:], MaxWindow+1); return p },
		"body length":       func(p []byte) []byte { binary.BigEndian.PutUint64(p[offBodyLen:], 1<<63); return p },
		"body limit":        func(p []byte) []byte { binary.BigEndian.PutUint64(p[offLimit:], 1<<63); return p },
		"zone of mapped": func([]byte) []byte {
			r := sampleRequest()
			r.Remote = netip.MustParseAddrPort("[fe80::2%en1]:2")
			p := AppendRequest(nil, 1, r)[HeaderSize:]
			ip := netip.MustParseAddr("::ffff:192.0.2.7").As16()
			copy(p[offRemote:], ip[:])
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			var r Request
			assert.ErrorIs(t, r.Decode(edit(bytes.Clone(base))), ErrProtocol)
		})
	}
}

// The parts of a request cannot grow into each other.
func TestRequestPartsAreApart(t *testing.T) {
	var r Request
	require.NoError(t, r.Decode(AppendRequest(nil, 1, sampleRequest())[HeaderSize:]))
	_ = append(r.Extra, "XXXX"...)
	_ = append(r.Head, "XXXX"...)
	assert.Equal(t, "half!", string(r.Body))
	assert.Equal(t, "POST", string(r.Head[:4]))
}

func TestFrames(t *testing.T) {
	hello := Hello{Version: Version, Generation: 3, Slot: 2, Threads: 15, PID: 4711, Flags: 1}
	f := one(t, AppendHello(nil, &hello), FromDaemon)
	got, err := DecodeHello(f.Payload)
	require.NoError(t, err)
	assert.Equal(t, hello, got)

	head := Head{Status: 200, Length: -1, Text: []byte("200 OK\r\nA: b\r\n")}
	f = one(t, AppendHead(nil, 5, &head, true), FromDaemon)
	assert.Equal(t, Frame{Type: TypeHead, End: true, Stream: 5, Payload: f.Payload}, f)
	gotHead, err := DecodeHead(f.Payload)
	require.NoError(t, err)
	assert.Equal(t, head, gotHead)

	f = one(t, AppendCredit(nil, 5, 1<<20), FromFront)
	n, err := DecodeCredit(f.Payload)
	require.NoError(t, err)
	assert.EqualValues(t, 1<<20, n)
	one(t, AppendCredit(nil, 5, 1), FromDaemon)

	for _, waits := range []bool{true, false} {
		f = one(t, AppendQueued(nil, 5, waits), FromDaemon)
		q, err := DecodeQueued(f.Payload)
		require.NoError(t, err)
		assert.Equal(t, waits, q)
	}
	for _, why := range []Reason{Restarting, QueueTimeout} {
		f = one(t, AppendRefused(nil, 5, why), FromDaemon)
		r, err := DecodeRefused(f.Payload)
		require.NoError(t, err)
		assert.Equal(t, why, r)
	}
	f = one(t, AppendError(nil, 5, 504), FromDaemon)
	status, err := DecodeError(f.Payload)
	require.NoError(t, err)
	assert.Equal(t, 504, status)

	assert.Equal(t, Frame{Type: TypeCancel, Stream: 5, Payload: []byte{}}, one(t, AppendCancel(nil, 5), FromFront))
	assert.Equal(t, Frame{Type: TypeEnd, Stream: 5, Payload: []byte{}}, one(t, AppendEnd(nil, 5), FromDaemon))
	assert.Equal(t, Frame{Type: TypeReset, Stream: 5, Payload: []byte{}}, one(t, AppendReset(nil, 5), FromDaemon))
	assert.Equal(t, Frame{Type: TypeGoaway, Payload: []byte{}}, one(t, AppendGoaway(nil), FromDaemon))
	assert.Equal(t, Frame{Type: TypeData, End: true, Stream: 5, Payload: []byte("x")}, one(t, AppendData(nil, 5, []byte("x"), true), FromDaemon))
	assert.Equal(t, Frame{Type: TypePlan, Stream: 5, Payload: []byte("key")}, one(t, AppendPlan(nil, 5, []byte("key")), FromFront))
	for name, b := range map[string][]byte{
		"Head": AppendHead(nil, 5, &head, true), "Data": AppendData(nil, 5, nil, true), "End": AppendEnd(nil, 5), "Error": AppendError(nil, 5, 500), "Reset": AppendReset(nil, 5),
	} {
		SetLogged(b)
		assert.True(t, one(t, b, FromDaemon).Logged, name)
	}
	assert.Equal(t, Frame{Type: TypeBody, End: true, Stream: 5, Payload: []byte{}}, one(t, AppendBody(nil, 5, nil, true), FromFront))
}

// A long body takes several frames; the end is on the last.
func TestLongBody(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcdef"), (2*MaxPayload+32)/16)
	r := NewReader(bytes.NewReader(AppendBody(nil, 9, long, true)), FromFront)
	var sizes []int
	var all []byte
	for {
		f, err := r.Frame()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		sizes = append(sizes, len(f.Payload))
		all = append(all, f.Payload...)
		assert.Equal(t, len(sizes) == 3, f.End)
	}
	assert.Equal(t, []int{MaxPayload, MaxPayload, 32}, sizes)
	assert.Equal(t, long, all)
}

func TestHostileHeaders(t *testing.T) {
	frame := func(n int, stream uint32, typ byte) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(n))
		return append(binary.BigEndian.AppendUint32(b, stream), typ)
	}
	for name, c := range map[string]struct {
		from Side
		b    []byte
	}{
		"type 0":              {FromDaemon, frame(0, 1, 0)},
		"type beyond":         {FromDaemon, frame(0, 1, byte(typeCount))},
		"type 127":            {FromDaemon, frame(0, 1, 127)},
		"daemon: Request":     {FromDaemon, frame(requestFixed, 1, byte(TypeRequest))},
		"daemon: Body":        {FromDaemon, frame(1, 1, byte(TypeBody))},
		"daemon: Cancel":      {FromDaemon, frame(0, 1, byte(TypeCancel))},
		"front: Head":         {FromFront, frame(headFixed, 1, byte(TypeHead))},
		"front: Hello":        {FromFront, frame(helloSize, 0, byte(TypeHello))},
		"Data too long":       {FromDaemon, frame(MaxPayload+1, 1, byte(TypeData))},
		"Data of 4 GiB":       {FromDaemon, frame(0xffffffff, 1, byte(TypeData))},
		"Head too long":       {FromDaemon, frame(MaxPayload+1, 1, byte(TypeHead))},
		"Head too short":      {FromDaemon, frame(headFixed-1, 1, byte(TypeHead))},
		"Request too long":    {FromFront, frame(MaxRequest+1, 1, byte(TypeRequest))},
		"Request too short":   {FromFront, frame(requestFixed-1, 1, byte(TypeRequest))},
		"Credit of 3 bytes":   {FromDaemon, frame(3, 1, byte(TypeCredit))},
		"End with payload":    {FromDaemon, frame(1, 1, byte(TypeEnd))},
		"Goaway with payload": {FromDaemon, frame(4, 0, byte(TypeGoaway))},
		"Goaway of a stream":  {FromDaemon, frame(0, 1, byte(TypeGoaway))},
		"Data of stream 0":    {FromDaemon, frame(1, 0, byte(TypeData))},
		"End with end flag":   {FromDaemon, frame(0, 1, byte(TypeEnd)|FlagEnd)},
		"Data of no bytes":    {FromDaemon, frame(0, 1, byte(TypeData))},
		"End from the front":  {FromFront, frame(0, 1, byte(TypeEnd)|FlagLogged)},
		"Body logged":         {FromFront, frame(0, 1, byte(TypeBody)|FlagEnd|FlagLogged)},
		"Data logged, no end": {FromDaemon, frame(1, 1, byte(TypeData)|FlagLogged)},
		"Refused, logged":     {FromDaemon, frame(1, 1, byte(TypeRefused)|FlagLogged)},
		"Credit, logged":      {FromDaemon, frame(4, 1, byte(TypeCredit)|FlagLogged)},
		"daemon: Plan":        {FromDaemon, frame(1, 1, byte(TypePlan))},
		"Plan 0":              {FromFront, frame(1, 0, byte(TypePlan))},
		"Plan beyond":         {FromFront, frame(1, MaxPlans+1, byte(TypePlan))},
		"Plan without key":    {FromFront, frame(0, 1, byte(TypePlan))},
		"Hello with end flag": {FromDaemon, frame(helloSize, 0, byte(TypeHello)|FlagEnd)},
	} {
		t.Run(name, func(t *testing.T) {
			d := Decoder{From: c.from}
			d.Feed(c.b) // the header alone is enough
			_, ok, err := d.Next()
			assert.False(t, ok)
			assert.ErrorIs(t, err, ErrProtocol)
			d.Feed(AppendEnd(nil, 1))
			_, ok, err = d.Next()
			assert.False(t, ok, "nothing follows an error")
			assert.ErrorIs(t, err, ErrProtocol)
		})
	}
}

func TestHostilePayloads(t *testing.T) {
	refused := func(name string, err error) {
		t.Helper()
		assert.ErrorIs(t, err, ErrProtocol, name)
	}
	hello := func(b []byte) error { _, err := DecodeHello(b); return err }
	refused("short", hello(make([]byte, helloSize-1)))
	refused("version", hello(make([]byte, helloSize)))
	credit := func(b ...byte) error { _, err := DecodeCredit(b); return err }
	refused("zero", credit(0, 0, 0, 0))
	refused("more than a window", credit(0xff, 0xff, 0xff, 0xff))
	refused("short", credit(1))
	queued := func(b ...byte) error { _, err := DecodeQueued(b); return err }
	refused("queued 2", queued(2))
	refused("queued nothing", queued())
	why := func(b ...byte) error { _, err := DecodeRefused(b); return err }
	refused("no reason", why())
	refused("reason 0", why(0))
	refused("reason 3", why(3))
	status := func(b ...byte) error { _, err := DecodeError(b); return err }
	refused("short", status(1))
	refused("200", status(0, 200))
	refused("600", status(600>>8, 600&0xff))
}

func TestHead(t *testing.T) {
	for text, ok := range map[string]bool{
		"200 OK\r\n":                            true,
		"200\r\n":                               true,
		"200 \r\n":                              true,
		"200 Tr\xe9s bien\r\nX-\xe9: \xff\r\n":  true,
		"200 OK\r\nA: b\r\nSet-Cookie: c=d\r\n": true,
		"200 OK\r\nA:\r\n":                      true,
		"200 OK\r\nA: tab\there\r\n":            true,
		"":                                      false,
		"\r\n":                                  false,
		"\n":                                    false,
		"200 OK":                                false,
		"200 OK\n":                              false,
		"201 Created\r\n":                       false,
		"20 OK\r\n":                             false,
		"2000\r\n":                              false,
		"200OK\r\n":                             false,
		"HTTP/1.1 200 OK\r\n":                   false,
		"200 O\x00K\r\n":                        false,
		"200 OK\r\n\r\n":                        false,
		"200 OK\r\n\r\nHTTP/1.1 200 OK\r\n":     false,
		"200 OK\r\nA: b\r\n\r\n":                false,
		"200 OK\r\nA: b":                        false,
		"200 OK\r\nA: b\n":                      false,
		"200 OK\r\nA: b\nC: d\r\n":              false,
		"200 OK\r\nA: b\rC: d\r\n":              false,
		"200 OK\r\nA: b\r\r\n":                  false,
		"200 OK\r\nA: b\x00\r\n":                false,
		"200 OK\r\n: b\r\n":                     false,
		"200 OK\r\nA b\r\n":                     false,
		"200 OK\r\nA : b\r\n":                   false,
		"200 OK\r\nA: b\r\n folded\r\n":         false,
		"200 OK\r\nA\x7f: b\r\n":                false,
	} {
		h := Head{Status: 200, Length: 3, Text: []byte(text)}
		got, err := DecodeHead(AppendHead(nil, 1, &h, false)[HeaderSize:])
		if ok {
			assert.NoError(t, err, "%q", text)
			assert.Equal(t, h, got)
		} else {
			assert.ErrorIs(t, err, ErrProtocol, "%q", text)
		}
	}
	for _, h := range []Head{{Status: 99, Text: []byte("099 X\r\n")}, {Status: 1000, Text: []byte("1000\r\n")}, {Status: 200, Length: -2, Text: []byte("200\r\n")}} {
		_, err := DecodeHead(AppendHead(nil, 1, &h, false)[HeaderSize:])
		assert.ErrorIs(t, err, ErrProtocol)
	}
	_, err := DecodeHead(make([]byte, headFixed-1))
	assert.ErrorIs(t, err, ErrProtocol)
}

func TestFields(t *testing.T) {
	line, rest := StatusLine([]byte("404 Not Found\r\nA: b\r\nEmpty:\r\nC:  d e \t\r\n"))
	assert.Equal(t, "404 Not Found", string(line))
	var got []string
	for {
		name, value, more, ok := NextField(rest)
		if !ok {
			break
		}
		got = append(got, string(name)+"="+string(value))
		rest = more
	}
	assert.Equal(t, []string{"A=b", "Empty=", "C=d e"}, got)
}

// Frames come whole however the bytes are cut.
func TestReaderOneByteAtATime(t *testing.T) {
	var b []byte
	b = AppendHello(b, &Hello{Threads: 1})
	b = AppendHead(b, 1, &Head{Status: 200, Length: 3, Text: []byte("200 OK\r\n")}, false)
	b = AppendData(b, 1, []byte("abc"), true)
	b = AppendGoaway(b)
	for name, in := range map[string]io.Reader{"one": iotest.OneByteReader(bytes.NewReader(b)), "half": iotest.HalfReader(bytes.NewReader(b)),
		"with EOF": iotest.DataErrReader(bytes.NewReader(b))} {
		r := NewReader(in, FromDaemon)
		for _, want := range []Type{TypeHello, TypeHead, TypeData, TypeGoaway} {
			f, err := r.Frame()
			require.NoError(t, err, name)
			assert.Equal(t, want, f.Type, name)
		}
		_, err := r.Frame()
		assert.Equal(t, io.EOF, err, name)
	}
	r := NewReader(bytes.NewReader(b[:len(b)-1]), FromDaemon)
	var err error
	for err == nil {
		_, err = r.Frame()
	}
	assert.Equal(t, io.ErrUnexpectedEOF, err)
}

// The buffer grows with what arrived, not to what is claimed, and shrinks again.
func TestDecoderMemory(t *testing.T) {
	d := Decoder{From: FromFront}
	big := sampleRequest()
	big.Body, big.BodyLen = make([]byte, 8<<20), 8<<20
	b := AppendRequest(nil, 1, big)
	d.Feed(b[:HeaderSize])
	_, ok, err := d.Next()
	require.NoError(t, err)
	require.False(t, ok)
	assert.LessOrEqual(t, len(d.buf), decoderStart)
	d.Feed(b[HeaderSize:])
	_, ok, err = d.Next()
	require.NoError(t, err)
	require.True(t, ok)
	assert.LessOrEqual(t, len(d.buf), len(b)+decoderMin)
	d.Space()
	assert.Equal(t, decoderStart, len(d.buf))
	// Frames of a response do not make it allocate each time.
	d = Decoder{From: FromDaemon}
	data := AppendData(nil, 1, make([]byte, MaxPayload), false)
	step := func() {
		d.Feed(data)
		_, ok, err := d.Next()
		if !ok || err != nil {
			panic(err)
		}
	}
	step()
	assert.Zero(t, testing.AllocsPerRun(20, step))
}

func TestCodecAllocations(t *testing.T) {
	in := sampleRequest()
	buf := make([]byte, 0, 4096)
	d := Decoder{From: FromFront}
	d.Space()
	var out Request
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		buf = AppendRequest(buf[:0], 3, in)
		d.Feed(buf)
		f, _, _ := d.Next()
		if err := out.Decode(f.Payload); err != nil {
			panic(err)
		}
	}))
	h := Head{Status: 200, Length: 5, Text: []byte("200 OK\r\nContent-Type: text/plain\r\n")}
	d = Decoder{From: FromDaemon}
	d.Space()
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		buf = AppendData(AppendHead(buf[:0], 3, &h, false), 3, []byte("hello"), true)
		d.Feed(buf)
		f, _, _ := d.Next()
		if _, err := DecodeHead(f.Payload); err != nil {
			panic(err)
		}
		d.Next()
	}))
}

func FuzzRequestDecode(f *testing.F) {
	f.Add(AppendRequest(nil, 1, sampleRequest())[HeaderSize:])
	f.Add(AppendRequest(nil, 1, &Request{Key: []byte("k"), Remote: netip.MustParseAddrPort("[fe80::1%eth0]:1"), BodyLen: -1})[HeaderSize:])
	f.Add(make([]byte, requestFixed))
	f.Fuzz(func(t *testing.T, p []byte) {
		var r Request
		if r.Decode(p) != nil {
			return
		}
		// What is accepted is written the same again, but for bytes without meaning.
		again := AppendRequest(nil, 1, &r)[HeaderSize:]
		var r2 Request
		require.NoError(t, r2.Decode(again))
		require.Equal(t, r, r2)
		require.Equal(t, len(p), len(again))
	})
}

func FuzzDecoder(f *testing.F) {
	var b []byte
	b = AppendHello(b, &Hello{Threads: 5})
	b = AppendHead(b, 1, &Head{Status: 200, Length: -1, Text: []byte("200 OK\r\nA: b\r\n")}, false)
	b = AppendData(b, 1, []byte("data"), true)
	b = AppendCredit(b, 2, 7)
	b = AppendRefused(b, 3, Restarting)
	f.Add(b, true, uint16(3))
	f.Add(AppendGoaway(AppendReset(AppendError(AppendQueued(nil, 1, true), 1, 500), 2)), true, uint16(1))
	f.Add(AppendCancel(AppendBody(AppendRequest(nil, 1, sampleRequest()), 1, []byte("x"), true), 1), false, uint16(100))
	f.Fuzz(func(t *testing.T, in []byte, daemon bool, cut uint16) {
		from := FromFront
		if daemon {
			from = FromDaemon
		}
		// However the bytes are cut, the frames are the same.
		run := func(size int) (frames []string, failed bool) {
			d := Decoder{From: from}
			for rest := in; ; {
				for {
					f, ok, err := d.Next()
					if err != nil {
						require.ErrorIs(t, err, ErrProtocol)
						return frames, true
					}
					if !ok {
						break
					}
					checkPayload(f)
					frames = append(frames, strings.Join([]string{f.Type.String(), string(f.Payload)}, " "))
				}
				if len(rest) == 0 {
					return frames, false
				}
				n := min(size, len(rest))
				d.Feed(rest[:n])
				rest = rest[n:]
			}
		}
		a, failedA := run(len(in) + 1)
		b, failedB := run(int(cut) + 1)
		require.Equal(t, a, b)
		require.Equal(t, failedA, failedB)
	})
}

// checkPayload decodes what a frame of the type has; the decoders must not panic.
func checkPayload(f Frame) {
	var err error
	switch f.Type {
	case TypeHello:
		_, err = DecodeHello(f.Payload)
	case TypeRequest:
		err = new(Request).Decode(f.Payload)
	case TypeCredit:
		_, err = DecodeCredit(f.Payload)
	case TypeQueued:
		_, err = DecodeQueued(f.Payload)
	case TypeHead:
		var h Head
		if h, err = DecodeHead(f.Payload); err == nil {
			_, rest := StatusLine(h.Text)
			for ok := true; ok; {
				var name []byte
				if name, _, rest, ok = NextField(rest); ok && len(name) == 0 {
					panic("field without name")
				}
			}
			if len(rest) > 0 {
				panic("rest of a checked text")
			}
		}
	case TypeRefused:
		_, err = DecodeRefused(f.Payload)
	case TypeError:
		_, err = DecodeError(f.Payload)
	}
	if err != nil && !errors.Is(err, ErrProtocol) {
		panic(err)
	}
}
