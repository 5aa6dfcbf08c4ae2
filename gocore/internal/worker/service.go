// A process of a group without request threads (threads=0): it runs the group's
// WSGIImportScript scripts on its main thread and ends with them; the supervisor
// then starts it again. It takes no requests and has no timers and no successor.
//
//	start -> scripts, one after the other -> finish: threads joined, atexit -> exit 0
//	                 | SIGTERM: SystemExit -------^          exit 1 after an exception
//
// The supervisor stops it by SIGTERM alone; frames are not read.
package worker

import (
	"os"
	"os/signal"
	"syscall"

	"modwsgi/gocore/internal/python"
)

// service runs the scripts; it does not return.
func (w *worker) service(signals chan os.Signal) int {
	if len(w.group.Preload) == 0 { // the configuration's check has warned of it
		for <-signals != syscall.SIGTERM {
		}
		w.exit(0)
	}
	// From here on the signals are Python's, whose handlers run on this thread.
	signal.Stop(signals)
	signal.Reset(syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP, syscall.SIGXCPU)
	if err := python.StartService(); err != nil {
		w.logf(levelCrit, "wsgi", "service scripts of process group '%s': %v", w.cfg.Group, err)
		w.exit(1)
	}
	select {
	case <-signals: // it came before Python could see it
		w.exit(0)
	default:
	}
	status := 0
scripts:
	for _, s := range w.group.Preload {
		switch python.RunService(s.Path) {
		case python.ServiceExit:
			break scripts
		case python.ServiceFailed:
			status = 1
		}
	}
	if w.srv.Python.DestroyInterpreter {
		python.Shutdown()
	}
	w.exit(status)
	return status
}
