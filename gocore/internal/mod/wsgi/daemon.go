// WSGIDaemonProcess: the 44 options of mod_wsgi and two of our own
// (maximum-requests-jitter, resident-memory-limit), their checks and defaults.
package wsgi

import (
	"fmt"
	"maps"
	"os/user"
	"sort"
	"strconv"
	"strings"
	"time"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

type group = httpd.DaemonGroup

func str(field func(*group) *string) func(*group, string) error {
	return func(g *group, v string) error { *field(g) = v; return nil }
}

// isNumber refuses what atoi would take for 0. What follows the digits is
// ignored, as mod_wsgi does.
func isNumber(v string) bool {
	v = strings.TrimPrefix(strings.TrimPrefix(v, "-"), "+")
	return v != "" && v[0] >= '0' && v[0] <= '9'
}

// num reads a number as atoi does, at least min.
func num(field func(*group) *int, min int) func(*group, string) error {
	return func(g *group, v string) error {
		if !isNumber(v) {
			return fmt.Errorf("needs a number, not %q", v)
		}
		n := atoi(v)
		if n < min {
			return fmt.Errorf("must be at least %d", min)
		}
		*field(g) = n
		return nil
	}
}

// size is 0 or at least min.
func size(field func(*group) *int, min int) func(*group, string) error {
	return func(g *group, v string) error {
		n := atoi(v)
		if v == "" || n != 0 && n < min {
			return fmt.Errorf("must be 0 or at least %d", min)
		}
		*field(g) = n
		return nil
	}
}

func bytes64(field func(*group) *int64) func(*group, string) error {
	return func(g *group, v string) error {
		n, err := leading(v, 64)
		if v == "" || err != nil || strings.HasPrefix(v, "-") || n < 0 {
			return fmt.Errorf("must be a number of bytes")
		}
		*field(g) = n
		return nil
	}
}

// secs reads whole seconds.
func secs(field func(*group) *time.Duration, unit time.Duration) func(*group, string) error {
	return func(g *group, v string) error {
		n := atoi(v)
		if v == "" || n < 0 {
			return fmt.Errorf("must be 0 or more")
		}
		*field(g) = time.Duration(n) * unit
		return nil
	}
}

func absolute(field func(*group) *string) func(*group, string) error {
	return func(g *group, v string) error {
		if !strings.HasPrefix(v, "/") {
			return fmt.Errorf("must be an absolute path")
		}
		*field(g) = v
		return nil
	}
}

// account reads a user's or group's name or #id.
func account(field func(*group) *string) func(*group, string) error {
	return func(g *group, v string) error {
		if id, ok := strings.CutPrefix(v, "#"); ok {
			if _, err := strconv.ParseUint(id, 10, 32); err != nil {
				return fmt.Errorf("%q is not an id", v)
			}
		} else if v == "" {
			return fmt.Errorf("needs a name or #id")
		}
		*field(g) = v
		return nil
	}
}

func setUser(g *group, v string) error {
	if err := account(func(g *group) *string { return &g.User })(g, v); err != nil {
		return err
	}
	id := strings.TrimPrefix(v, "#")
	if id == v {
		u, err := user.Lookup(v)
		if err != nil {
			return nil //nolint:nilerr // asked again when the processes start
		}
		id = u.Uid
	} else if _, err := user.LookupId(id); err != nil {
		return fmt.Errorf("there is no user with the id %s", id)
	}
	if id == "0" {
		return fmt.Errorf("applications must not run as root")
	}
	return nil
}

// setter gives a group the value of one option.
type setter = func(g *group, v string) error

// options sets each option of WSGIDaemonProcess.
var options = func() map[string]setter {
	all := maps.Clone(numbers)
	maps.Copy(all, texts)
	return all
}()

// numbers are the options that atoi reads: an odd value gets a warning (numbers.go).
var numbers = map[string]setter{
	"processes": func(g *group, v string) error {
		g.Multiprocess = true
		return num(func(g *group) *int { return &g.Processes }, 1)(g, v)
	},
	"threads":                 setThreads,
	"stack-size":              num(func(g *group) *int { return &g.StackSize }, 1),
	"maximum-requests":        num(func(g *group) *int { return &g.MaximumRequests }, 0),
	"maximum-requests-jitter": num(func(g *group) *int { return &g.MaximumRequestsJitter }, 0),
	"startup-timeout":         secs(func(g *group) *time.Duration { return &g.StartupTimeout }, time.Second),
	"shutdown-timeout":        secs(func(g *group) *time.Duration { return &g.ShutdownTimeout }, time.Second),
	"deadlock-timeout":        secs(func(g *group) *time.Duration { return &g.DeadlockTimeout }, time.Second),
	"inactivity-timeout":      secs(func(g *group) *time.Duration { return &g.InactivityTimeout }, time.Second),
	"request-timeout":         secs(func(g *group) *time.Duration { return &g.RequestTimeout }, time.Second),
	"interrupt-timeout":       secs(func(g *group) *time.Duration { return &g.InterruptTimeout }, time.Second),
	"graceful-timeout":        secs(func(g *group) *time.Duration { return &g.GracefulTimeout }, time.Second),
	"eviction-timeout":        secs(func(g *group) *time.Duration { return &g.EvictionTimeout }, time.Second),
	"restart-interval":        secs(func(g *group) *time.Duration { return &g.RestartInterval }, time.Second),
	"connect-timeout":         secs(func(g *group) *time.Duration { return &g.ConnectTimeout }, time.Second),
	"socket-timeout":          secs(func(g *group) *time.Duration { return &g.SocketTimeout }, time.Second),
	"queue-timeout":           secs(func(g *group) *time.Duration { return &g.QueueTimeout }, time.Second),
	"listen-backlog":          num(func(g *group) *int { return &g.ListenBacklog }, 0),
	"send-buffer-size":        size(func(g *group) *int { return &g.SendBufferSize }, 512),
	"receive-buffer-size":     size(func(g *group) *int { return &g.ReceiveBufferSize }, 512),
	"header-buffer-size":      size(func(g *group) *int { return &g.HeaderBufferSize }, 8192),
	"response-buffer-size":    size(func(g *group) *int { return &g.ResponseBufferSize }, 65536),
	"response-socket-timeout": secs(func(g *group) *time.Duration { return &g.ResponseSocketTimeout }, time.Second),
	"response-flush-delay":    secs(func(g *group) *time.Duration { return &g.ResponseFlushDelay }, time.Millisecond),
	"cpu-time-limit":          num(func(g *group) *int { return &g.CPUTimeLimit }, 0),
	"cpu-priority":            num(func(g *group) *int { return &g.CPUPriority }, -1<<31),
	"memory-limit":            bytes64(func(g *group) *int64 { return &g.MemoryLimit }),
	"resident-memory-limit":   bytes64(func(g *group) *int64 { return &g.ResidentMemoryLimit }),
	"virtual-memory-limit":    bytes64(func(g *group) *int64 { return &g.VirtualMemoryLimit }),
}

// texts are all others.
var texts = map[string]setter{
	"user":                 setUser,
	"group":                account(func(g *group) *string { return &g.Group }),
	"supplementary-groups": setGroups,
	"umask":                setUmask,
	"chroot":               absolute(func(g *group) *string { return &g.Chroot }),
	"home":                 absolute(func(g *group) *string { return &g.Home }),
	"lang":                 str(func(g *group) *string { return &g.Lang }),
	"locale":               str(func(g *group) *string { return &g.Locale }),
	"python-home":          str(func(g *group) *string { return &g.PythonHome }),
	"python-path":          func(g *group, v string) error { g.PythonPath = splitPath(v); return nil },
	"python-eggs":          str(func(g *group) *string { return &g.PythonEggs }),
	"switch-interval":      setGroupInterval,
	"socket-user":          account(func(g *group) *string { return &g.SocketUser }),
	"display-name":         str(func(g *group) *string { return &g.DisplayName }),
	"script-user":          account(func(g *group) *string { return &g.ScriptUser }),
	"script-group":         account(func(g *group) *string { return &g.ScriptGroup }),
	"server-metrics": func(g *group, v string) error {
		on, err := httpd.ParseFlag(v)
		g.ServerMetrics = on
		return err
	},
}

// maxGroups is NGROUPS_MAX of Linux since 2.6.4.
const maxGroups = 65536

func setGroups(g *group, v string) error {
	list := strings.Split(v, ",")
	if len(list) > maxGroups {
		return fmt.Errorf("more than %d groups", maxGroups)
	}
	g.SupplementaryGroups = list
	return nil
}

func setThreads(g *group, v string) error {
	n := atoi(v)
	if !isNumber(v) || n < 0 || n > 65533 {
		return fmt.Errorf("must be a number from 0 to 65533, not %q", v)
	}
	g.Threads = n
	return nil
}

func setUmask(g *group, v string) error {
	n, err := strconv.ParseUint(v, 8, 16)
	if err != nil || n > 0o777 {
		return fmt.Errorf("%q is not an octal mask", v)
	}
	g.Umask = int(n)
	return nil
}

func setGroupInterval(g *group, v string) error {
	n, err := seconds(v)
	if err == nil && n <= 0 {
		err = fmt.Errorf("must be a positive number of seconds")
	}
	g.SwitchInterval = n
	return err
}

// newGroup has the defaults of mod_wsgi, but response-flush-delay: output is
// sent at once because waiting for more gains nothing without a hop.
func newGroup(name string) *group {
	return &group{Name: name, Processes: 1, Threads: 15, Umask: -1, ShutdownTimeout: 5 * time.Second, DeadlockTimeout: 300 * time.Second,
		GracefulTimeout: 15 * time.Second, ConnectTimeout: 15 * time.Second, ListenBacklog: 100}
}

func setDaemonProcess(k *httpd.Cmd, c *config) error {
	m := mainOf(k, c)
	name := k.Arg(0)
	if name == "" {
		return fmt.Errorf("needs a name")
	}
	if strings.Contains(name, "=") {
		k.Warn("WSGI-GROUP-NAME", "%q is taken as the name of the group; is the name missing?", name)
	}
	for _, g := range m.groups {
		if g.Name == name {
			return fmt.Errorf("the process group %q is defined already (%s)", name, g.Pos)
		}
	}
	g := newGroup(name)
	g.ID, g.Pos, g.HostIndex = len(m.groups)+1, k.Pos, k.HostIndex
	m.groups = append(m.groups, g) // also when an option is wrong: one error is enough
	pairs, err := optionPairs(k, 1)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		key, value := p.key, p.value
		set, ok := options[key]
		if !ok {
			return unknownOption(key)
		}
		if err := set(g, value); err != nil {
			return fmt.Errorf("option %s: %w", key, err)
		}
		if numbers[key] != nil {
			bits, unit := unitOf(key)
			warnNumber(k, key, value, bits, unit)
		}
	}
	warnDirectories(k, g)
	if g.ScriptUser != "" && g.ScriptGroup != "" {
		return fmt.Errorf("script-user and script-group cannot be given both")
	}
	return nil
}

func unknownOption(key string) error {
	names := make([]string, 0, len(options))
	for n := range options {
		names = append(names, n)
	}
	sort.Strings(names)
	hint := ""
	if n := conf.Suggest(key, names); n != "" {
		hint = "did you mean " + n + "?"
	}
	if key == "working-directory" {
		hint = "use home"
	}
	if hint == "" {
		hint = "docs/process-groups.md lists the options"
	}
	return &httpd.Coded{Code: "WSGI-OPTION", Message: fmt.Sprintf("unknown option %q", key), Suggestion: hint}
}
