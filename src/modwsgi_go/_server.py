"""A server: runs one in this process, or speaks to a running one through its pid file.

Private module; its public names are those of modwsgi_go. Imports are few because
mod_wsgi-express passes here on its way to the first response.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

TYPE_CHECKING = False  # typing's constant, without importing typing
if TYPE_CHECKING:
    from collections.abc import Mapping

    from modwsgi_go._config import Config

# What a worker runs. Started with -c, Python puts the current folder first on
# sys.path; it goes away again before anything is imported. Another environment
# (python-home) need not have this package: there it is taken from where it is here.
_WORKER = """\
import sys
sys.path[:] = [p for p in sys.path if p]
try:
    from modwsgi_go import _worker
except ImportError:
    sys.path.append({home!r})
    from modwsgi_go import _worker
    sys.path.remove({home!r})
_worker.main()
"""


class ServerStatus:
    """A moment's view of a server: its pid (None if it does not run) and pid file."""

    __slots__ = ("pid", "pid_file")

    def __init__(self, pid: int | None, pid_file: str) -> None:
        self.pid = pid
        self.pid_file = pid_file

    @property
    def running(self) -> bool:
        """Whether the supervisor is there."""
        return self.pid is not None

    def __repr__(self) -> str:
        return f"ServerStatus(pid={self.pid!r}, pid_file={self.pid_file!r})"


class Server:
    """The server of one configuration file.

    config is a Config, or a path as for Config. pid_file saves reading the configuration
    when only stop, reload and status are wanted. Methods other than run() act on the
    server that the pid file names, whoever started it; they need the right to signal it.
    """

    def __init__(
        self,
        config: Config | str | os.PathLike[str],
        *,
        server_root: str | os.PathLike[str] | None = None,
        defines: Mapping[str, str] | None = None,
        pid_file: str | os.PathLike[str] | None = None,
    ) -> None:
        if isinstance(config, (str, os.PathLike)):
            self._file = os.path.abspath(config)
            self._root = os.path.abspath(server_root) if server_root is not None else os.path.dirname(self._file)
            self._defines = dict(defines or {})
        else:
            if server_root is not None or defines is not None:
                raise TypeError("server_root and defines belong to the Config that was given")
            self._file, self._root, self._defines = config.file, config.server_root, dict(config.defines)
        self._pid_file = os.path.abspath(pid_file) if pid_file is not None else None

    def __repr__(self) -> str:
        return f"Server({self._file!r})"

    @property
    def config(self) -> Config:
        """The configuration that this server has."""
        from modwsgi_go._config import Config

        return Config(self._file, self._root, self._defines)

    @property
    def pid_file(self) -> str:
        """Path of the pid file: as given, else as the configuration says. Raises ConfigError or ValueError."""
        if self._pid_file is None:
            path = str(self.config.summary()["pid_file"])
            if not path:
                raise ValueError(f"{self._file} has no PidFile")
            self._pid_file = path
        return self._pid_file

    def run(self, *, foreground: bool = False) -> int:
        """Supervises the server until it is told to stop; returns its exit status.

        Call it from the main thread of a process that does nothing else: it handles the
        process's signals (SIGTERM and SIGINT stop, SIGHUP restarts, SIGUSR1 restarts and
        SIGWINCH stops gracefully). Applications run in worker processes that it starts.
        foreground leaves standard output and error alone; else they go to the error log
        once the server is up. Problems are printed, as httpd does.
        """
        from modwsgi_go._gocore import _gocore

        if not sys.executable:
            raise RuntimeError("workers are started with sys.executable, which this interpreter does not know")
        defines = dict(self._defines)
        if foreground:
            defines["FOREGROUND"] = ""
        sys.stdout.flush()
        sys.stderr.flush()
        home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        arguments = json.dumps([*interpreter_options(), "-c", _WORKER.format(home=home)])
        # os.environ now: the library knows what it was when it was loaded.
        environ = json.dumps([os.fsencode(f"{key}={value}").decode("latin-1") for key, value in os.environ.items()])
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        status: int = _gocore.gocore_RunServer(
            self._file, self._root, sys.executable, arguments, json.dumps(defines), environ, version
        )
        return status

    def status(self) -> ServerStatus:
        """Whether the server runs. A pid file that a dead server left behind does not count."""
        return ServerStatus(read_pid(self.pid_file), self.pid_file)

    def stop(self, *, graceful: bool = False, timeout: float | None = None) -> bool:
        """Stops the server; graceful lets running requests end.

        Returns whether it ran. With a timeout, waits so many seconds for it to go and
        raises TimeoutError if it stays.
        """
        pid = self._signal(signal.SIGWINCH if graceful else signal.SIGTERM)
        if pid is None:
            return False
        if timeout is not None:
            end = time.monotonic() + timeout
            while read_pid(self.pid_file) == pid:
                if time.monotonic() > end:
                    raise TimeoutError(f"the server (pid {pid}) still runs after {timeout:g} s")
                time.sleep(0.02)
        return True

    def reload(self, *, graceful: bool = True) -> bool:
        """Makes the server read its configuration again. Returns whether it runs.

        Requests are not lost: new workers take over and old ones finish, as with httpd's
        graceful restart. graceful=False restarts at once. A configuration with errors is
        refused by the server, which then goes on with the old one.
        """
        return self._signal(signal.SIGUSR1 if graceful else signal.SIGHUP) is not None

    def _signal(self, number: signal.Signals) -> int | None:
        """Signals the server; its pid, or None when there is none."""
        pid = read_pid(self.pid_file)
        if pid is None:
            return None
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return None
        return pid


def read_pid(path: str) -> int | None:
    """The pid in a pid file if that process lives, else None. Raises OSError but for a missing file."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read(64).strip()
    except FileNotFoundError:
        return None
    pid = int(text) if text.isascii() and text.isdigit() else 0
    # 0 and 1 would be a process group and init: never ours, and fatal to signal by mistake.
    if pid <= 1 and pid != os.getpid():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # it lives, under another user
    return pid


def interpreter_options() -> list[str]:
    """The options that this interpreter was started with, for those that it starts.

    As subprocess._args_from_interpreter_flags, which is private and slow to import.
    """
    flags = sys.flags
    options = []
    for letter, count in (
        ("d", flags.debug),
        ("B", flags.dont_write_bytecode),
        ("O", flags.optimize),
        ("v", flags.verbose),
        ("b", flags.bytes_warning),
        ("q", flags.quiet),
    ):
        if count:
            options.append("-" + letter * count)
    if flags.isolated:
        options.append("-I")
    else:
        if flags.ignore_environment:
            options.append("-E")
        if flags.no_user_site:
            options.append("-s")
        if getattr(flags, "safe_path", False):
            options.append("-P")
    if flags.no_site:
        options.append("-S")
    options += [f"-W{option}" for option in sys.warnoptions]
    # sys._xoptions is documented, underscore and all.
    for name, value in sys._xoptions.items():
        options += ["-X", name if value is True else f"{name}={value}"]
    return options
