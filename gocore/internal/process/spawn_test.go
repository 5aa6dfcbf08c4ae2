// Starting processes: what the error says when the worker's user may not run the interpreter.
package process

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStartProcessNamesTheUserThatMayNot(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n"), 0o600))
	_, err := startProcess(program, []string{program}, nil, nil, &syscall.SysProcAttr{})
	require.ErrorIs(t, err, syscall.EACCES)
	assert.NotContains(t, err.Error(), "user id")

	own := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid()), NoSetGroups: true}}
	_, err = startProcess(program, []string{program}, nil, nil, own)
	require.ErrorIs(t, err, syscall.EACCES)
	assert.Contains(t, err.Error(), "may not enter a directory on the way to it")
}
