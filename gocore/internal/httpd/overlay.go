// Overlays: settings with a name that are put on top of a request's own for
// the time of one call, as <AuthnProviderAlias> and <AuthzProviderAlias> want.
package httpd

import "errors"

// Overlay is the settings of such a section. Immutable once read.
type Overlay struct{ sec *section }

// Overlay reads the children of a section into settings of their own. Sections
// inside are refused: they could not be matched with a request.
func (k *Cmd) Overlay() (*Overlay, error) {
	for _, d := range k.Children {
		if d.Section {
			return nil, errors.New("must not contain sections: <" + d.Name + ">")
		}
	}
	x := &section{id: k.b.s.nextID.Add(1), kind: kindDirectory, conf: make([]any, len(k.b.mods)), pos: k.Pos}
	k.b.apply(k.Children, &place{host: k.at.host, conf: x.conf, in: InDir, sec: x})
	return &Overlay{x}, nil
}

// Under calls f while the overlay's settings lie on top of the request's.
func (r *Request) Under(o *Overlay, f func()) {
	before := r.m
	defer func() { r.m = before }()
	r.m = r.Host.mergeOver(before, o.sec)
	f()
}

// MainConfOf returns another module's settings of the main server from inside
// Set: while the configuration is read, those read so far. m must be in the
// list of modules.
func MainConfOf[C any](k *Cmd, m *Module[C]) *C {
	if k.b == nil { // a test that calls Set by itself
		return new(C)
	}
	for i, x := range k.b.mods {
		if x != AnyModule(m) {
			continue
		}
		if k.b.main == nil { // a .htaccess file
			return k.b.s.Main.base.conf[i].(*C)
		}
		if k.b.main.conf[i] == nil {
			k.b.main.conf[i] = x.newConf()
		}
		return k.b.main.conf[i].(*C)
	}
	return new(C)
}
