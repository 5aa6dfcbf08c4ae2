// Test of the levels that records have on their way to syslog.
package process

import (
	"log/syslog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestToSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := net.ListenPacket("unixgram", path)
	require.NoError(t, err)
	defer l.Close()
	sw, err := syslog.Dial("unixgram", path, syslog.LOG_LOCAL7|syslog.LOG_ERR, "site")
	require.NoError(t, err)
	defer sw.Close()
	buf := make([]byte, 1024)
	for _, c := range []struct {
		line, prefix, text string // prefix: <facility*8+level>
	}{
		{"<3>an error", "<187>", "an error"},
		{"<6>news", "<190>", "news"},
		{"no level", "<187>", "no level"},
		{"<9>not a level", "<187>", "<9>not a level"},
	} {
		require.NoError(t, toSyslog(sw, c.line))
		require.NoError(t, l.SetReadDeadline(time.Now().Add(5*time.Second)))
		n, _, err := l.ReadFrom(buf)
		require.NoError(t, err)
		assert.Regexp(t, "^"+c.prefix+`.*site\[\d+\]: `+c.text+"\n?$", string(buf[:n]))
	}
}
