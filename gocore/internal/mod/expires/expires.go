// Package expires is mod_expires: Expires and Cache-Control: max-age by media
// type, for responses that have no Expires.
//
// The whole module is in this file.
package expires

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"modwsgi/gocore/internal/httpd"
)

type config struct {
	active httpd.Opt[bool]
	def    httpd.Opt[lifetime]
	byType map[string]lifetime // by "type/subtype" or "type/*", lower case
}

// lifetime is how long a response may be used, from the request or from the
// last change of the file.
type lifetime struct {
	modified bool
	seconds  int64
}

const syntax = `"base plus number unit ..." with base access, now or modification and unit years ... seconds, or A or M and seconds`

// Module is mod_expires.
var Module = &httpd.Module[config]{
	Name: "expires", ID: "expires_module", File: "mod_expires.c",
	Directives: []httpd.Directive[config]{
		{Name: "ExpiresActive", Args: "On|Off", Min: 1, Max: 1, In: httpd.Anywhere, Override: httpd.OverrideIndexes, Default: "Off", Set: setActive,
			Doc: "Whether responses get the fields Expires and Cache-Control: max-age."},
		{Name: "ExpiresByType", Args: "type/subtype|type/* time", Min: 2, Max: 2, In: httpd.Anywhere, Override: httpd.OverrideIndexes, Set: setByType,
			Doc: "How long responses of a media type may be used."},
		{Name: "ExpiresDefault", Args: "time", Min: 1, Max: 1, In: httpd.Anywhere, Override: httpd.OverrideIndexes, Set: setDefault,
			Doc: "How long responses of other types may be used."},
	},
	Merge:       merge,
	HasResponse: func(c *config) bool { return c.active.V && (c.def.Set || len(c.byType) > 0) },
	Steady:      func(*config) httpd.Steadiness { return httpd.ForASecond }, // dates
	Response:    response,
}

func merge(p, k *config) *config {
	c := &config{active: p.active.Over(k.active), def: p.def.Over(k.def), byType: p.byType}
	if len(k.byType) > 0 {
		c.byType = map[string]lifetime{}
		maps.Copy(c.byType, p.byType)
		maps.Copy(c.byType, k.byType)
	}
	return c
}

func setActive(k *httpd.Cmd, c *config) error {
	on, err := k.Flag(0)
	c.active = httpd.Some(on)
	return err
}

func setByType(k *httpd.Cmd, c *config) error {
	t := strings.ToLower(k.Arg(0))
	major, minor, ok := strings.Cut(t, "/")
	if !ok || major == "" || minor == "" || strings.ContainsAny(t, "; ") || strings.Contains(major, "*") || minor != "*" && strings.Contains(minor, "*") {
		return fmt.Errorf("%q is not a media type: type/subtype or type/*", k.Arg(0))
	}
	l, err := parse(k.Arg(1))
	if err != nil {
		return err
	}
	if c.byType == nil {
		c.byType = map[string]lifetime{}
	}
	c.byType[t] = l
	return nil
}

func setDefault(k *httpd.Cmd, c *config) error {
	l, err := parse(k.Arg(0))
	c.def = httpd.Some(l)
	return err
}

// units in seconds: a year has 365 days and a month 30, as in Apache.
var units = []struct {
	name    string
	seconds int64
}{
	{"years", 365 * 24 * 3600}, {"months", 30 * 24 * 3600}, {"weeks", 7 * 24 * 3600}, {"days", 24 * 3600},
	{"hours", 3600}, {"minutes", 60}, {"seconds", 1},
}

// maxSeconds is what fits into time.Duration: 200 years.
const maxSeconds = 200 * 365 * 24 * 3600

// parse reads a time.
func parse(s string) (l lifetime, err error) {
	bad := func(format string, a ...any) (lifetime, error) {
		return l, &httpd.Coded{Code: httpd.CodeArguments, Message: fmt.Sprintf(format, a...), Suggestion: syntax}
	}
	w := strings.Fields(s)
	if len(w) == 0 {
		return bad("the time is empty")
	}
	if len(w) == 1 && len(s) > 1 && (w[0][0] == 'A' || w[0][0] == 'M') {
		if n, err := strconv.ParseInt(w[0][1:], 10, 64); err == nil {
			if n < -maxSeconds || n > maxSeconds {
				return bad("%q is too far away", s)
			}
			return lifetime{w[0][0] == 'M', n}, nil
		}
	}
	switch base := strings.ToLower(w[0]); {
	case strings.HasPrefix("access", base) || strings.HasPrefix("now", base):
	case strings.HasPrefix("modification", base):
		l.modified = true
	default:
		return bad("%q does not begin with access, now or modification", s)
	}
	w = w[1:]
	if len(w) > 0 && strings.EqualFold(w[0], "plus") {
		w = w[1:]
	}
	if len(w)%2 != 0 {
		return bad("%q lacks a number or unit", s)
	}
	for ; len(w) > 0; w = w[2:] {
		n, err := strconv.ParseInt(w[0], 10, 32)
		if err != nil || n < 0 {
			return bad("%q is not a number", w[0])
		}
		u := unit(w[1])
		if u == 0 {
			return bad("%q is not a unit", w[1])
		}
		if l.seconds += n * u; l.seconds < -maxSeconds || l.seconds > maxSeconds {
			return bad("%q is too far away", s)
		}
	}
	return l, nil
}

// unit is the number of seconds of a unit, which may be cut short as long as
// it is clear; 0 if there is none of that name.
func unit(w string) int64 {
	w = strings.ToLower(w)
	for _, u := range units {
		if strings.HasPrefix(u.name, w) && w != "m" {
			return u.seconds
		}
	}
	return 0
}

func response(r *httpd.Request, c *config, h *httpd.ResponseHead) {
	if h.Status >= 400 || r.OwnPage() {
		return
	}
	if _, ok := h.Get("Expires"); ok {
		return
	}
	l, ok := c.lookup(r, h)
	if !ok {
		return
	}
	now := r.Start
	until := now.Add(time.Duration(l.seconds) * time.Second)
	if l.modified {
		if r.Info == nil || r.Info.IsDir() || r.Mount != nil || r.Handler != "" && r.Handler != "default-handler" {
			return // not a file: there is no date of a last change
		}
		until = r.Info.ModTime().Add(time.Duration(l.seconds) * time.Second)
	}
	if until.Before(now) {
		until = now
	}
	age := "max-age=" + strconv.FormatInt(int64(until.Sub(now)/time.Second), 10)
	if old, ok := h.Header.Get("Cache-Control"); ok {
		age = old + ", " + age
	}
	h.Header.Set("Cache-Control", age)
	h.Header.Set("Expires", until.UTC().Format(http.TimeFormat))
}

// lookup finds the time for the response's type; a 304 has none, but the file.
func (c *config) lookup(r *httpd.Request, h *httpd.ResponseHead) (lifetime, bool) {
	t, ok := h.Get("Content-Type")
	if !ok {
		t = r.ContentType
	}
	t, _, _ = strings.Cut(t, ";")
	t = strings.ToLower(strings.TrimSpace(t))
	if l, ok := c.byType[t]; ok {
		return l, true
	}
	major, _, _ := strings.Cut(t, "/")
	if l, ok := c.byType[major+"/*"]; ok {
		return l, true
	}
	return c.def.V, c.def.Set
}
