// Package remoteip is mod_remoteip: the client's address from a header field
// that proxies in front of the server set, or from the PROXY protocol.
//
// This file has the settings and directives; address.go finds the address.
// The PROXY protocol itself is read by package listen, before HTTP.
package remoteip

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authzhost"
)

// Config is the module's settings of a host.
type Config struct {
	header       httpd.Opt[string] // RemoteIPHeader
	proxies      []proxy
	proxiesField httpd.Opt[string] // RemoteIPProxiesHeader
	protocol     httpd.Opt[bool]   // RemoteIPProxyProtocol
	exceptions   []netip.Prefix
}

// proxy is a network of proxies that are believed. Internal ones may name
// clients with private addresses, and are not listed in RemoteIPProxiesHeader.
type proxy struct {
	netip.Prefix
	internal bool
}

// Module is mod_remoteip.
var Module = &httpd.Module[Config]{
	Name: "remoteip", ID: "remoteip_module", File: "mod_remoteip.c",
	Directives: []httpd.Directive[Config]{
		{Name: "RemoteIPHeader", Args: "field", Min: 1, Max: 1, In: httpd.InServerHost, Set: setHeader,
			Doc: "The header field with the client's address, X-Forwarded-For for instance."},
		{Name: "RemoteIPInternalProxy", Args: "address|network|name ...", Min: 1, Max: -1, In: httpd.InServerHost, Set: setProxies(true),
			Doc: "Proxies that are believed, also about clients with private addresses."},
		{Name: "RemoteIPInternalProxyList", Args: "file", Min: 1, Max: 1, In: httpd.InServerHost, Set: setList(true),
			Doc: "A file with such proxies, one per line."},
		{Name: "RemoteIPTrustedProxy", Args: "address|network|name ...", Min: 1, Max: -1, In: httpd.InServerHost, Set: setProxies(false),
			Doc: "Proxies that are believed about clients with public addresses."},
		{Name: "RemoteIPTrustedProxyList", Args: "file", Min: 1, Max: 1, In: httpd.InServerHost, Set: setList(false),
			Doc: "A file with such proxies, one per line."},
		{Name: "RemoteIPProxiesHeader", Args: "field", Min: 1, Max: 1, In: httpd.InServerHost, Set: setProxiesField,
			Doc: "A header field for the application that lists the trusted proxies on the way."},
		{Name: "RemoteIPProxyProtocol", Args: "On|Off", Min: 1, Max: 1, In: httpd.InServerHost, Default: "Off", Set: setProtocol,
			Doc: "Whether connections to the host's addresses begin with a PROXY header, version 1 or 2."},
		{Name: "RemoteIPProxyProtocolExceptions", Args: "address|network ...", Min: 1, Max: -1, In: httpd.InServerHost, Set: setExceptions,
			Doc: "Clients whose connections begin with HTTP nevertheless."},
	},
	Merge:      merge,
	PerRequest: func(c *Config) bool { return c.header.V != "" },
	Host: func(v *httpd.VirtualHost, c *Config) {
		v.ProxyProtocol, v.ProxyProtocolExceptions = c.protocol.V, c.exceptions
	},
	PostRead: postRead,
}

func merge(parent, child *Config) *Config {
	c := &Config{header: parent.header.Over(child.header), proxies: child.proxies, proxiesField: parent.proxiesField.Over(child.proxiesField),
		protocol: parent.protocol.Over(child.protocol), exceptions: child.exceptions}
	if len(c.proxies) == 0 {
		c.proxies = parent.proxies
	}
	if len(c.exceptions) == 0 {
		c.exceptions = parent.exceptions
	}
	return c
}

func setHeader(k *httpd.Cmd, c *Config) error {
	name, err := fieldName(k.Arg(0))
	c.header = httpd.Some(name)
	return err
}

func setProxiesField(k *httpd.Cmd, c *Config) error {
	name, err := fieldName(k.Arg(0))
	c.proxiesField = httpd.Some(name)
	return err
}

func fieldName(s string) (string, error) {
	if s == "" || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, c) }) {
		return "", fmt.Errorf("%q is not the name of a header field", s)
	}
	return s, nil
}

func setProxies(internal bool) func(*httpd.Cmd, *Config) error {
	return func(k *httpd.Cmd, c *Config) error {
		for _, w := range k.Args {
			if err := c.add(w, internal); err != nil {
				return err
			}
		}
		return nil
	}
}

// add reads an address, a network, or a name. Names are not looked up: whoever
// answers for them at the start of the server could make himself a proxy.
func (c *Config) add(w string, internal bool) error {
	p, err := authzhost.ParseSubnet(w)
	if err != nil {
		if strings.ContainsFunc(w, func(c rune) bool { return c >= 'g' && c <= 'z' || c >= 'G' && c <= 'Z' }) {
			return &httpd.Coded{Code: "REMOTEIP-NAME", Message: fmt.Sprintf("%q is a name, and names of proxies are not looked up", w),
				Suggestion: "give its address or network"}
		}
		return err
	}
	c.proxies = append(c.proxies, proxy{p, internal})
	return nil
}

// setList reads a file of addresses: one per line, # begins a comment.
func setList(internal bool) func(*httpd.Cmd, *Config) error {
	return func(k *httpd.Cmd, c *Config) error {
		name := k.File(k.Arg(0))
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for n := 1; lines.Scan(); n++ {
			text, _, _ := strings.Cut(lines.Text(), "#")
			for _, w := range strings.Fields(text) {
				if err := c.add(w, internal); err != nil {
					return fmt.Errorf("%s:%d: %w", name, n, err)
				}
			}
		}
		return lines.Err()
	}
}

func setProtocol(k *httpd.Cmd, c *Config) error {
	on, err := k.Flag(0)
	c.protocol = httpd.Some(on)
	return err
}

func setExceptions(k *httpd.Cmd, c *Config) error {
	for _, w := range k.Args {
		p, err := authzhost.ParseSubnet(w)
		if err != nil {
			return err
		}
		c.exceptions = append(c.exceptions, p)
	}
	return nil
}
