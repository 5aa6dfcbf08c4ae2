// Test of the processes that a status page knows from the fronts alone.
package worker

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"modwsgi/gocore/internal/httpd"
)

func TestProcessesThatOnlyFrontsKnow(t *testing.T) {
	s := &httpd.ServerStatus{Processes: []httpd.ProcessStatus{
		{PID: 1, Front: true, Generation: 3, Behind: []httpd.BehindStatus{{PID: 7, Group: "a", Threads: 5, Running: 2, Total: 10}, {PID: 8, Group: "b", Threads: 1, Running: 1}}},
		{PID: 2, Front: true, Generation: 3, Behind: []httpd.BehindStatus{{PID: 7, Group: "a", Threads: 5, Running: 1, Total: 5}}},
		{PID: 8, Group: "b", Threads: 1, Running: 1},
	}}
	addBehind(s)
	assert.Len(t, s.Processes, 4)
	assert.Equal(t, httpd.ProcessStatus{PID: 7, Group: "a", Generation: 3, Threads: 5, Running: 3, Requests: 15}, s.Processes[3])
	assert.Equal(t, 1, s.Processes[2].Running, "one that speaks for itself")
}
