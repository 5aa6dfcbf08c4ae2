// This file reads type maps: paragraphs of header lines, one for each variant,
// separated by empty lines. A variant is another file of the directory (URI) or
// stands in the map itself (Body).

package negotiation

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// mapMax bounds a type map, bytes.
const mapMax = 1 << 20

// parseMap reads a type map.
func parseMap(text string) (variants []*variant, err error) {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	var v *variant
	flush := func() {
		if v != nil && (v.name != "" || v.body != nil) {
			variants = append(variants, v)
		}
		v = nil
	}
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if strings.HasPrefix(line, "#") {
			continue
		}
		if strings.TrimSpace(line) == "" {
			flush()
			continue
		}
		for i+1 < len(lines) && lines[i+1] != "" && (lines[i+1][0] == ' ' || lines[i+1][0] == '\t') && strings.TrimSpace(lines[i+1]) != "" {
			i++
			line += " " + strings.TrimSpace(lines[i])
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("line %d: not a header line", i+1)
		}
		value = strings.TrimSpace(value)
		if v == nil {
			v = &variant{quality: 1}
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "uri":
			v.name = value
		case "content-type":
			v.setType(value)
		case "content-language":
			for l := range strings.SplitSeq(value, ",") {
				v.languages = append(v.languages, strings.TrimSpace(l))
			}
		case "content-encoding":
			v.encoding = value
		case "content-length":
			if v.size, err = strconv.ParseInt(value, 10, 64); err != nil || v.size < 0 {
				return nil, fmt.Errorf("line %d: %q is not a length", i+1, value)
			}
		case "description":
			v.about = strings.Trim(value, `"`)
		case "body":
			mark := strings.TrimSpace(value)
			if mark == "" {
				return nil, fmt.Errorf("line %d: Body needs a mark for its end", i+1)
			}
			end := i + 1
			for end < len(lines) && !strings.HasPrefix(lines[end], mark) {
				end++
			}
			if end == len(lines) {
				return nil, fmt.Errorf("line %d: the end of the Body, %q, is missing", i+1, mark)
			}
			v.body = []byte(strings.Join(lines[i+1:end], "\n") + "\n")
			v.size = int64(len(v.body))
			i = end
		default:
			return nil, fmt.Errorf("line %d: unknown header %q", i+1, name)
		}
	}
	flush()
	if len(variants) == 0 {
		return nil, errors.New("no variant")
	}
	return variants, nil
}

// readMap reads the type map that a request leads to.
func readMap(r *httpd.Request) ([]*variant, error) {
	f, err := os.Open(r.Filename)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !os.SameFile(fi, r.Info) {
		return nil, errors.New("replaced while the request was checked")
	}
	b, err := io.ReadAll(io.LimitReader(f, mapMax))
	if err != nil {
		return nil, err
	}
	variants, err := parseMap(string(b))
	if err != nil {
		return nil, err
	}
	for _, v := range variants { // the size of files decides between equals
		if v.body != nil && v.name == "" {
			v.name = linkTo(path.Base(r.Filename))
		}
		if v.body == nil && v.size == 0 && !strings.Contains(v.name, "/") {
			if name, err := url.PathUnescape(v.name); err == nil && name != "" && name != ".." && !strings.Contains(name, "/") {
				if fi, err := os.Stat(path.Join(path.Dir(r.Filename), name)); err == nil {
					v.size = fi.Size()
				}
			}
		}
	}
	return variants, nil
}

// useMap puts a type map that MultiViews found in the request's place; its
// handler does the rest.
func (c *Config) useMap(r, sub *httpd.Request) httpd.Status {
	sub.PathInfo = r.PathInfo
	sub.URI += r.PathInfo
	r.Adopt(sub)
	r.Handler = mapHandler
	return httpd.OK
}

// handleMap serves a type map: an internal redirect to the variant chosen.
func handleMap(r *httpd.Request, c *Config) *httpd.Outcome {
	if r.Handler != mapHandler && (r.Handler != "" || r.ContentType != mapType) || r.Info == nil || r.Info.IsDir() {
		return nil
	}
	if r.Method != "GET" && r.Method != "HEAD" && r.Method != "POST" {
		return r.Fail(http.StatusMethodNotAllowed)
	}
	variants, err := readMap(r)
	if err != nil {
		r.Logf(httpd.LevelError, "negotiation", "AH00681: Syntax error in type map: %s: %v", r.Filename, err)
		return r.Fail(http.StatusInternalServerError)
	}
	best, st := c.negotiate(r, variants)
	if st != httpd.OK {
		return r.Fail(int(st))
	}
	if best.body != nil {
		h := []httpd.Field{{Name: "Content-Length", Value: strconv.Itoa(len(best.body))}}
		kind := best.mediaType
		if best.charset != "" {
			kind += ";charset=" + best.charset
		}
		if kind != "" {
			h = append(h, httpd.Field{Name: "Content-Type", Value: kind})
		}
		if len(best.languages) > 0 {
			h = append(h, httpd.Field{Name: "Content-Language", Value: strings.Join(best.languages, ", ")})
		}
		if best.encoding != "" {
			h = append(h, httpd.Field{Name: "Content-Encoding", Value: best.encoding})
		}
		return &httpd.Outcome{Status: http.StatusOK, Header: h, Body: best.body}
	}
	target := best.name
	if !strings.HasPrefix(target, "/") {
		uri := strings.TrimSuffix(r.URI, r.PathInfo)
		target = (&url.URL{Path: uri[:strings.LastIndexByte(uri, '/')+1]}).EscapedPath() + target
	}
	if r.Query != "" {
		target += "?" + r.Query
	}
	r.ErrOut = append(r.ErrOut, r.Out...) // they go with the redirect
	r.Out = nil
	return r.Redirect(target, 0)
}
