// This file runs the cases in testdata/*.md. A case is a "## heading", a
// sentence, the request in a block fenced by "~~~ request" and the expected
// outcome in one fenced by "~~~ result". In a request, line breaks of the file
// mean nothing; \r \n \t \\ and \xNN are written out, and \{A*100} repeats a
// text. "go test -update" writes the outcomes found into the files; look at
// the difference before believing it.
package http1

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the result blocks of testdata/*.md")

type mdCase struct{ name, request, result string }

// readCases returns the cases of one file.
func readCases(t testing.TB, file string) []mdCase {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var cases []mdCase
	for _, part := range strings.Split(string(text), "\n## ")[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		cases = append(cases, mdCase{name, block(rest, "request"), block(rest, "result")})
	}
	return cases
}

func block(s, kind string) string {
	_, s, _ = strings.Cut(s, "~~~ "+kind+"\n")
	s, _, _ = strings.Cut(s, "~~~")
	return s
}

// unescape turns the written form of a request into its bytes.
func unescape(t testing.TB, s string) []byte {
	var out []byte
	s = strings.ReplaceAll(s, "\n", "")
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'r':
			out = append(out, '\r')
		case 'n':
			out = append(out, '\n')
		case 't':
			out = append(out, '\t')
		case '\\':
			out = append(out, '\\')
		case 'x':
			v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			require.NoError(t, err)
			out = append(out, byte(v))
			i += 2
		case '{':
			text, count, ok := strings.Cut(s[i+1:i+strings.IndexByte(s[i:], '}')], "*")
			require.True(t, ok)
			n, err := strconv.Atoi(count)
			require.NoError(t, err)
			out = append(out, unescape(t, strings.Repeat(text, n))...)
			i += strings.IndexByte(s[i:], '}')
		default:
			t.Fatalf("unknown escape \\%c", s[i])
		}
	}
	return out
}

var flagNames = []string{"http11", "keep-alive", "chunked", "content-length", "expect-continue", "upgrade", "plain-path", "host"}

// describe writes the outcome of a parse, one fact a line.
func describe(buf []byte, h *Head, n int, st Status) string {
	if st == Incomplete {
		return "incomplete\n"
	}
	if st != OK {
		return fmt.Sprintf("refused %d\n", int(st))
	}
	var b strings.Builder
	line := func(name string, s Span) {
		if text := at(buf, s); len(text) > 100 {
			fmt.Fprintf(&b, "%s: %d bytes\n", name, len(text))
		} else {
			fmt.Fprintf(&b, "%s: %s\n", name, strings.Trim(strconv.QuoteToASCII(text), `"`))
		}
	}
	line("method", h.Method)
	line("target", h.Target)
	line("path", h.Path)
	if h.Query.Off != 0 {
		line("query", h.Query)
	}
	line("host", h.Host)
	var flags []string
	for i, name := range flagNames {
		if h.Flags&(1<<i) != 0 {
			flags = append(flags, name)
		}
	}
	fmt.Fprintf(&b, "flags: %s\n", strings.Join(flags, " "))
	if h.Flags&FlagContentLength != 0 {
		fmt.Fprintf(&b, "length: %d\n", h.ContentLength)
	}
	for _, f := range h.Fields[:h.NFields] {
		line("field "+at(buf, f.Name), f.Value)
	}
	if n < len(buf) {
		fmt.Fprintf(&b, "rest: %q\n", buf[n:])
	}
	return strings.ReplaceAll(b.String(), ": \n", ":\n")
}

func at(buf []byte, s Span) string { return string(buf[s.Off : s.Off+s.Len]) }

// decodeChunks describes the decoding of a body.
func decodeChunks(src []byte) string {
	var d ChunkDecoder
	dst := make([]byte, len(src))
	n, o, done, err := d.Decode(src, dst)
	if err != nil {
		return fmt.Sprintf("refused: %s\n", err)
	}
	s := fmt.Sprintf("data: %q\n", dst[:o])
	if !done {
		return s + "incomplete\n"
	}
	if n < len(src) {
		s += fmt.Sprintf("rest: %q\n", src[n:])
	}
	return s + "done\n"
}

// TestCases runs every case of testdata.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		var got []string
		t.Run(strings.TrimSuffix(filepath.Base(file), ".md"), func(t *testing.T) {
			for _, c := range readCases(t, file) {
				t.Run(c.name, func(t *testing.T) {
					buf := unescape(t, c.request)
					require.NotEmpty(t, buf)
					var result string
					if strings.HasSuffix(file, "chunked.md") {
						result = decodeChunks(buf)
					} else {
						var h Head
						n, st := Parse(buf, &h, nil)
						result = describe(buf, &h, n, st)
						checkIncremental(t, buf, nil)
					}
					got = append(got, result)
					if !*update {
						assert.Equal(t, c.result, result)
					}
				})
			}
		})
		if *update {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			parts := strings.Split(string(text), "~~~ result\n")
			for i := range got {
				_, after, _ := strings.Cut(parts[i+1], "~~~")
				parts[i+1] = got[i] + "~~~" + after
			}
			require.NoError(t, os.WriteFile(file, []byte(strings.Join(parts, "~~~ result\n")), 0o644))
		}
	}
}
