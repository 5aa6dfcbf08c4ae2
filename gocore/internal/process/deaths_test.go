// Tests of what is said about processes that the kernel ended for lack of memory.
package process

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCgroupOOM(t *testing.T) {
	for text, want := range map[string]string{
		"0::/\n":                          "/sys/fs/cgroup/memory.events",
		"0::/system.slice/site.service\n": "/sys/fs/cgroup/system.slice/site.service/memory.events",
		"12:pids:/a\n9:memory:/docker/1\n1:name=systemd:/docker/1\n": "/sys/fs/cgroup/memory/docker/1/memory.oom_control",
		"": "",
	} {
		assert.Equal(t, want, cgroupOOM(text), text)
	}
}

func TestOOMWatch(t *testing.T) {
	dir := t.TempDir()
	near, far := filepath.Join(dir, "near"), filepath.Join(dir, "far")
	write := func(file, text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	w := oomWatch{{file: near, what: "near"}, {file: far, what: "far"}, {file: filepath.Join(dir, "none"), what: "none"}}
	write(near, "low 0\noom 1\noom_kill 1\n")
	write(far, "pgfault 12\noom_kill 5\n")
	for i := range w {
		w[i].last = -1
	}
	assert.Empty(t, w.look(), "the first look only remembers")
	assert.Empty(t, w.look())
	write(far, "oom_kill 6\n")
	assert.Equal(t, "far", w.look())
	write(near, "oom_kill 2\n")
	write(far, "oom_kill 7\n")
	assert.Equal(t, "near", w.look(), "the nearest says most")
	write(near, "nonsense\n")
	assert.Empty(t, w.look())
	write(near, "oom_kill 9\n")
	assert.Empty(t, w.look(), "what it was before is not known")
}

func TestOutOfMemoryIsSaid(t *testing.T) {
	count := filepath.Join(t.TempDir(), "memory.events")
	require.NoError(t, os.WriteFile(count, []byte("oom_kill 3\n"), 0o600))
	t.Setenv(oomEnv, count)
	s := newServer(t, testConf{}).start()
	s.up("v1")
	_, _ = s.try("kill")
	s.logged("was killed by SIGKILL (9)")
	assert.NotContains(t, s.out.String(), "WSGI0372")
	require.NoError(t, os.WriteFile(count, []byte("oom_kill 4\n"), 0o600))
	s.up("v1")
	_, _ = s.try("kill")
	s.logged("WSGI0372: the kernel ended a process because memory ran out")
}
