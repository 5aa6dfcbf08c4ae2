// Tests of who accepts connections from clients.
package process

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDirect(t *testing.T) {
	const all = "<Directory @>\nRequire all granted\n"
	const open = all + "</Directory>\n"
	for _, c := range []struct {
		name, text, who string // who accepts
	}{
		{"one group, one mount", open + "WSGIDaemonProcess a\nWSGIProcessGroup a\nWSGIScriptAlias / @/a.wsgi", "a"},
		{"the mount says it", open + "WSGIDaemonProcess a\nWSGIScriptAlias / @/a.wsgi process-group=a", "a"},
		{"a section says it", all + "WSGIProcessGroup a\n</Directory>\nWSGIDaemonProcess a\nWSGIScriptAlias / @/a.wsgi", "a"},
		{"the host says it", open + "WSGIDaemonProcess a\n<VirtualHost *:8099>\nServerName a.test\nWSGIProcessGroup a\nWSGIScriptAlias / @/a.wsgi\n</VirtualHost>", "a"},
		{"nothing mounted", "WSGIDaemonProcess a\n", "a"},
		{"a service beside it", open + "WSGIDaemonProcess a\nWSGIDaemonProcess s threads=0\nWSGIProcessGroup a\nWSGIScriptAlias / @/a.wsgi", "a"},
		{"scripts of access control", all + "WSGIAccessScript @/b.wsgi\n</Directory>\nWSGIDaemonProcess a\nWSGIProcessGroup a\nWSGIScriptAlias / @/a.wsgi", "a"},
		{"one mount in embedded mode", open + "WSGIDaemonProcess a\nWSGIScriptAlias /b @/b.wsgi\nWSGIScriptAlias / @/a.wsgi process-group=a", ""},
		{"which is forbidden", open + "WSGIRestrictEmbedded On\nWSGIDaemonProcess a\nWSGIScriptAlias /b @/b.wsgi\nWSGIScriptAlias / @/a.wsgi process-group=a", "a"},
		{"embedded mode for one host", open + "WSGIDaemonProcess a\nWSGIProcessGroup a\nWSGIScriptAlias / @/a.wsgi\n" +
			"<VirtualHost *:8099>\nServerName b.test\nWSGIProcessGroup %{GLOBAL}\n</VirtualHost>", ""},
		{"a script loaded in embedded mode", open + "WSGIDaemonProcess a\nWSGIProcessGroup a\nWSGIScriptAlias / @/a.wsgi\n" +
			"WSGIImportScript @/b.wsgi process-group=%{GLOBAL} application-group=%{GLOBAL}", ""},
		{"a mounted folder in embedded mode", open + "WSGIDaemonProcess a\nWSGIScriptAlias /scripts @\nWSGIScriptAlias / @/a.wsgi process-group=a", ""},
		{"a mounted folder", open + "WSGIDaemonProcess a\nWSGIScriptAlias /scripts @ process-group=a\nWSGIScriptAlias / @/a.wsgi process-group=a", "a"},
		{"scripts by their names in embedded mode", all + "Options ExecCGI\nAddHandler wsgi-script .wsgi\n</Directory>\nWSGIDaemonProcess a\n" +
			"WSGIScriptAlias / @/a.wsgi process-group=a", ""},
		{"scripts by their names", all + "Options ExecCGI\nAddHandler wsgi-script .wsgi\n</Directory>\nWSGIDaemonProcess a\nWSGIProcessGroup a", "a"},
		{"a handler in embedded mode", open + "WSGIDaemonProcess a\nWSGIHandlerScript h @/b.wsgi\nWSGIScriptAlias / @/a.wsgi process-group=a", ""},
		{"a handler", open + "WSGIDaemonProcess a\nWSGIHandlerScript h @/b.wsgi process-group=a\nWSGIScriptAlias / @/a.wsgi process-group=a", "a"},
		{"the request decides", open + "WSGIDaemonProcess a\nWSGIProcessGroup %{ENV:X}\nWSGIScriptAlias / @/a.wsgi", ""},
		{"the request decides in a section", open + "WSGIDaemonProcess a\nWSGIProcessGroup a\nWSGIScriptAlias / @/a.wsgi\n<Location /x>\nWSGIProcessGroup %{ENV:X}\n</Location>", ""},
		{"the request decides for a mount", open + "WSGIDaemonProcess a\nWSGIProcessGroup a\nWSGIScriptAlias /x @/b.wsgi process-group=%{ENV:X}\nWSGIScriptAlias / @/a.wsgi", ""},
		{"a script decides", open + "WSGIDaemonProcess a\nWSGIProcessGroup a\nWSGIScriptAlias / @/a.wsgi\nWSGIDispatchScript @/b.wsgi", ""},
		{"two groups", open + "WSGIDaemonProcess a\nWSGIDaemonProcess b\nWSGIProcessGroup a\nWSGIScriptAlias / @/a.wsgi", ""},
		{"no group", open + "WSGIScriptAlias / @/a.wsgi", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			plans, err := layout(compiled(t, c.text+"\n"), 1, false, false)
			require.NoError(t, err)
			var who []string
			for _, p := range plans {
				if len(p.listen) > 0 {
					who = append(who, p.name)
				}
			}
			assert.Equal(t, []string{c.who}, who)
		})
	}
}
