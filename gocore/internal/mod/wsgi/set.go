// Readers of the directives about requests and about Python.
package wsgi

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// caseSensitive is WSGICaseSensitivity's default.
const caseSensitive = runtime.GOOS != "darwin" && runtime.GOOS != "windows"

func text(field func(*config) *httpd.Opt[string]) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, c *config) error {
		*field(c) = httpd.Some(k.Arg(0))
		return nil
	}
}

func setProcessGroup(k *httpd.Cmd, c *config) error {
	c.processGroup, c.processGroupPos = httpd.Some(k.Arg(0)), k.Pos
	return nil
}

func flag(field func(*config) *httpd.Opt[bool]) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, c *config) error {
		v, err := k.Flag(0)
		*field(c) = httpd.Some(v)
		return err
	}
}

// checkedFlag accepts a flag whose two values behave alike here.
func checkedFlag(k *httpd.Cmd, c *config) error {
	_, err := k.Flag(0)
	return err
}

// ignoredFlag accepts a flag and says that On does nothing.
func ignoredFlag(k *httpd.Cmd, c *config) error {
	on, err := k.Flag(0)
	if on {
		k.Notice(httpd.CodeIgnored, "accepted without effect")
	}
	return err
}

func setFileOrApplication(k *httpd.Cmd, c *config) error {
	v := strings.ToLower(k.Arg(0))
	if v != "off" && v != "on" && v != "directories" {
		return fmt.Errorf("must be Off, On or Directories, not %q", k.Arg(0))
	}
	if len(k.Args) > 1 && (!strings.EqualFold(k.Arg(1), "Rules") || v == "off") {
		return fmt.Errorf("after On or Directories there can be Rules, not %q", k.Arg(1))
	}
	c.fileOrApplication, c.filesHost, c.afterRules = httpd.Some(v), k.HostIndex, len(k.Args) > 1
	return nil
}

func setRestrictProcess(k *httpd.Cmd, c *config) error {
	names := make([]string, len(k.Args))
	for i, n := range k.Args {
		names[i] = global(n)
	}
	c.restrictProcess = httpd.Some(names)
	return nil
}

func setMapHEAD(k *httpd.Cmd, c *config) error {
	switch strings.ToLower(k.Arg(0)) {
	case "on":
		c.mapHEAD = httpd.Some(httpd.MapHEADOn)
	case "off":
		c.mapHEAD = httpd.Some(httpd.MapHEADOff)
	case "auto":
		c.mapHEAD = httpd.Some(httpd.MapHEADAuto)
	default:
		return fmt.Errorf("must be On, Off or Auto, not %q", k.Arg(0))
	}
	return nil
}

// trustable are the headers that mod_wsgi knows what to do with.
var trustable = map[string]bool{
	"x-forwarded-for": true, "x-client-ip": true, "x-real-ip": true, "x-forwarded-host": true, "x-host": true, "x-forwarded-server": true,
	"x-forwarded-port": true, "x-script-name": true, "x-forwarded-script-name": true, "x-forwarded-proto": true, "x-forwarded-scheme": true,
	"x-scheme": true, "x-forwarded-https": true, "x-forwarded-ssl": true, "x-https": true,
}

func setTrustedHeaders(k *httpd.Cmd, c *config) error {
	list := append([]string(nil), c.trustedHeaders.V...)
	for _, h := range k.Args {
		for _, b := range []byte(h) {
			if b != '-' && (b < '0' || b > '9') && (b|0x20 < 'a' || b|0x20 > 'z') {
				return fmt.Errorf("%q is not a header's name", h)
			}
		}
		h = strings.ToLower(h)
		if !trustable[h] {
			k.Warn("WSGI-PROXY-HEADER", "%q is not a header that changes anything; ignored", h)
			continue
		}
		list = append(list, h)
	}
	c.trustedHeaders = httpd.Some(list)
	return nil
}

func setTrustedProxies(k *httpd.Cmd, c *config) error {
	list := append([]netip.Prefix(nil), c.trustedProxies.V...)
	for _, w := range k.Args {
		p, err := parsePrefix(w)
		if err != nil {
			return err
		}
		list = append(list, p)
	}
	c.trustedProxies = httpd.Some(list)
	return nil
}

// parsePrefix reads an address, address/bits or address/netmask.
func parsePrefix(w string) (netip.Prefix, error) {
	bad := fmt.Errorf("%q is not an address or network", w)
	a, mask, has := strings.Cut(w, "/")
	addr, err := netip.ParseAddr(a)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, bad
	}
	bits := addr.BitLen()
	if has {
		if m, err := netip.ParseAddr(mask); err == nil && m.Is4() && addr.Is4() {
			b := m.As4()
			v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
			for bits = 0; bits < 32 && v&(1<<(31-bits)) != 0; bits++ {
			}
			if v<<bits != 0 && bits < 32 {
				return netip.Prefix{}, bad
			}
		} else if bits, err = strconv.Atoi(mask); err != nil || bits < 0 || bits > addr.BitLen() {
			return netip.Prefix{}, bad
		}
	}
	if addr.Is4In6() && bits >= 96 {
		addr, bits = addr.Unmap(), bits-96
	}
	return netip.PrefixFrom(addr, bits).Masked(), nil
}

