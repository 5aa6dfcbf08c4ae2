// Readers of the core's directives for the main server and virtual hosts, and
// the checks after reading.
package core

import (
	"fmt"
	"maps"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"modwsgi/gocore/internal/errorlog"
	"modwsgi/gocore/internal/httpd"
)

// mainInt makes a reader for a number of the main server.
func mainInt(field func(*config) *int, min, max int64) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, c *config) error {
		n, err := httpd.ParseInt(k.Arg(0), min, max)
		*field(c) = int(n)
		return err
	}
}

func setAccessFileName(k *httpd.Cmd, c *config) error {
	for _, n := range k.Args {
		if n == "" || strings.Contains(n, "/") {
			return fmt.Errorf("%q is not a file name", n)
		}
	}
	c.AccessFileName = httpd.Some(k.Args)
	return nil
}

func setRuntimeDir(k *httpd.Cmd, c *config) error { c.DefaultRuntimeDir = k.File(k.Arg(0)); return nil }
func setPidFile(k *httpd.Cmd, c *config) error    { c.PidFile = k.File(k.Arg(0)); return nil }

func setDocumentRoot(k *httpd.Cmd, c *config) error {
	dir := k.File(k.Arg(0))
	if fi, err := os.Stat(dir); err != nil {
		k.Warn("CORE-DOCUMENT-ROOT", "%s does not exist", dir)
	} else if !fi.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if dir == "/" {
		k.Warn("CORE-DOCUMENT-ROOT", "the whole file system is the document root")
	}
	c.DocumentRoot = httpd.Some(dir)
	return nil
}

// parseLogTarget reads the first argument of ErrorLog and CustomLog.
func parseLogTarget(k *httpd.Cmd) (httpd.LogTarget, error) {
	arg, t := k.Arg(0), httpd.LogTarget{Pos: k.Pos}
	switch {
	case arg == "":
		return t, fmt.Errorf("needs a file, a |command or syslog")
	case strings.HasPrefix(arg, "|"):
		t.Kind, t.Name = httpd.LogToPipe, arg[1:]
		if strings.HasPrefix(t.Name, "$") {
			t.Shell, t.Name = true, t.Name[1:]
		} else {
			t.Name = strings.TrimPrefix(t.Name, "|")
		}
		if strings.TrimSpace(t.Name) == "" {
			return t, fmt.Errorf("needs a command after the |")
		}
	case strings.EqualFold(arg, "syslog") || len(arg) > 7 && strings.EqualFold(arg[:7], "syslog:"):
		t.Kind = httpd.LogToSyslog
		if len(arg) > 7 {
			t.Name = arg[7:]
		}
	default:
		t.Name = k.File(arg)
	}
	return t, nil
}

func setErrorLog(k *httpd.Cmd, c *config) error {
	t, err := parseLogTarget(k)
	c.ErrorLog = httpd.Some(t)
	return err
}

// setErrorLogFormat reads the format of records, or of one more line before
// the first record of a connection or request.
func setErrorLogFormat(k *httpd.Cmd, c *config) error {
	format := k.Arg(len(k.Args) - 1)
	if _, err := errorlog.Compile(format, len(k.Args) == 1); err != nil {
		return err
	}
	switch {
	case len(k.Args) == 1:
		c.ErrorLogFormat = httpd.Some(format)
	case strings.EqualFold(k.Arg(0), "connection"):
		c.ErrorLogConnection = append(c.ErrorLogConnection, format)
	case strings.EqualFold(k.Arg(0), "request"):
		c.ErrorLogRequest = append(c.ErrorLogRequest, format)
	default:
		return fmt.Errorf("the first of two arguments must be connection or request, not %q", k.Arg(0))
	}
	return nil
}

func setGraceful(k *httpd.Cmd, c *config) error {
	n, err := httpd.ParseInt(k.Arg(0), 0, 1<<31-1)
	c.GracefulShutdownTimeout = time.Duration(n) * time.Second
	return err
}

func setKeepAliveTimeout(k *httpd.Cmd, c *config) error {
	d, err := httpd.ParseDuration(k.Arg(0), time.Second)
	c.KeepAliveTimeout = httpd.Some(d)
	return err
}

func setTimeout(k *httpd.Cmd, c *config) error {
	d, err := httpd.ParseDuration(k.Arg(0), time.Second)
	if err == nil && d <= 0 {
		err = fmt.Errorf("must be positive")
	}
	c.Timeout = httpd.Some(d)
	return err
}

