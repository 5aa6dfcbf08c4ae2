// Package dns asks name servers who a client is, for Require host, Allow from
// and HostnameLookups. An answer that does not come in time is no answer.
// Answers, also the missing ones, are used again for half a minute.
package dns

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// lookupTimeout bounds how long one question may hold up a request.
	lookupTimeout = 3 * time.Second
	// KeepFor is how long an answer is used again; short, as it decides access.
	KeepFor = 30 * time.Second
	// keepMax bounds the memory that strangers' addresses can take.
	keepMax = 1024
	// maxNames bounds the questions that one address can cause.
	maxNames = 8
)

// Resolver asks and remembers. Safe for concurrent use.
//
// Its methods call wait before they ask: a caller that must not wait where it
// is panics there, as httpd.Request.Need does; nothing is locked then.
type Resolver struct {
	LookupAddr func(ctx context.Context, addr string) ([]string, error)
	LookupHost func(ctx context.Context, name string) ([]netip.Addr, error)
	Now        func() time.Time

	names, verified answers[netip.Addr, string]
	addrs           answers[string, netip.Addr]
}

// System is the resolver of the system. Tests replace it.
var System = &Resolver{
	LookupAddr: net.DefaultResolver.LookupAddr,
	LookupHost: func(ctx context.Context, name string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	},
	Now: time.Now,
}

// Names gives the names that whoever runs the reverse zone of an address
// claims for it. The address has no zone and is not IPv4 in IPv6 form.
func (d *Resolver) Names(addr netip.Addr, wait func()) []string {
	if !addr.IsValid() {
		return nil
	}
	return d.names.get(d, addr, wait, func(ctx context.Context) []string {
		names, _ := d.LookupAddr(ctx, addr.String()) // an error means no names
		return names
	})
}

// VerifiedNames gives the names of an address that lead back to it: anybody
// can claim any name in his reverse zone, the name's own zone cannot be forged.
func (d *Resolver) VerifiedNames(addr netip.Addr, wait func()) []string {
	if !addr.IsValid() {
		return nil
	}
	return d.verified.get(d, addr, wait, func(ctx context.Context) []string {
		names, _ := d.LookupAddr(ctx, addr.String())
		var out []string
		for _, name := range names[:min(len(names), maxNames)] {
			back, _ := d.LookupHost(ctx, name)
			for _, a := range back {
				if a.Unmap().WithZone("") == addr {
					out = append(out, name)
					break
				}
			}
		}
		return out
	})
}

// Addresses gives the addresses of a configured name.
func (d *Resolver) Addresses(name string, wait func()) []netip.Addr {
	return d.addrs.get(d, name, wait, func(ctx context.Context) []netip.Addr {
		found, _ := d.LookupHost(ctx, name)
		out := make([]netip.Addr, len(found))
		for i, a := range found {
			out[i] = a.Unmap().WithZone("")
		}
		return out
	})
}

// answers remembers what a kind of question gave.
type answers[K comparable, V any] struct {
	mu sync.Mutex
	m  map[K]answer[V]
}

type answer[V any] struct {
	values []V
	until  time.Time
}

func (a *answers[K, V]) get(d *Resolver, key K, wait func(), ask func(context.Context) []V) []V {
	a.mu.Lock()
	known, ok := a.m[key]
	a.mu.Unlock()
	if ok && d.Now().Before(known.until) {
		return known.values
	}
	wait()
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	values := ask(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.m == nil || len(a.m) >= keepMax {
		a.m = map[K]answer[V]{}
	}
	a.m[key] = answer[V]{values, d.Now().Add(KeepFor)}
	return values
}