// python makes a reader for a setting of the main server.
func python(set func(*httpd.Cmd, *httpd.PythonConfig) error) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, c *config) error { return set(k, &mainOf(k, c).python) }
}

func pyFlag(field func(*httpd.PythonConfig) *bool) func(*httpd.Cmd, *httpd.PythonConfig) error {
	return func(k *httpd.Cmd, p *httpd.PythonConfig) error {
		v, err := k.Flag(0)
		*field(p) = v
		return err
	}
}

// block makes a reader for a flag that may stand in <WSGIInterpreterOptions>.
func block(main func(*httpd.PythonConfig) *bool, in func(*httpd.InterpreterOptions) *httpd.Opt[bool]) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, c *config) error {
		v, err := k.Flag(0)
		if m := mainOf(k, c); m.block != nil {
			*in(m.block) = httpd.Some(v)
		} else {
			*main(&m.python) = v
		}
		return err
	}
}

func setSwitchInterval(k *httpd.Cmd, c *config) error {
	v, err := seconds(k.Arg(0))
	if err == nil && v <= 0 {
		err = fmt.Errorf("must be a positive number of seconds")
	}
	if m := mainOf(k, c); m.block != nil {
		m.block.SwitchInterval = httpd.Some(v)
	} else {
		m.python.SwitchInterval = v
	}
	return err
}

func seconds(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v != v || v < 0 || v > 1e9 {
		return 0, fmt.Errorf("%q is not a number of seconds", s)
	}
	return v, nil
}

func setPythonHome(k *httpd.Cmd, p *httpd.PythonConfig) error {
	p.Home = k.File(k.Arg(0))
	if fi, err := os.Stat(p.Home); err != nil || !fi.IsDir() {
		k.Warn("WSGI-PYTHON-HOME", "%s is not a directory", p.Home)
	}
	return nil
}

// setPythonPath reads directories; inside <WSGIInterpreterOptions> too.
func setPythonPath(k *httpd.Cmd, p *httpd.PythonConfig) error {
	p.Path = splitPath(k.Arg(0))
	return nil
}

func splitPath(s string) []string {
	var out []string
	for _, d := range strings.Split(s, ":") {
		if d != "" {
			out = append(out, d)
		}
	}
	return out
}

// setHashSeed differs from mod_wsgi in one point: "random" is random.
func setHashSeed(k *httpd.Cmd, p *httpd.PythonConfig) error {
	if v := k.Arg(0); v != "random" {
		if _, err := strconv.ParseUint(v, 10, 32); err != nil {
			return fmt.Errorf("must be random or a number from 0 to 4294967295, not %q", v)
		}
	}
	p.HashSeed = k.Arg(0)
	return nil
}

// setInterpreterOptions reads the section; its directives find the open block
// in the main server's settings.
func setInterpreterOptions(k *httpd.Cmd, c *config) error {
	var o httpd.InterpreterOptions
	for _, w := range k.Args {
		key, value, err := keyValue(w)
		if err != nil {
			return err
		}
		v := global(value)
		switch field := strings.ToLower(key); {
		case field == "process-group" && o.ProcessGroup == nil:
			o.ProcessGroup = &v
		case field == "application-group" && o.ApplicationGroup == nil:
			o.ApplicationGroup = &v
		case field == "process-group" || field == "application-group":
			return fmt.Errorf("%s is given twice", key)
		default:
			return fmt.Errorf("unknown selector %q", key)
		}
	}
	m := mainOf(k, c)
	path := m.python.Path
	m.python.Path, m.block = nil, &o
	k.Apply(k.Children)
	o.PythonPath = m.python.Path
	m.python.Path, m.block = path, nil
	if o.FreeThreading.Set && o.ApplicationGroup != nil {
		k.Warn("WSGI-FREE-THREADING", "WSGIFreeThreading holds for a whole process: it is ignored in a section for an application group")
		o.FreeThreading = httpd.Opt[bool]{}
	}
	m.interpreters = append(m.interpreters, o)
	return nil
}

func setAcceptMutex(k *httpd.Cmd, c *config) error {
	for _, n := range []string{"default", "flock", "fcntl", "sysvsem", "posixsem", "pthread"} {
		if strings.EqualFold(n, k.Arg(0)) {
			k.Notice(httpd.CodeIgnored, "accepted without effect: there is no accept lock")
			return nil
		}
	}
	return fmt.Errorf("must be default, flock, fcntl, sysvsem, posixsem or pthread, not %q", k.Arg(0))
}