// setListen reads [address:]port [protocol], or this server's additions:
// unix:path, and systemd:name for sockets that the service manager opened.
func setListen(k *httpd.Cmd, c *config) error {
	arg := k.Arg(0)
	l := httpd.ListenSpec{Network: "tcp", Proto: "http", Pos: k.Pos}
	if path, ok := strings.CutPrefix(arg, "unix:"); ok {
		if path == "" {
			return fmt.Errorf("unix: needs a path")
		}
		l.Network, l.Addr = "unix", k.File(path)
	} else if name, ok := strings.CutPrefix(arg, "systemd:"); ok {
		if name == "" || strings.Contains(name, ":") {
			return fmt.Errorf("systemd: needs the name of a socket, FileDescriptorName= of its unit")
		}
		l.Network, l.Addr = "systemd", name
	} else {
		host, port := "", arg
		if strings.ContainsAny(arg, ":.") {
			h, p, err := net.SplitHostPort(arg)
			if err != nil {
				return fmt.Errorf("%q is not [address:]port", arg)
			}
			host, port = h, p
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("%q is not a port (1 to 65535)", port)
		}
		if n == 443 {
			l.Proto = "https"
		}
		if host == "*" {
			host = ""
		}
		if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
			l.Network = "tcp6"
		} else if ip != nil {
			l.Network = "tcp4"
		}
		l.Addr = net.JoinHostPort(host, port)
	}
	for _, w := range k.Args[1:] {
		if strings.HasPrefix(strings.ToLower(w), "options=") {
			k.Notice(httpd.CodeIgnored, "%s is accepted without effect", w)
			continue
		}
		l.Proto = strings.ToLower(w)
	}
	for _, old := range c.Listen {
		if old.Network == l.Network && old.Addr == l.Addr {
			return fmt.Errorf("%s is listened on already (%s)", arg, old.Pos)
		}
	}
	c.Listen = append(c.Listen, l)
	return nil
}

// setProtocols takes the names in the order of preference. HTTP/1.1 is spoken in
// any case, as in Apache.
func setProtocols(k *httpd.Cmd, c *config) error {
	var names []string
	for _, p := range k.Args {
		switch p = strings.ToLower(p); p {
		case "h2", "h2c", "http/1.1":
			names = append(names, p)
		case "acme-tls/1":
			k.Notice(httpd.CodeIgnored, "%s has no effect: certificates are not fetched", p)
		default:
			return fmt.Errorf("%q is not h2, h2c or http/1.1", p)
		}
	}
	c.Protocols = httpd.Some(names)
	return nil
}

// setHonorOrder: the order of the client would count with Off.
func setHonorOrder(k *httpd.Cmd, c *config) error {
	on, err := k.Flag(0)
	if err == nil && !on {
		k.Notice(httpd.CodeIgnored, "no effect: the order of Protocols counts")
	}
	return err
}

func setServerAdmin(k *httpd.Cmd, c *config) error {
	c.ServerAdmin = httpd.Some(k.Arg(0))
	return nil
}

func setServerAlias(k *httpd.Cmd, c *config) error {
	c.ServerAlias = append(c.ServerAlias, k.Args...)
	return nil
}

func setServerName(k *httpd.Cmd, c *config) error {
	var n httpd.ServerNameSpec
	s := k.Arg(0)
	if i := strings.Index(s, "://"); i >= 0 {
		n.Scheme, s = strings.ToLower(s[:i]), s[i+3:]
		if n.Scheme != "http" && n.Scheme != "https" {
			return fmt.Errorf("unknown scheme %q", n.Scheme)
		}
	}
	host, port := httpd.SplitHost(s)
	if strings.Count(s, ":") > 1 && !strings.HasPrefix(s, "[") {
		host, port = s, "" // a bare IPv6 address
	}
	if port != "" {
		p, err := strconv.ParseUint(port, 10, 16)
		if err != nil || p == 0 {
			return fmt.Errorf("%q is not a port (1 to 65535)", port)
		}
		n.Port = int(p)
	}
	if host == "" || strings.ContainsAny(host, "/ \t") {
		return fmt.Errorf("%q is not a name", k.Arg(0))
	}
	n.Host = host
	c.ServerName = httpd.Some(n)
	return nil
}

