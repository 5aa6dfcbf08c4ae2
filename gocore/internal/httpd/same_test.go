// A file that was read is another one after every change, also after one that
// sets size and time of modification back.

package httpd

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFileVersion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.WriteFile(file, []byte("one"), 0o600))
	stat := func() os.FileInfo {
		fi, err := os.Stat(file)
		require.NoError(t, err)
		return fi
	}
	assert.False(t, FileVersion{}.Same(stat()), "never read")
	assert.False(t, VersionOf(stat()).Same(stat()), "changed just now, could change again with the same time stamp")
	old := stat()
	require.Eventually(t, func() bool { return VersionOf(old).Same(stat()) }, 10*time.Second, 10*time.Millisecond)
	read := VersionOf(old)
	if runtime.GOOS == "linux" {
		require.NoError(t, os.WriteFile(file, []byte("two"), 0o600))
		require.NoError(t, os.Chtimes(file, old.ModTime(), old.ModTime()))
		assert.True(t, stat().ModTime().Equal(old.ModTime()))
		assert.False(t, read.Same(stat()), "same size and time of modification")
	}
	other := file + "2"
	require.NoError(t, os.WriteFile(other, []byte("one"), 0o600))
	require.NoError(t, os.Chtimes(other, old.ModTime(), old.ModTime()))
	require.NoError(t, os.Rename(other, file))
	assert.False(t, read.Same(stat()), "another file")
}
