// Running the server: the two functions that take over their process, one for
// the supervisor and one for each worker.
package gocore

import (
	"encoding/json"
	"fmt"
	"os"

	"modwsgi/gocore/internal/process"
	"modwsgi/gocore/internal/timefmt"
)

// defineForeground is the switch that keeps standard output and error, as in
// `httpd -DFOREGROUND`.
const defineForeground = "FOREGROUND"

// RunServer supervises the server of a configuration file until a signal stops
// it, and returns the exit status. executable and workerArgs (a JSON array)
// are the command that makes a worker call RunWorker; defines is as for
// CheckConfig. environ (a JSON array of "NAME=value", each character a byte) is
// the environment of the workers: this library's own is that of the moment
// when it was loaded. version is that of the interpreter, "3.11". Call it from the main thread, GIL released; it handles the
// signals of the process from then on. Problems are printed on standard error
// until the error log is open.
func RunServer(configFile, serverRoot, executable, workerArgs, defines, environ, version string) int {
	timefmt.SetZone()
	opt := process.SuperviseOptions{ConfigFile: configFile, ServerRoot: serverRoot, Executable: executable, Version: version, FreeThreaded: thisPython().FreeThreaded}
	err := json.Unmarshal([]byte(workerArgs), &opt.WorkerArgs)
	if err != nil {
		err = fmt.Errorf("the worker's arguments are not a JSON array of strings: %w", err)
	} else {
		opt.Defines, err = parseDefines(defines)
	}
	if err == nil {
		opt.Environ, err = parseEnviron(environ)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "modwsgi:", err)
		return 1
	}
	_, opt.Foreground = opt.Defines[defineForeground]
	return process.Supervise(opt)
}

// parseEnviron reads a JSON array of variables whose characters are bytes.
func parseEnviron(text string) ([]string, error) {
	var list []string
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("the environment is not a JSON array of strings: %w", err)
	}
	for i, v := range list {
		b := make([]byte, 0, len(v))
		for _, r := range v {
			b = append(b, byte(r))
		}
		list[i] = string(b)
	}
	return list, nil
}