// merge is the core's rule: what the child gives replaces, options with signs
// adjust, error documents overlay by status.
func merge(p, k *config) *config {
	c := *p // what only the main server has stays the main server's
	c.DocumentRoot = p.DocumentRoot.Over(k.DocumentRoot)
	c.ServerName = p.ServerName.Over(k.ServerName)
	c.ServerAlias = k.ServerAlias
	c.ServerAdmin = p.ServerAdmin.Over(k.ServerAdmin)
	c.ErrorLog = p.ErrorLog.Over(k.ErrorLog)
	c.ErrorLogFormat = p.ErrorLogFormat.Over(k.ErrorLogFormat)
	if len(k.ErrorLogConnection) > 0 {
		c.ErrorLogConnection = k.ErrorLogConnection
	}
	if len(k.ErrorLogRequest) > 0 {
		c.ErrorLogRequest = k.ErrorLogRequest
	}
	c.KeepAlive = p.KeepAlive.Over(k.KeepAlive)
	c.KeepAliveTimeout = p.KeepAliveTimeout.Over(k.KeepAliveTimeout)
	c.Timeout = p.Timeout.Over(k.Timeout)
	c.MaxKeepAliveRequests = p.MaxKeepAliveRequests.Over(k.MaxKeepAliveRequests)
	c.LimitLine = p.LimitLine.Over(k.LimitLine)
	c.LimitFields = p.LimitFields.Over(k.LimitFields)
	c.LimitFieldSize = p.LimitFieldSize.Over(k.LimitFieldSize)
	c.LimitRecursion = p.LimitRecursion.Over(k.LimitRecursion)
	c.MergeTrailers = p.MergeTrailers.Over(k.MergeTrailers)
	c.TraceEnable = p.TraceEnable.Over(k.TraceEnable)
	c.AllowEncodedSlashes = p.AllowEncodedSlashes.Over(k.AllowEncodedSlashes)
	c.MergeSlashes = p.MergeSlashes.Over(k.MergeSlashes)
	c.StrictHostCheck = p.StrictHostCheck.Over(k.StrictHostCheck)
	c.AccessFileName = p.AccessFileName.Over(k.AccessFileName)
	c.Protocols = p.Protocols.Over(k.Protocols)
	c.AcceptPathInfo = p.AcceptPathInfo.Over(k.AcceptPathInfo)
	if k.AllowOverride.Set {
		c.AllowOverride, c.OverrideOptions = k.AllowOverride, k.OverrideOptions
	}
	c.AllowOverrideList = p.AllowOverrideList.Over(k.AllowOverrideList)
	c.AddDefaultCharset = p.AddDefaultCharset.Over(k.AddDefaultCharset)
	c.FileETag = overETag(p.FileETag, k.FileETag)
	c.EnableMMAP = p.EnableMMAP.Over(k.EnableMMAP)
	c.EnableSendfile = p.EnableSendfile.Over(k.EnableSendfile)
	c.ForceType = p.ForceType.Over(k.ForceType)
	c.SetOutputFilter = p.SetOutputFilter.Over(k.SetOutputFilter)
	c.SetInputFilter = p.SetInputFilter.Over(k.SetInputFilter)
	if k.SetHandler.Set {
		c.SetHandler, c.SetHandlerExpr = k.SetHandler, k.SetHandlerExpr
	}
	c.HostnameLookups = p.HostnameLookups.Over(k.HostnameLookups)
	c.LimitRequestBody = p.LimitRequestBody.Over(k.LimitRequestBody)
	if p.LogLevel.Set && k.LogLevel.Set {
		c.LogLevel = httpd.Some(p.LogLevel.V.Over(k.LogLevel.V))
	} else {
		c.LogLevel = p.LogLevel.Over(k.LogLevel)
	}
	c.ServerSignature = p.ServerSignature.Over(k.ServerSignature)
	c.UseCanonicalName = p.UseCanonicalName.Over(k.UseCanonicalName)
	c.UseCanonicalPhysicalPort = p.UseCanonicalPhysicalPort.Over(k.UseCanonicalPhysicalPort)
	c.CGIPassAuth = p.CGIPassAuth.Over(k.CGIPassAuth)
	c.MaxRanges = p.MaxRanges.Over(k.MaxRanges)
	if len(k.ErrorDocument) > 0 {
		c.ErrorDocument = maps.Clone(p.ErrorDocument)
		if c.ErrorDocument == nil {
			c.ErrorDocument = map[int]httpd.ErrorDoc{}
		}
		maps.Copy(c.ErrorDocument, k.ErrorDocument)
	}
	switch {
	case k.OptGiven:
		c.OptGiven, c.OptSet, c.OptAdd, c.OptRemove = true, k.OptSet, 0, 0
	case c.OptGiven:
		c.OptSet = (c.OptSet | k.OptAdd) &^ k.OptRemove
	default:
		c.OptAdd = (p.OptAdd | k.OptAdd) &^ k.OptRemove
		c.OptRemove = (p.OptRemove | k.OptRemove) &^ k.OptAdd
	}
	return &c
}
