// Tests of the JSON that Python reads.
package gocore

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// site writes a configuration file and returns its path and folder.
func site(t *testing.T, text string) (file, dir string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "httpd.conf")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file, dir
}

func TestCheckConfig(t *testing.T) {
	tests := []struct {
		name, text, defines string
		severity, directive string // of the first diagnostic; "" = none
		line                int
	}{
		{name: "good", text: "Listen 127.0.0.1:8000\n"},
		{name: "unknown directive", text: "Listen 127.0.0.1:8000\nLisen 8001\n", severity: "error", directive: "Lisen", line: 2},
		{name: "defined", text: "<IfDefine Bad>\nNonsense on\n</IfDefine>\nListen 127.0.0.1:8000\n", defines: `{"Bad":""}`,
			severity: "error", directive: "Nonsense", line: 2},
		{name: "not defined", text: "<IfDefine Bad>\nNonsense on\n</IfDefine>\nListen 127.0.0.1:8000\n", defines: `{}`},
		{name: "variable", text: "Listen 127.0.0.1:${PORT}\n", defines: `{"PORT":"8000"}`},
		{name: "bad defines", text: "Listen 127.0.0.1:8000\n", defines: `["x"]`, severity: "error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file, dir := site(t, tt.text)
			var got []diagnosticJSON
			require.NoError(t, json.Unmarshal([]byte(CheckConfig(file, dir, tt.defines)), &got))
			if tt.severity == "" {
				assert.Empty(t, got)
				return
			}
			require.NotEmpty(t, got)
			assert.Equal(t, tt.severity, got[0].Severity)
			assert.Equal(t, tt.directive, got[0].Directive)
			assert.Equal(t, tt.line, got[0].Line)
			assert.Equal(t, file, got[0].File)
			assert.NotEmpty(t, got[0].Code)
			assert.Contains(t, got[0].Text, got[0].Message)
		})
	}
}

func TestDescribeConfig(t *testing.T) {
	file, dir := site(t, "Listen 127.0.0.1:8000\nPidFile run.pid\nServerName example.org\n")
	var got struct {
		Diagnostics []diagnosticJSON
		Config      *summaryJSON
	}
	require.NoError(t, json.Unmarshal([]byte(DescribeConfig(file, dir, "")), &got))
	assert.Empty(t, got.Diagnostics)
	require.NotNil(t, got.Config)
	assert.Equal(t, filepath.Join(dir, "run.pid"), got.Config.PidFile)
	assert.Equal(t, []string{file}, got.Config.Files)
	require.Len(t, got.Config.Listen, 1)
	assert.Equal(t, listenJSON{"tcp4", "127.0.0.1:8000", "http"}, got.Config.Listen[0])
	require.Len(t, got.Config.Hosts, 1)
	assert.Equal(t, "example.org", got.Config.Hosts[0].ServerName)

	file, dir = site(t, "Nonsense\n")
	got.Config = &summaryJSON{}
	require.NoError(t, json.Unmarshal([]byte(DescribeConfig(file, dir, "")), &got))
	assert.NotEmpty(t, got.Diagnostics)
	assert.Nil(t, got.Config)
}

func TestDirectivesJSON(t *testing.T) {
	var rows []directiveJSON
	require.NoError(t, json.Unmarshal([]byte(DirectivesJSON()), &rows))
	byName := map[string]directiveJSON{}
	for _, r := range rows {
		assert.NotEmpty(t, r.Name)
		assert.Contains(t, []string{"yes", "mapped", "ignored", "refused"}, r.Effect, r.Name)
		byName[r.Name] = r
	}
	assert.Len(t, byName, len(rows), "no name twice")
	assert.Equal(t, "yes", byName["Listen"].Effect)
	assert.Equal(t, "yes", byName["WSGIScriptAlias"].Effect)
}

func TestRunServerRefusesBadArguments(t *testing.T) {
	assert.Equal(t, 1, RunServer("httpd.conf", "/", "python", "not JSON", "", "[]", "3.11"))
	assert.Equal(t, 1, RunServer("httpd.conf", "/", "python", "[]", "not JSON", "[]", "3.11"))
	assert.Equal(t, 1, RunServer("httpd.conf", "/", "python", "[]", "", "not JSON", "3.11"))
}

func TestEnvironmentIsBytes(t *testing.T) {
	got, err := parseEnviron(`["A=b", "NAME=\u00c3\u00a9\u00ff"]`)
	assert.NoError(t, err)
	assert.Equal(t, []string{"A=b", "NAME=\xc3\xa9\xff"}, got)
}
