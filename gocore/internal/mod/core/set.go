// Readers of the core's directives that stand in sections too.
package core

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// flag makes a reader for an On|Off directive.
func flag(field func(*config) *httpd.Opt[bool]) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, c *config) error {
		v, err := k.Flag(0)
		*field(c) = httpd.Some(v)
		return err
	}
}

// choice makes a reader for one of several words, stored in lower case.
func choice(field func(*config) *httpd.Opt[string], allowed ...string) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, c *config) error {
		for _, a := range allowed {
			if strings.EqualFold(a, k.Arg(0)) {
				*field(c) = httpd.Some(strings.ToLower(a))
				return nil
			}
		}
		return fmt.Errorf("must be one of %s, not %q", strings.Join(allowed, ", "), k.Arg(0))
	}
}

// number makes a reader for a number in a range.
func number(field func(*config) *httpd.Opt[int], min, max int64) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, c *config) error {
		n, err := httpd.ParseInt(k.Arg(0), min, max)
		*field(c) = httpd.Some(int(n))
		return err
	}
}

// readAlready is for what package conf has dealt with while reading.
func readAlready(*httpd.Cmd, *config) error { return nil }

func setAcceptPathInfo(k *httpd.Cmd, c *config) error {
	return choice(func(c *config) *httpd.Opt[string] { return &c.AcceptPathInfo }, "On", "Off", "Default")(k, c)
}

func setDefaultCharset(k *httpd.Cmd, c *config) error {
	switch v := k.Arg(0); {
	case strings.EqualFold(v, "off"):
		c.AddDefaultCharset = httpd.Some("")
	case strings.EqualFold(v, "on"):
		c.AddDefaultCharset = httpd.Some("iso-8859-1")
	default:
		c.AddDefaultCharset = httpd.Some(v)
	}
	return nil
}

// setAllowOverride reads the classes of AllowOverride. Nonfatal is refused:
// what it would let pass is what a .htaccess file may rely on.
func setAllowOverride(k *httpd.Cmd, c *config) error {
	if re, _ := k.PathRegexp(); re != nil {
		return fmt.Errorf("has no effect in a section with a regular expression; use <Directory> with a path")
	}
	var o httpd.Override
	options := ^httpd.Options(0)
	for _, w := range k.Args {
		name, list, has := strings.Cut(w, "=")
		switch strings.ToLower(name) {
		case "none":
			if len(k.Args) > 1 {
				return fmt.Errorf("None must stand alone")
			}
		case "all":
			o |= httpd.OverrideAll
		case "authconfig":
			o |= httpd.OverrideAuthConfig
		case "fileinfo":
			o |= httpd.OverrideFileInfo
		case "indexes":
			o |= httpd.OverrideIndexes
		case "limit":
			o |= httpd.OverrideLimit
		case "options":
			if has {
				options = 0
				for n := range strings.SplitSeq(list, ",") {
					bit, ok := optionNames[strings.ToLower(n)]
					if !ok {
						return unknownOption(n)
					}
					options |= bit
				}
			}
			o |= httpd.OverrideOptions
		case "nonfatal":
			return &httpd.Coded{Code: httpd.CodeUnavailable, Message: "Nonfatal is not available: a line that is not allowed may be one that restricts access"}
		default:
			return fmt.Errorf("unknown class %q", w)
		}
	}
	c.AllowOverride, c.OverrideOptions = httpd.Some(o), options
	return nil
}

func setAllowOverrideList(k *httpd.Cmd, c *config) error {
	if len(k.Args) == 1 && strings.EqualFold(k.Args[0], "none") {
		c.AllowOverrideList = httpd.Some([]string(nil))
		return nil
	}
	c.AllowOverrideList = httpd.Some(k.Args)
	return nil
}

