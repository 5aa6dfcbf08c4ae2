"""The part of the httpd command that apachectl needs: -k VERB, -t, and -D words.

Words, messages and exit codes are those of httpd, because deployment scripts read
them: a start while running and a stop while stopped are said and are no errors.

    -k start|stop|restart|graceful|graceful-stop    send the server a signal
    -t               check the configuration
    -f FILE          configuration file
    -d DIRECTORY     server root
    -C DIRECTORY     working directory of the server
    -P FILE          pid file
    -E FILE          where the server says what happens at its start
    -L FILE          the same for a server in the background only, without -E
    -D WORD          define a word; FOREGROUND keeps the server in the foreground
    -v, -h           version, help
"""

from __future__ import annotations

import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

SIGNALS = {
    "stop": signal.SIGTERM,
    "restart": signal.SIGHUP,
    "graceful": signal.SIGUSR1,
    "graceful-stop": signal.SIGWINCH,
}
VERBS = ("start", *SIGNALS)

# How often the parent of a server in the background looks for its pid file.
POLL_SECONDS = 0.02


class Arguments:
    """The command line, read."""

    def __init__(self, words: Sequence[str]) -> None:
        """Reads words as httpd does; a wrong one ends the process with exit 1."""
        self.verb = ""
        self.check = False
        self.values = {"f": "", "d": "", "C": "", "P": "", "E": "", "L": ""}
        self.defines: list[str] = []
        rest = list(words)
        while rest:
            word = rest.pop(0)
            letter, value = word[1:2], word[2:]
            if word[:1] != "-" or not letter:
                usage(1)
            if letter in ("h", "v", "V", "t") and not value:
                if letter == "h":
                    usage(0)
                if letter in ("v", "V"):
                    version()
                self.check = True
                continue
            if letter not in self.values and letter not in ("k", "D"):
                usage(1)
            if not value:
                if not rest:
                    usage(1)
                value = rest.pop(0)
            if letter == "k":
                if value not in VERBS:
                    usage(1)
                self.verb = value
            elif letter == "D":
                self.defines.append(value)
            else:
                self.values[letter] = value
        self.config_file = self.values["f"]
        self.server_root = self.values["d"] or os.path.dirname(os.path.abspath(self.config_file))
        self.working_directory = self.values["C"] or os.getcwd()
        self.pid_file = self.values["P"] or os.path.join(self.server_root, "httpd.pid")
        self.startup_log = self.values["E"]
        self.background_log = self.values["E"] or self.values["L"]


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    arguments = Arguments(sys.argv[1:] if words is None else words)
    if not arguments.config_file:
        usage(1)
    if arguments.check:
        return check(arguments)
    if arguments.verb in ("", "start"):
        return start(arguments)
    return send(arguments)


def usage(code: int) -> NoReturn:
    """Says how the command is used: on stdout when asked, on stderr after an error."""
    text = (__doc__ or "").split("\n\n")[2]
    print(f"Usage: apachectl [arguments]\n{text}", file=sys.stderr if code else sys.stdout)
    raise SystemExit(code)


def version() -> NoReturn:
    """Says the version."""
    from .. import __version__

    print(f"Server version: modwsgi-go/{__version__}")
    raise SystemExit(0)


def read_pid(path: str) -> int | None:
    """The number in a pid file; None without one, 0 if it makes no sense."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read(64).strip()
    except FileNotFoundError:
        return None
    # 0 and negative numbers would signal whole process groups.
    return int(text) if text.isascii() and text.isdigit() else 0


def is_running(pid: int) -> bool:
    """Whether a process of that number lives, and is not this one: in a container the
    numbers of the last run come back, and often nobody reaps the dead."""
    if pid <= 0 or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, under another user
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name in brackets may hold anything; the state follows it.
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return True  # no /proc on this system


def send(arguments: Arguments) -> int:
    """Sends the verb's signal to the server of the pid file."""
    verb = arguments.verb
    pid = read_pid(arguments.pid_file)
    if pid is None or not is_running(pid):
        if verb in ("restart", "graceful"):
            print("httpd not running, trying to start", flush=True)
            return start(arguments)
        if pid is None:
            print("httpd (no pid file) not running")
        else:
            print(f"httpd (pid {pid}?) not running")
        return 0
    try:
        os.kill(pid, SIGNALS[verb])
    except OSError as error:
        print(f"sending signal to server (pid {pid}): {error.strerror}", file=sys.stderr)
        return 1
    return 0


def start(arguments: Arguments) -> int:
    """Starts the server, in the background unless FOREGROUND is defined."""
    pid = read_pid(arguments.pid_file)
    if pid is not None and is_running(pid):
        print(f"httpd (pid {pid}) already running")
        return 0
    if "FOREGROUND" in arguments.defines:
        if arguments.startup_log:
            from . import serve

            serve.redirect_stderr(arguments.startup_log)
        return _serve(arguments, foreground=True)
    return _start_in_background(arguments)


def _serve(arguments: Arguments, *, foreground: bool) -> int:
    from . import serve

    return serve.run(
        arguments.config_file,
        arguments.server_root,
        arguments.working_directory,
        {},
        foreground=foreground,
        words=tuple(word for word in arguments.defines if word != "FOREGROUND"),
    )


def _start_in_background(arguments: Arguments) -> int:
    """Forks, detaches, and waits until the server has written its pid or given up.

    The child must not keep the caller's descriptors: whoever reads the output of
    apachectl through a pipe would wait for the server's end. So its stderr is the
    log file, and when it fails what it added there is shown.
    """
    log = arguments.background_log
    to_file = bool(log)
    before = os.path.getsize(log) if to_file and os.path.exists(log) else 0
    sys.stdout.flush()
    sys.stderr.flush()
    # The Go core is not loaded yet, so forking is safe; afterwards it would not be.
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setsid()
            _detach(log if to_file else "")
            code = _serve(arguments, foreground=False)
        except BaseException as error:
            os.write(2, f"start failed: {error!r}\n".encode(errors="replace"))
        finally:
            os._exit(code)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if to_file:
                _show_tail(log, before)
            return os.waitstatus_to_exitcode(status) or 1
        if read_pid(arguments.pid_file) == child:
            return 0
        time.sleep(POLL_SECONDS)


def _detach(log: str) -> None:
    """Points the standard descriptors away from the caller's terminal or pipes."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    if log:
        os.dup2(null, 1)
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(fd, 2)
        os.close(fd)
    os.close(null)


def _show_tail(log: str, start: int) -> None:
    """Copies what was added to a file to stderr."""
    try:
        with open(log, "rb") as file:
            file.seek(start)
            sys.stderr.write(file.read(65536).decode("utf-8", "replace"))
    except OSError:
        pass


def check(arguments: Arguments) -> int:
    """Checks the configuration: all its problems at once, or "Syntax OK", on stderr."""
    from . import scripts
    from .check import report
    from .fileargs import FileArguments

    of = FileArguments()
    of.server_root = arguments.server_root
    of.defines = dict.fromkeys(arguments.defines, "") | scripts.passed_on()
    found = report(arguments.config_file, of)
    for diagnostic in found["diagnostics"]:
        print(diagnostic["text"], file=sys.stderr)
    if not found["usable"]:
        return 1
    print("Syntax OK", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
