// This file asks DNS for Require host and forward-dns. An answer that does not
// come in time is no answer, and no answer grants nothing.

package authzhost

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"modwsgi/gocore/internal/httpd"
)

const (
	// lookupTimeout bounds how long one question may hold up a request.
	lookupTimeout = 3 * time.Second
	// keepFor is how long an answer is used again; short, as it decides access.
	keepFor = 30 * time.Second
	// keepMax bounds the memory that strangers' addresses can take.
	keepMax = 1024
)

// resolver asks and remembers. Safe for concurrent use.
type resolver struct {
	lookupAddr func(ctx context.Context, addr string) ([]string, error)
	lookupHost func(ctx context.Context, name string) ([]netip.Addr, error)
	now        func() time.Time

	mu    sync.Mutex
	names map[netip.Addr]answer[string]
	addrs map[string]answer[netip.Addr]
}

type answer[T any] struct {
	values []T
	until  time.Time
}

var dns = &resolver{
	lookupAddr: net.DefaultResolver.LookupAddr,
	lookupHost: func(ctx context.Context, name string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	},
	now: time.Now,
}

// verifiedNames gives the names of the address that lead back to it: who runs
// the reverse zone of an address can claim any name, the owner of the name
// cannot be forged.
func (d *resolver) verifiedNames(r *httpd.Request, addr netip.Addr) []string {
	if !addr.IsValid() {
		return nil
	}
	d.mu.Lock()
	known, ok := d.names[addr]
	d.mu.Unlock()
	if ok && d.now().Before(known.until) {
		return known.values
	}
	r.Need(httpd.OnWorker)
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	names, _ := d.lookupAddr(ctx, addr.String()) // an error means no names
	var verified []string
	for i, name := range names {
		if i == 8 { // as many questions as that for one request are enough
			break
		}
		back, _ := d.lookupHost(ctx, name)
		for _, a := range back {
			if a.Unmap().WithZone("") == addr {
				verified = append(verified, name)
				break
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names == nil || len(d.names) >= keepMax {
		d.names = map[netip.Addr]answer[string]{}
	}
	d.names[addr] = answer[string]{verified, d.now().Add(keepFor)}
	return verified
}

// addresses gives the addresses of a configured name.
func (d *resolver) addresses(r *httpd.Request, name string) []netip.Addr {
	d.mu.Lock()
	known, ok := d.addrs[name]
	d.mu.Unlock()
	if ok && d.now().Before(known.until) {
		return known.values
	}
	r.Need(httpd.OnWorker)
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	found, _ := d.lookupHost(ctx, name) // an error means no addresses
	out := make([]netip.Addr, len(found))
	for i, a := range found {
		out[i] = a.Unmap().WithZone("")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.addrs == nil {
		d.addrs = map[string]answer[netip.Addr]{}
	}
	d.addrs[name] = answer[netip.Addr]{out, d.now().Add(keepFor)}
	return out
}