// setErrorDocument reads what to show for a status. A word that begins with a
// slash is a path, one with a scheme a URL, all else is text; a leading quote
// is Apache 1.3's way to mark a text.
func setErrorDocument(k *httpd.Cmd, c *config) error {
	status, err := strconv.Atoi(k.Arg(0))
	if err != nil || status < 400 || status > 599 {
		return fmt.Errorf("%q is not an error status", k.Arg(0))
	}
	doc := httpd.ErrorDoc{Kind: httpd.ErrorDocText, Text: k.Arg(1)}
	lower := strings.ToLower(doc.Text)
	quoted := strings.HasPrefix(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(k.Raw), k.Arg(0))), `"`)
	switch {
	case strings.EqualFold(doc.Text, "default"):
		doc = httpd.ErrorDoc{Kind: httpd.ErrorDocDefault}
	case strings.HasPrefix(doc.Text, "/") && !strings.Contains(doc.Text, " "):
		doc.Kind = httpd.ErrorDocLocal
	case (strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://")) && !strings.Contains(doc.Text, " "):
		doc.Kind = httpd.ErrorDocExternal
		if status == 401 {
			k.Warn("CORE-ERROR-DOCUMENT-401", "a URL cannot be the document for 401, because the browser would not ask for a password; ignored")
			return nil
		}
	case !quoted && strings.HasPrefix(doc.Text, `"`):
		doc.Text = doc.Text[1:]
	}
	if doc.Kind != httpd.ErrorDocDefault {
		e, err := k.StringExpr(doc.Text)
		if err != nil {
			return err
		}
		var constant bool
		if doc.Text, constant = e.Constant(); !constant {
			doc.Text, doc.Expr = e.String(), e
		}
	}
	m := maps.Clone(c.ErrorDocument)
	if m == nil {
		m = map[int]httpd.ErrorDoc{}
	}
	m[status] = doc
	c.ErrorDocument = m
	return nil
}

func setForceType(k *httpd.Cmd, c *config) error {
	v := k.Arg(0)
	if strings.EqualFold(v, "none") {
		v = ""
	}
	c.ForceType = httpd.Some(v)
	return nil
}

func setLimitBody(k *httpd.Cmd, c *config) error {
	n, err := httpd.ParseInt(k.Arg(0), 0, 1<<62)
	c.LimitRequestBody = httpd.Some(n)
	return err
}

// setLogLevel reads levels; a bare level resets all modules.
func setLogLevel(k *httpd.Cmd, c *config) error {
	l := httpd.LogLevels{Default: httpd.LevelInherited, Module: map[string]int{}}
	if c.LogLevel.Set {
		l.Default = c.LogLevel.V.Default
		maps.Copy(l.Module, c.LogLevel.V.Module)
	}
	for _, w := range k.Args {
		module, level, has := strings.Cut(w, ":")
		if !has {
			module, level = "", w
		}
		if strings.EqualFold(level, "trace") {
			level = "trace1"
		}
		n := slices.Index(httpd.LevelNames, strings.ToLower(level))
		if n < 0 {
			return fmt.Errorf("unknown level %q; known are %s", level, strings.Join(httpd.LevelNames, ", "))
		}
		if !has {
			l = httpd.LogLevels{Default: n, Module: map[string]int{}}
			continue
		}
		module = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(strings.ToLower(module), ".c"), "mod_"), "_module")
		l.Module[module] = n
	}
	c.LogLevel = httpd.Some(l)
	return nil
}

func setMaxRanges(k *httpd.Cmd, c *config) error {
	switch strings.ToLower(k.Arg(0)) {
	case "default":
		c.MaxRanges = httpd.Some(200)
	case "unlimited":
		c.MaxRanges = httpd.Some(-1)
	case "none":
		c.MaxRanges = httpd.Some(0)
	default:
		n, err := httpd.ParseInt(k.Arg(0), 0, 1<<31-1)
		c.MaxRanges = httpd.Some(int(n))
		return err
	}
	return nil
}

