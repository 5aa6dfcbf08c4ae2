// What Config.Ready promises: nothing is served before it has returned.
package listen

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNothingIsServedBeforeReady(t *testing.T) { each(t, testNothingIsServedBeforeReady) }

func testNothingIsServedBeforeReady(t *testing.T, open opener) {
	inside, goOn := make(chan struct{}), make(chan struct{})
	r, f, addr := open.prepare(t, 4, nil, func() error {
		close(inside)
		<-goOn
		return nil
	})
	started := make(chan error, 1)
	go func() { started <- r.Start() }()
	<-inside
	c, err := net.Dial("tcp", addr) // the system accepts it
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	time.Sleep(50 * time.Millisecond) // time for what must not happen
	assert.Zero(t, f.opens.Load())
	assert.Zero(t, r.Connections())
	assert.Empty(t, started)
	close(goOn)
	require.NoError(t, <-started)
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Contains(t, string(b), "/a:")
}

func TestNotReadyDoesNotServe(t *testing.T) { each(t, testNotReadyDoesNotServe) }

func testNotReadyDoesNotServe(t *testing.T, open opener) {
	why := errors.New("nobody is told")
	r, f, addr := open.prepare(t, 2, nil, func() error { return why })
	require.ErrorIs(t, r.Start(), why)
	if c, err := net.Dial("tcp", addr); err == nil {
		defer c.Close()
		_, _ = io.WriteString(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	time.Sleep(50 * time.Millisecond)
	assert.Zero(t, f.opens.Load())
}
