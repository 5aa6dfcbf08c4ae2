// Package so is mod_so: LoadModule and LoadFile. Modules are compiled in, so
// there is nothing to load; package conf judges the names while reading.
package so

import "modwsgi/gocore/internal/httpd"

type config struct{}

// Module is mod_so.
var Module = &httpd.Module[config]{
	Name: "so", ID: "so_module", File: "mod_so.c",
	Directives: []httpd.Directive[config]{
		{Name: "LoadModule", Args: "module file", Min: 2, Max: 2, In: httpd.InServerHost, Mapped: true, Set: func(*httpd.Cmd, *config) error { return nil },
			Doc: "Names a module that is needed; it is built in or the file is not usable."},
		{Name: "LoadFile", Args: "file ...", Min: 1, Max: -1, In: httpd.InServerHost, NoEffect: true, Set: setLoadFile,
			Doc: "Accepted without effect: libraries are loaded by Python extensions themselves."},
	},
}

func setLoadFile(k *httpd.Cmd, c *config) error {
	k.Notice(httpd.CodeIgnored, "accepted without effect: Python extensions load their libraries themselves")
	return nil
}
