// Where the sockets between the front and the other groups lie, and whether
// that is a safe place. A socket belongs to the front's user, so nobody else may
// connect to it; but whoever may write to its directory, or to one on the way
// there, can put another socket in its place and answer for the group.
package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/httpd"
)

// runtimeDir is the name of our own directory, below that of the system. Not
// the one that a unit's RuntimeDirectory=modwsgi-go gives to its user.
const runtimeDir = "modwsgi-go-sockets"

// socketPrefix is WSGISocketPrefix: the first part of the sockets' paths. make
// is the directory to make for it, "" where the configuration names one.
func socketPrefix(srv *httpd.Server, root bool, getenv func(string) string) (prefix, dir string) {
	const base = "wsgi"
	if p := srv.Python.SocketPrefix; p != "" {
		if !filepath.IsAbs(p) {
			p = filepath.Join(srv.ServerRoot, p)
		}
		return p, ""
	}
	if d := srv.DefaultRuntimeDir; d != "" {
		if !filepath.IsAbs(d) {
			d = filepath.Join(srv.ServerRoot, d)
		}
		return filepath.Join(d, base), ""
	}
	// systemd.exec(5): RuntimeDirectory= of the unit, removed with it
	if d, _, _ := strings.Cut(getenv("RUNTIME_DIRECTORY"), ":"); filepath.IsAbs(d) {
		return filepath.Join(d, base), ""
	}
	d := filepath.Join("/tmp", runtimeDir+"-"+strconv.Itoa(os.Geteuid()))
	if root {
		d = filepath.Join("/run", runtimeDir)
	} else if x := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(x) {
		d = filepath.Join(x, runtimeDir)
	}
	return filepath.Join(d, base), d
}

// socketNames are the paths of the sockets of a group by slot. That of slot 0
// is named as mod_wsgi names the one socket of a group.
func socketNames(prefix string, g *httpd.DaemonGroup, processes, generation int, rotation bool, id identity) ([]string, error) {
	series := strconv.Itoa(generation)
	if !rotation {
		series = "u" + strconv.Itoa(id.number())
	}
	stem := fmt.Sprintf("%s.%d.%s.%d", prefix, os.Getpid(), series, g.ID)
	out := []string{stem + ".sock"}
	for slot := 1; slot < processes; slot++ {
		out = append(out, fmt.Sprintf("%s.%d.sock", stem, slot))
	}
	var probe unix.RawSockaddrUnix
	if last := out[len(out)-1]; len(last) >= len(probe.Path) {
		return nil, fmt.Errorf("%s:%d: the socket of process group %q, %s, has a path of %d bytes, and the system allows %d: "+
			"give WSGISocketPrefix a shorter path", g.Pos.File, g.Pos.Line, g.Name, last, len(last), len(probe.Path)-1)
	}
	return out, nil
}

// socketUser is the owner of a group's sockets: the front's user, who has to
// connect to them. socket-user can only say the same, or anything where the
// front is root.
func socketUser(g *httpd.DaemonGroup, root bool, front identity) (int, error) {
	if !root {
		return -1, nil
	}
	if g.SocketUser == "" {
		return front.uid, nil
	}
	id, err := resolveIdentity(g.SocketUser, "#0", nil)
	if err == nil && id.uid != front.number() && front.number() != 0 {
		err = fmt.Errorf("socket-user=%s of process group %q: the server's own processes, who have to connect to the group's sockets, run as user id %d (User): "+
			"leave the option out, or name that user", g.SocketUser, g.Name, front.number())
	}
	if err != nil {
		return -1, fmt.Errorf("%s:%d: %w", g.Pos.File, g.Pos.Line, err)
	}
	return id.uid, nil
}

// prepareSocketDir makes dir, if it is our own, and checks the directory of the
// sockets. users are those who run the groups.
func prepareSocketDir(prefix, dir string, root bool, front identity, users []identity) error {
	remedy := "set WSGISocketPrefix to a path in a directory of root's that the processes of User can enter and only root can write to"
	if !root {
		remedy = "set WSGISocketPrefix to a path in a directory of your own"
	}
	if dir != "" {
		mode := os.FileMode(0o711)
		if !root {
			mode = 0o700
		}
		if err := os.Mkdir(dir, mode); err == nil {
			_ = os.Chmod(dir, mode) // whatever the umask is
		} else if !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("cannot make the directory for the sockets between processes: %w: %s", err, remedy)
		}
		// /tmp is everybody's: what has this name may be somebody else's.
		st, err := os.Lstat(dir)
		if err != nil {
			return fmt.Errorf("the directory for the sockets between processes: %w: %s", err, remedy)
		}
		if sys := st.Sys().(*syscall.Stat_t); !st.IsDir() || int(sys.Uid) != os.Geteuid() || st.Mode().Perm()&0o022 != 0 {
			return fmt.Errorf("%s, for the sockets between processes, is not a directory that user id %d alone can write to: remove it, or %s",
				dir, os.Geteuid(), remedy)
		}
	}
	place := filepath.Dir(prefix)
	st, err := os.Stat(place)
	if err == nil && !st.IsDir() {
		err = &os.PathError{Op: "stat", Path: place, Err: syscall.ENOTDIR}
	}
	if err != nil {
		return fmt.Errorf("the directory for the sockets between processes: %w: make it, or %s", err, remedy)
	}
	if !root {
		return nil // everybody here is the same user
	}
	return checkSocketDir(place, front, users, remedy)
}

