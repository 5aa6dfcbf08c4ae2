// The client's name, HostnameLookups: asked once for a request, where the
// phases may wait, and known from then on to variables, logs and applications.
package httpd

import (
	"strings"

	"modwsgi/gocore/internal/dns"
)

// nameKey is the memo of the client's name for an address: a module may change
// the address in between.
type nameKey struct{ addr string }

// LookupClient asks for the client's name if HostnameLookups says so where the
// request is. It may send the phases to where they can wait (Need).
func (r *Request) LookupClient() {
	how := r.m.core.Lookups()
	if how == LookupsOff || !r.Original().handling {
		return
	}
	addr := r.Remote.Addr().Unmap().WithZone("")
	key := nameKey{addr.String()}
	if _, ok := r.Memo(key); ok || !addr.IsValid() {
		return
	}
	ask := dns.System.Names
	if how == LookupsDouble {
		ask = dns.System.VerifiedNames
	}
	name := ""
	if names := ask(addr, func() { r.Need(OnWorker) }); len(names) > 0 {
		name = strings.ToLower(strings.TrimSuffix(names[0], "."))
	}
	r.SetMemo(key, name)
}

// ClientName is the client's name, "" if nobody asked for it or it has none.
func (r *Request) ClientName() string {
	if r.at == nil {
		return ""
	}
	v, _ := r.Memo(nameKey{r.Remote.Addr().Unmap().WithZone("").String()})
	name, _ := v.(string)
	return name
}

// remoteHost is REMOTE_HOST of expressions: the name, or the address of a
// client without one.
func remoteHost(r *Request) string {
	if r.m != nil {
		r.LookupClient()
	}
	if name := r.ClientName(); name != "" {
		return name
	}
	return addrText(r.Remote)
}
