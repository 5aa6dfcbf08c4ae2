// What Require can ask: ssl, and ssl-verify-client.

package ssl

import (
	"errors"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authzcore"
)

// Providers are the Require providers of the module.
var Providers = []authzcore.Provider{
	{Name: "ssl", Parse: plainCheck(func(r *httpd.Request) bool { return r.TLS })},
	{Name: "ssl-verify-client", Parse: plainCheck(func(r *httpd.Request) bool {
		c, ok := connectionOf(r)
		return ok && c.verdict() == "SUCCESS"
	})},
}

func plainCheck(ok func(*httpd.Request) bool) func(*httpd.Cmd, []string) (authzcore.Check, error) {
	return func(_ *httpd.Cmd, args []string) (authzcore.Check, error) {
		if len(args) > 0 {
			return nil, errors.New("takes no arguments")
		}
		return func(r *httpd.Request) authzcore.Result {
			if ok(r) {
				return authzcore.Granted
			}
			return authzcore.Denied
		}, nil
	}
}