// checkSocketDir goes from place up to the root directory, by permission bits:
// where the links on the way lead to, and where they lie.
func checkSocketDir(place string, front identity, users []identity, remedy string) error {
	real, err := filepath.EvalSymlinks(place)
	if err != nil {
		return err
	}
	if err := checkDirs(real, place, front, users, remedy); err != nil || real == place {
		return err
	}
	return checkDirs(filepath.Clean(place), place, front, users, remedy)
}

func checkDirs(from, place string, front identity, users []identity, remedy string) error {
	for dir := from; ; dir = filepath.Dir(dir) {
		st, err := os.Stat(dir)
		if err != nil {
			return err
		}
		name, err := os.Lstat(dir)
		if err != nil {
			return err
		}
		for _, u := range users {
			link := name.Mode()&os.ModeSymlink != 0 && owner(name) == u.number()
			// Who may write to a directory above can rename the one below, unless
			// the sticky bit keeps that to the owners.
			if link || may(st, u, 0o2) && (dir == from || st.Mode()&os.ModeSticky == 0 || owner(st) == u.number()) {
				return fmt.Errorf("%s, where the sockets between processes are to be (%s), can be written to by user id %d, who runs a process group "+
					"and could answer for others there: %s", dir, place, u.number(), remedy)
			}
		}
		if !may(st, front, 0o1) {
			return fmt.Errorf("%s, where the sockets between processes are to be (%s), cannot be entered by user id %d, "+
				"who has to connect to them: %s", dir, place, front.number(), remedy)
		}
		if dir == "/" || dir == "." {
			return nil
		}
	}
}

func owner(st os.FileInfo) int { return int(st.Sys().(*syscall.Stat_t).Uid) }

// may says whether the user has the permission, one of the bits 4, 2 and 1.
func may(st os.FileInfo, u identity, bit os.FileMode) bool {
	sys := st.Sys().(*syscall.Stat_t)
	perm := st.Mode().Perm()
	switch {
	case u.number() == 0:
		return true
	case int(sys.Uid) == u.number():
		return perm&(bit<<6) != 0 || bit == 0o2 // the owner can give it to himself
	case int(sys.Gid) == u.gid || slices.Contains(u.groups, int(sys.Gid)):
		return perm&(bit<<3) != 0
	}
	return perm&bit != 0
}

// socketName matches the names that socketNames gives, after the prefix.
var socketName = regexp.MustCompile(`^\.(\d+)\.u?\d+\.\d+(\.\d+)?\.sock$`)

// removeLeftSockets removes sockets that servers which were killed have left
// here: nobody listens on them and their supervisor is gone.
func removeLeftSockets(prefix string, log *errorLog) {
	list, err := os.ReadDir(filepath.Dir(prefix))
	if err != nil {
		return
	}
	for _, e := range list {
		rest, ok := strings.CutPrefix(e.Name(), filepath.Base(prefix))
		m := socketName.FindStringSubmatch(rest)
		if !ok || m == nil || e.Type()&os.ModeSocket == 0 {
			continue
		}
		pid, err := strconv.Atoi(m[1])
		if err != nil || pid != os.Getpid() && !errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			continue
		}
		path := filepath.Join(filepath.Dir(prefix), e.Name())
		if removed, err := removeStaleSocket(path); err == nil && removed {
			log.printf("wsgi", levelWarn, "removed the socket %s, which a server that is gone had left", path)
		}
	}
}

// stablePaths refuses a restart that would give a socket of one group to
// another, which keeps serving requests of the old configuration for a while.
// That can only happen when the paths do not change with each generation.
func stablePaths(next *generation, living []*generation) error {
	type holder struct {
		name     string
		uid, gid int
	}
	now := map[string]holder{}
	for _, g := range living {
		for _, pg := range g.groups {
			for _, s := range pg.sockets {
				now[s.Addr] = holder{pg.name, pg.id.uid, pg.id.gid}
			}
		}
	}
	for _, pg := range next.groups {
		for _, s := range pg.sockets {
			if h, ok := now[s.Addr]; ok && (h != holder{pg.name, pg.id.uid, pg.id.gid}) {
				return fmt.Errorf("%s:%d: process group %q would get the socket of %q, %s: with WSGISocketRotation Off the WSGIDaemonProcess directives "+
					"must keep their order, users and groups; stop and start the server, or use WSGISocketRotation On", s.Pos.File, s.Pos.Line, pg.name, h.name, s.Addr)
			}
		}
	}
	return nil
}
