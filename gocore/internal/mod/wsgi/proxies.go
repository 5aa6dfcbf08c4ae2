// WSGITrustedProxies and WSGITrustedProxyHeaders: what a trusted front proxy
// says about the client replaces what the socket says; what an untrusted peer
// says in the same fields is removed.
package wsgi

import (
	"net/netip"
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// proxyFields lists the known fields and their categories. Fields of a
// category that is configured at all are never left as an untrusted peer sent them.
var proxyFields = map[string]string{
	"X-FORWARDED-FOR": "client", "X-CLIENT-IP": "client", "X-REAL-IP": "client",
	"X-FORWARDED-HOST": "host", "X-HOST": "host",
	"X-FORWARDED-SERVER":      "server",
	"X-FORWARDED-PORT":        "port",
	"X-SCRIPT-NAME":           "mount",
	"X-FORWARDED-SCRIPT-NAME": "mount",
	"X-FORWARDED-PROTO":       "scheme", "X-FORWARDED-SCHEME": "scheme", "X-SCHEME": "scheme",
	"X-FORWARDED-HTTPS": "scheme", "X-FORWARDED-SSL": "scheme", "X-HTTPS": "scheme",
}

func environKey(field string) string {
	return "HTTP_" + strings.ReplaceAll(strings.ToUpper(field), "-", "_")
}

// headerName brings "HTTP_X_REAL_IP" and "X-Real-IP" to one form.
func headerName(s string) string {
	s = strings.ToUpper(strings.ReplaceAll(s, "_", "-"))
	return strings.TrimPrefix(s, "HTTP-")
}

func trustedAddr(list []netip.Prefix, s string) bool {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil {
		return false
	}
	for _, p := range list {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// TrustedProxy tells set and remove what the fields of a proxy, those that headers
// lists and the peer may send, change in the environ of a request.
func TrustedProxy(r *httpd.Request, headers []string, proxies []netip.Prefix, set func(name, value string), remove func(name string)) {
	trusted := len(proxies) == 0 || trustedAddr(proxies, r.Remote.Addr().Unmap().String())
	values := map[string]string{}
	for _, f := range r.Header {
		n := strings.ToUpper(f.Name)
		if _, ok := proxyFields[n]; !ok {
			continue
		}
		if v, ok := values[n]; ok {
			values[n] = v + ", " + f.Value
		} else {
			values[n] = f.Value
		}
	}
	claimed, winner := map[string]bool{}, map[string]string{}
	for _, h := range headers {
		n := headerName(h)
		cat, known := proxyFields[n]
		if !known {
			continue
		}
		claimed[cat] = true
		v, present := values[n]
		if !trusted || !present {
			continue
		}
		winner[cat] = n
		applyProxyField(set, proxies, n, v)
	}
	for n := range values {
		if cat := proxyFields[n]; claimed[cat] && winner[cat] != n {
			remove(environKey(n))
		}
	}
}

func applyProxyField(set func(name, value string), proxies []netip.Prefix, n, v string) {
	switch proxyFields[n] {
	case "client":
		if n != "X-FORWARDED-FOR" {
			set("REMOTE_ADDR", v)
			break
		}
		client, rest := forwardedFor(proxies, v)
		if client != "" {
			set("REMOTE_ADDR", client)
			set(environKey(n), rest)
		}
	case "host":
		set("HTTP_HOST", v)
	case "server":
		set("SERVER_NAME", v)
	case "port":
		set("SERVER_PORT", v)
	case "mount":
		set("SCRIPT_NAME", v)
		set("mod_wsgi.mount_point", v)
	case "scheme":
		yes, no := []string{"on", "true", "1"}, []string{"off", "false", "0"}
		if n == "X-FORWARDED-PROTO" || n == "X-FORWARDED-SCHEME" || n == "X-SCHEME" { // these name it
			yes, no = []string{"https"}, []string{"http"}
		}
		switch v = strings.ToLower(v); {
		case slices.Contains(yes, v):
			set("HTTPS", "on")
		case slices.Contains(no, v):
			set("HTTPS", "off")
		}
	}
}

// forwardedFor finds the client in an X-Forwarded-For value: the element left
// of the run of trusted proxies at its right end. Without a list of proxies it
// is the first element and the value stays.
func forwardedFor(proxies []netip.Prefix, v string) (client, rest string) {
	var list []string
	for e := range strings.SplitSeq(v, ",") {
		if e = strings.TrimSpace(e); e != "" {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		return "", ""
	}
	if len(proxies) == 0 {
		return list[0], v
	}
	i := len(list) - 1
	for i > 0 && trustedAddr(proxies, list[i]) {
		i--
	}
	return list[i], strings.Join(list[i:], ", ")
}
