// Plans on the hop: what a front process says of the application that a request
// is for. The two sides have different configurations (package process,
// given.go), so the plan itself travels, as an opaque key: once, and requests then
// name its number (hop.Pool.Plan); the daemon remembers what it has made of it.
package worker

import (
	"encoding/binary"
	"errors"
	"slices"

	"modwsgi/gocore/internal/httpd"
)

// Bits of a plan on the hop.
const (
	planPassAuthorization = 1 << iota
	planMapHEAD
	planMultithread
	planMultiprocess
	planReloading
	planIgnoreActivity
	planCaseSensitivity
	planMade // ScriptName and Environ are those of the plan; else they come with each request
)

// planFixed is the length of what each description begins with: bits, host, level, port.
const planFixed = 14

// Bits of hop.Request.Flags.
const hopNoBody = 1 // wsgi.input is empty, whatever the head says

var errPlanKey = errors.New("malformed description of an application")

// planKey describes a plan. made says that script name and environ belong to it.
func planKey(p *httpd.Plan, made bool) []byte {
	bits := uint32(0)
	for _, f := range []struct {
		on  bool
		bit uint32
	}{{p.PassAuthorization, planPassAuthorization}, {mapHEAD(p), planMapHEAD}, {p.Multithread, planMultithread},
		{p.Multiprocess, planMultiprocess}, {p.ScriptReloading, planReloading}, {p.IgnoreActivity, planIgnoreActivity},
		{p.CaseSensitivity, planCaseSensitivity}, {made, planMade}} {
		if f.on {
			bits |= f.bit
		}
	}
	script := p.Script
	if p.HandlerScript != "" && !made {
		script = "" // one handler serves any number of resources
	}
	b := binary.BigEndian.AppendUint32(nil, bits)
	b = binary.BigEndian.AppendUint32(b, uint32(p.Host.Index()))
	b = binary.BigEndian.AppendUint32(b, uint32(p.LogLevel))
	b = binary.BigEndian.AppendUint16(b, uint16(selfPort(p.Host))) // the other side does not know which hosts speak TLS
	for _, s := range []string{p.Host.ServerName, p.ProcessGroup, script, p.Handler, p.HandlerScript, p.ApplicationGroup, p.CallableObject} {
		b = appendText(b, s)
	}
	if !made {
		return b
	}
	b = appendText(b, p.ScriptName)
	b = appendText(appendText(b, "SERVER_NAME"), p.Host.ServerName)
	if p.URLScheme == "https" || p.Host.TLS {
		b = appendText(appendText(b, "HTTPS"), "on")
	}
	for _, e := range p.Environ {
		b = appendText(appendText(b, e.Name), e.Value)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func cutText(b []byte) (string, []byte, error) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return "", nil, errPlanKey
	}
	return string(b[k : k+int(n)]), b[k+int(n):], nil
}

// planOf makes a plan of its description, and the port of its host. hosts are
// by index; one that has another name there is looked for, and without one the
// main server's logs are the plan's.
func planOf(key []byte, hosts []*httpd.VirtualHost) (p *httpd.Plan, port int, err error) {
	if len(key) < planFixed {
		return nil, 0, errPlanKey
	}
	port = int(binary.BigEndian.Uint16(key[12:]))
	bits := binary.BigEndian.Uint32(key)
	host := binary.BigEndian.Uint32(key[4:])
	name, rest, err := cutText(key[planFixed:])
	if err != nil || len(hosts) == 0 {
		return nil, 0, errPlanKey
	}
	if host >= uint32(len(hosts)) || hosts[host].ServerName != name { // a front of another generation (WSGISocketRotation Off)
		host = uint32(max(0, slices.IndexFunc(hosts, func(v *httpd.VirtualHost) bool { return v.ServerName == name })))
	}
	p = &httpd.Plan{ID: -1, Host: hosts[host], LogLevel: int(binary.BigEndian.Uint32(key[8:])),
		PassAuthorization: bits&planPassAuthorization != 0, Multithread: bits&planMultithread != 0, Multiprocess: bits&planMultiprocess != 0,
		ScriptReloading: bits&planReloading != 0, IgnoreActivity: bits&planIgnoreActivity != 0, CaseSensitivity: bits&planCaseSensitivity != 0,
		MapHEAD: httpd.MapHEADOff}
	if bits&planMapHEAD != 0 {
		p.MapHEAD = httpd.MapHEADOn
	}
	for _, to := range []*string{&p.ProcessGroup, &p.Script, &p.Handler, &p.HandlerScript, &p.ApplicationGroup, &p.CallableObject} {
		if *to, rest, err = cutText(rest); err != nil {
			return nil, 0, err
		}
	}
	if bits&planMade == 0 {
		if len(rest) > 0 {
			return nil, 0, errPlanKey
		}
		return p, port, nil
	}
	if p.ScriptName, rest, err = cutText(rest); err != nil {
		return nil, 0, err
	}
	for len(rest) > 0 {
		var e httpd.EnvVar
		if e.Name, rest, err = cutText(rest); err == nil {
			e.Value, rest, err = cutText(rest)
		}
		if err != nil {
			return nil, 0, err
		}
		p.Environ = append(p.Environ, e)
	}
	return p, port, nil
}
