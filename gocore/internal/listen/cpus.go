// How many processors there are for this process.
package listen

import "runtime"

// cpus is what Go's runtime found at its start: the fewest of the machine's
// processors, the process's affinity and the CPU limit of its cgroup. A
// container with half a processor on a large machine must not get the buffers
// and collectors of the whole machine.
var cpus = runtime.GOMAXPROCS(0)