var optionNames = map[string]httpd.Options{
	"none": 0, "all": httpd.OptAll, "execcgi": httpd.OptExecCGI, "followsymlinks": httpd.OptFollowSymLinks,
	"symlinksifownermatch": httpd.OptSymLinksIfOwnerMatch, "includes": httpd.OptIncludes, "includesnoexec": httpd.OptIncludesNoExec,
	"indexes": httpd.OptIndexes, "multiviews": httpd.OptMultiViews, "runscripts": 0,
}

func unknownOption(word string) error {
	return fmt.Errorf("unknown option %q; known are None, All, ExecCGI, FollowSymLinks, SymLinksIfOwnerMatch, Includes, IncludesNOEXEC, Indexes and MultiViews", word)
}

// setOptions reads options: bare words replace, words with a sign adjust.
func setOptions(k *httpd.Cmd, c *config) error {
	first := true
	for _, w := range k.Args {
		name, sign := w, byte(0)
		if w != "" && (w[0] == '+' || w[0] == '-') {
			name, sign = w[1:], w[0]
		}
		bit, ok := optionNames[strings.ToLower(name)]
		switch {
		case !ok:
			return unknownOption(w)
		case bit&^k.Options != 0:
			return fmt.Errorf("option %s is not allowed here: AllowOverride Options= lacks it", name)
		case (sign == 0) != (k.Args[0] != "" && k.Args[0][0] != '+' && k.Args[0][0] != '-'):
			return fmt.Errorf("options must all have a sign or none")
		case sign == 0:
			if first {
				c.OptGiven, c.OptSet, c.OptAdd, c.OptRemove, first = true, 0, 0, 0, false
			}
			c.OptSet |= bit
		case sign == '+':
			c.OptSet |= bit
			c.OptAdd |= bit
			c.OptRemove &^= bit
		default:
			c.OptSet &^= bit
			c.OptRemove |= bit
			c.OptAdd &^= bit
		}
	}
	return nil
}

func setHandler(k *httpd.Cmd, c *config) error {
	h := k.Arg(0)
	switch {
	case strings.EqualFold(h, "none"):
		h = ""
	case strings.HasPrefix(h, "proxy:"):
		return &httpd.Coded{Code: httpd.CodeUnavailable, Message: "passes the name of a file on, which servers for FastCGI (PHP-FPM) need; FastCGI is not available",
			Suggestion: "let a web server of its own run PHP, and use ProxyPass to it inside of <Location>"}
	}
	c.SetHandler, c.SetHandlerExpr = httpd.Some(h), nil
	if strings.Contains(h, "%{") {
		e, err := k.StringExpr(h)
		if err != nil {
			return err
		}
		c.SetHandlerExpr = e
	}
	return nil
}

// setOutputFilter takes the place of what an enclosing scope said.
func setOutputFilter(k *httpd.Cmd, c *config) error {
	names, err := k.OutputFilters(k.Arg(0))
	c.SetOutputFilter = httpd.Some(names)
	return err
}

func setInputFilter(k *httpd.Cmd, c *config) error {
	names, err := k.InputFilters(k.Arg(0))
	c.SetInputFilter = httpd.Some(names)
	return err
}

// setFileETag keeps the words; what they mean is the default handler's matter.
func setFileETag(k *httpd.Cmd, c *config) error {
	for _, w := range k.Args {
		switch name := strings.ToLower(strings.TrimLeft(w, "+-")); name {
		case "inode", "mtime", "size", "digest":
		case "all", "none":
			if name != strings.ToLower(w) {
				return fmt.Errorf("%s takes no sign", w)
			}
		default:
			return fmt.Errorf("unknown component %q; known are INode, MTime, Size, Digest, All and None", w)
		}
	}
	c.FileETag = overETag(c.FileETag, httpd.Some(strings.Join(k.Args, " ")))
	return nil
}

// overETag merges FileETag: words that begin with a sign change the outer
// setting, others replace it.
func overETag(p, k httpd.Opt[string]) httpd.Opt[string] {
	if k.Set && p.Set && (k.V[0] == '+' || k.V[0] == '-') {
		return httpd.Some(p.V + " " + k.V)
	}
	return p.Over(k)
}
