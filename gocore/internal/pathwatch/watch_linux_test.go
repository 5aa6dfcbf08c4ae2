package pathwatch

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// site is a folder with an application's releases.
func site(t *testing.T) string {
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	for _, dir := range []string{"app/v1/public/sub", "app/v2/public/sub", "other"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	require.NoError(t, os.Symlink("v1/public", root+"/app/current"))
	require.NoError(t, os.WriteFile(root+"/app/v1/public/here", []byte("text"), 0o644))
	require.NoError(t, os.WriteFile(root+"/other/target", []byte("text"), 0o644))
	require.NoError(t, os.Symlink("../../../other/target", root+"/app/v1/public/link"))
	require.NoError(t, os.Symlink(root+"/nowhere", root+"/app/v1/public/dangling"))
	return root
}

func watcher(t *testing.T) *Watcher {
	w := New(nil, nil)
	t.Cleanup(w.Close)
	return w
}

// still is Now without the growth that comes with time.
func still(w *Watcher) uint64 {
	w.mu.Lock()
	w.due = time.Now().Add(time.Hour)
	w.mu.Unlock()
	return w.Now()
}

// TestSeen: every change of what the path leads to is in the next Now.
func TestSeen(t *testing.T) {
	write := func(p, text string) func(*testing.T, string) {
		return func(t *testing.T, root string) {
			require.NoError(t, os.WriteFile(root+p, []byte(text), 0o644))
		}
	}
	rename := func(from, to string) func(*testing.T, string) {
		return func(t *testing.T, root string) { require.NoError(t, os.Rename(root+from, root+to)) }
	}
	for _, c := range []struct {
		name, path string
		before     func(*testing.T, string)
		change     func(*testing.T, string)
	}{
		{"appears", "/app/v1/public/none", nil, write("/app/v1/public/none", "x")},
		{"appears below a link", "/app/current/none", nil, write("/app/v1/public/none", "x")},
		{"appears by rename", "/app/v1/public/none", nil, rename("/other/target", "/app/v1/public/none")},
		{"appears as a link", "/app/v1/public/none", nil, func(t *testing.T, root string) {
			require.NoError(t, os.Symlink("here", root+"/app/v1/public/none"))
		}},
		{"written", "/app/current/here", nil, write("/app/v1/public/here", "more")},
		{"replaced", "/app/current/here", nil, rename("/other/target", "/app/v1/public/here")},
		{"removed", "/app/v1/public/here", nil, func(t *testing.T, root string) { require.NoError(t, os.Remove(root+"/app/v1/public/here")) }},
		{"renamed", "/app/v1/public/here", nil, rename("/app/v1/public/here", "/app/v1/public/gone")},
		{"mode", "/app/v1/public/here", nil, func(t *testing.T, root string) {
			require.NoError(t, os.Chmod(root+"/app/v1/public/here", 0o600))
		}},
		{"times", "/app/v1/public/here", nil, func(t *testing.T, root string) {
			require.NoError(t, os.Chtimes(root+"/app/v1/public/here", time.Unix(1, 0), time.Unix(1, 0)))
		}},
		{"mode of a folder above", "/app/v1/public/here", nil, func(t *testing.T, root string) { require.NoError(t, os.Chmod(root+"/app", 0o700)) }},
		{"written under another name", "/app/v1/public/here", func(t *testing.T, root string) {
			require.NoError(t, os.Link(root+"/app/v1/public/here", root+"/other/same"))
		}, write("/other/same", "more")},
		{"target of a link written", "/app/current/link", nil, write("/other/target", "more")},
		{"target of a link removed", "/app/current/link", nil, func(t *testing.T, root string) { require.NoError(t, os.Remove(root+"/other/target")) }},
		{"target of a link replaced", "/app/current/link", nil, rename("/app/v1/public/here", "/other/target")},
		{"folder of a target renamed", "/app/current/link", nil, rename("/other", "/another")},
		{"target of a dangling link appears", "/app/current/dangling", nil, write("/nowhere", "x")},
		{"folder renamed", "/app/v1/public/none", nil, rename("/app/v1/public", "/app/v1/old")},
		{"folder above renamed", "/app/v1/public/none", nil, rename("/app", "/old")},
		{"folder above a link renamed", "/app/current/none", nil, rename("/app/v1", "/app/v0")},
		{"folder removed", "/app/v2/public/sub/none", nil, func(t *testing.T, root string) { require.NoError(t, os.Remove(root+"/app/v2/public/sub")) }},
		{"folder appears", "/later/on/none", nil, func(t *testing.T, root string) { require.NoError(t, os.Mkdir(root+"/later", 0o755)) }},
		{"file becomes a folder", "/app/v1/public/here/none", nil, func(t *testing.T, root string) {
			require.NoError(t, os.Remove(root+"/app/v1/public/here"))
		}},
		{"release switched", "/app/current/none", nil, func(t *testing.T, root string) {
			require.NoError(t, os.Symlink("v2/public", root+"/app/next"))
			require.NoError(t, os.Rename(root+"/app/next", root+"/app/current"))
		}},
		{"release switched, seen above", "/app/current/sub/../none", nil, func(t *testing.T, root string) {
			require.NoError(t, os.Remove(root+"/app/current"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, w := site(t), watcher(t)
			if c.before != nil {
				c.before(t, root)
			}
			require.True(t, w.Watch(root+c.path))
			before := still(w)
			require.Equal(t, before, still(w), "nothing has changed")
			c.change(t, root)
			assert.Greater(t, still(w), before)
		})
	}
}

// TestIgnored: what has another name does not matter.
func TestIgnored(t *testing.T) {
	root, w := site(t), watcher(t)
	require.True(t, w.Watch(root+"/app/current/none"))
	before := still(w)
	for i := range 200 {
		require.NoError(t, os.WriteFile(root+"/app/v1/public/"+strconv.Itoa(i), []byte("text"), 0o644))
	}
	require.NoError(t, os.Mkdir(root+"/app/v3", 0o755))
	require.NoError(t, os.Remove(root+"/app/v1/public/7"))
	assert.Equal(t, before, still(w))
}

// TestNotWatched: the caller is told that it has to look itself.
func TestNotWatched(t *testing.T) {
	root, w := site(t), watcher(t)
	require.NoError(t, os.Symlink("loop", root+"/loop"))
	for _, p := range []string{"", "relative/path", root + "/other", root + "/loop", root + "/loop/none", "/proc/self/none", "/dev/null"} {
		assert.False(t, w.Watch(p), p)
	}
	for fs, want := range map[kind]bool{blind: false, layered: false, sees: true} {
		w := watcher(t)
		w.magic = func(string) kind { return fs }
		assert.Equal(t, want, w.Watch(root+"/none"), fs)
	}
	w = watcher(t) // a volume in a container
	w.magic = func(p string) kind {
		if p == root+"/other" {
			return sees
		}
		return layered
	}
	assert.True(t, w.Watch(root+"/other/none"))
	assert.False(t, w.Watch(root+"/app/none"))
	w.Close()
	assert.False(t, w.Watch(root+"/other/none"))
}

func TestLimit(t *testing.T) {
	root, told := site(t), 0
	w := New(nil, func(error) { told++ })
	defer w.Close()
	require.True(t, w.Watch(root+"/other/none"))
	w.limit = len(w.nodes)
	for range 3 {
		before := still(w)
		assert.True(t, w.Watch(root+"/other/later"), "the same folder")
		assert.False(t, w.Watch(root+"/app/none"))
		assert.Equal(t, before, still(w), "what could not be watched is no change")
	}
	assert.Equal(t, 1, told)
	require.NoError(t, os.RemoveAll(root+"/other"))
	still(w)
	assert.True(t, w.Watch(root+"/app/none"), "a folder that is gone makes room")
}

// TestOverflow: more events than the system keeps are a change.
func TestOverflow(t *testing.T) {
	b, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	require.NoError(t, err)
	limit, err := strconv.Atoi(string(b[:len(b)-1]))
	require.NoError(t, err)
	if limit > 20000 {
		t.Skip("the queue is long here")
	}
	root, w := site(t), watcher(t)
	require.True(t, w.Watch(root+"/other/none"))
	before := still(w)
	for range limit/2 + 2 { // two events each
		require.NoError(t, os.Rename(root+"/other/target", root+"/other/turn"))
		require.NoError(t, os.Rename(root+"/other/turn", root+"/other/target"))
	}
	assert.Greater(t, still(w), before)
}

func TestTime(t *testing.T) {
	root, w := site(t), watcher(t)
	require.True(t, w.Watch(root+"/other/none"))
	before := still(w)
	w.mu.Lock()
	w.due = time.Now()
	w.mu.Unlock()
	assert.Greater(t, w.Now(), before, "mounts have no events")
}

func TestTrack(t *testing.T) {
	open := map[int]bool{}
	w := New(func(fd int, is bool) { open[fd] = is }, nil)
	w.Now()
	assert.Empty(t, open, "no path, no descriptor")
	w.Watch("/none")
	assert.Len(t, open, 1)
	w.Close()
	for _, is := range open {
		assert.False(t, is)
	}
}

// TestGoroutines: a change is seen by whoever asks after it, whoever takes the event.
func TestGoroutines(t *testing.T) {
	root, w := site(t), watcher(t)
	path := root + "/app/current/none"
	var all sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					w.Now()
					time.Sleep(20 * time.Microsecond)
				}
			}
		})
	}
	for range 300 {
		require.True(t, w.Watch(path))
		before := w.Now()
		require.NoError(t, os.WriteFile(path, nil, 0o644))
		require.Greater(t, w.Now(), before)
		require.NoError(t, os.Remove(path))
	}
	close(stop)
	all.Wait()
}

func BenchmarkNow(b *testing.B) {
	w := New(nil, nil)
	defer w.Close()
	w.Watch(filepath.Join(b.TempDir(), "none"))
	for b.Loop() {
		w.Now()
	}
}
