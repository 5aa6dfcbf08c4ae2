//go:build !linux

// Without inotify every request looks at its script: one stat.
package worker

import (
	"errors"

	"modwsgi/gocore/internal/listen"
)

func (d *dispatcher) watch(listen.Source) error {
	return errors.New("this system has no inotify")
}

func (d *dispatcher) watchScript(string) {}
