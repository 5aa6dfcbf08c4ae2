"""The command `mod_wsgi-express COMMAND [parameters]`.

start-server     sets up a server root and serves from this process
setup-server     only sets it up; its apachectl starts and stops the server
run-config       serves with a configuration file of one's own
check            says what the server makes of configuration files
module-config    the lines that a configuration made by hand begins with
module-location  the path of the shared library
install-module   nothing to install, and says so

Exit codes: 0 after a clean end, 2 for errors on the command line (optparse's form),
1 when the server cannot be set up or started.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .settings import Settings

PROG = "mod_wsgi-express"
COMMANDS = {
    "check": "says what the server makes of configuration files",
    "install-module": "nothing to install: the server needs no Apache",
    "module-config": "the lines that a configuration made by hand begins with",
    "module-location": "the path of the shared library",
    "run-config": "serves with a configuration file written for Apache",
    "setup-server": "sets up a server root with an apachectl of its own",
    "start-server": "sets up a server root and serves",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line (sys.argv by default); returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if os.getpid() == 1:
        # The kernel drops signals that process 1 has no handler for: a container that is
        # stopped before the server has taken over the signals would wait to be killed.
        # Nothing has begun that would need an end; an exception could get lost in a callback.
        import signal

        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    command = words[0] if words else ""
    if command in ("start-server", "setup-server"):
        try:
            s = setup(command, words[1:])
            if s is None:
                return 1
            if command == "setup-server" or s.setup_only:
                return 0
            from . import serve

            return serve.start(s)
        except KeyboardInterrupt:
            return 0
    if command == "check":
        from . import check

        return check.main(words[1:])
    if command == "run-config":
        from . import runconfig

        return runconfig.main(words[1:])
    if command == "module-config":
        return module_config(words[1:])
    if command == "module-location":
        return module_location(words[1:])
    if command == "install-module":
        return install_module()
    if command in ("-h", "--help"):
        print(usage())
        return 0
    if command == "--version":
        from .. import __version__

        print(f"{PROG} (modwsgi-go) {__version__}")
        return 0
    print(usage(), file=sys.stderr)
    reason = f"invalid command {command!r}" if command else "no command given"
    print(f"{PROG}: error: {reason}", file=sys.stderr)
    return 2


def start(*args: str) -> int:
    """start-server from Python: start("app.wsgi", "--port", "8080")."""
    return main(["start-server", *args])


def usage() -> str:
    """The commands; said on --help, and when the command is missing or unknown."""
    rows = [f"    {name:<16} {text}" for name, text in COMMANDS.items()]
    more = "start-server, setup-server, run-config and check explain their options with --help."
    return "\n".join([f"Usage: {PROG} command [params]", "", "Commands:", *rows, "", more])


def setup(command: str, argv: Sequence[str]) -> Settings | None:
    """Reads the options and prepares the server root.

    Returns None, with the reason on stderr, when that is not possible.
    """
    from . import parser, settings

    given, positionals = parser.parse(command, argv)
    try:
        return prepare(command, argv, given, positionals)
    except settings.UsageError as error:
        parser.fail(command, str(error))
    except settings.Unavailable as error:
        print(f"{PROG}: error: {error}", file=sys.stderr)
        return None


def prepare(command: str, argv: Sequence[str], given: dict[str, Any], positionals: Sequence[str]) -> Settings:
    """Prints notices and banner and writes the server root.

    given and positionals are what parser.parse returns. Raises settings.UsageError for options that
    are wrong and settings.Unavailable for everything else that is in the way.
    """
    from . import banner, layout, settings

    try:
        s = settings.complete(command, argv, given, positionals)
    except OSError as error:  # an unreadable rewrite.conf, a working directory that is gone
        raise settings.Unavailable(f"{error.filename or os.curdir}: {error.strerror}") from error
    lines = settings.notices(given)
    if s.application_type == "script" and not s.uses_default_app and not os.path.exists(s.entry_point):
        lines.append(f"{s.entry_point} does not exist: requests fail until it does")
    for line in lines:
        print(f"{PROG}: notice: {line}", file=sys.stderr)
    try:
        layout.write(s)
    except layout.UnsafeRoot as error:
        raise settings.Unavailable(str(error)) from error
    except OSError as error:
        raise settings.Unavailable(f"setting up {error.filename or s.server_root}: {error.strerror}") from error
    print(banner.render(s), end="", flush=True)
    return s


def library_path() -> str:
    """Path of the shared library of this interpreter.

    Found by name, without loading it: that would start the Go runtime. Raises OSError
    if the package was never built.
    """
    import importlib.machinery

    directory = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "_gocore")
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = os.path.join(directory, "_gocore" + suffix)
        if os.path.exists(path):
            return path
    raise FileNotFoundError(2, "the shared library has not been built", directory)


def module_config(words: Sequence[str]) -> int:
    """Prints LoadModule and WSGIPythonHome for a configuration made by hand.

    The server accepts both, so that files written for Apache keep working.
    """
    if words:
        return _too_many("module-config")
    from .words import quote

    return _print_path(lambda path: f"LoadModule wsgi_module {quote(path)}\nWSGIPythonHome {quote(sys.prefix)}")


def module_location(words: Sequence[str]) -> int:
    """Prints the path of the shared library."""
    if words:
        return _too_many("module-location")
    return _print_path(lambda path: path)


def install_module() -> int:
    """There is no Apache to install a module into."""
    print(f"{PROG}: error: install-module: there is nothing to install: the server needs no Apache", file=sys.stderr)
    return 1


def _print_path(form: Callable[[str], str]) -> int:
    try:
        print(form(library_path()))
    except OSError as error:
        print(f"{PROG}: error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _too_many(command: str) -> int:
    """The error for positional arguments where there are none."""
    print(f"Usage: {PROG} {command}\n\n{PROG}: error: incorrect number of arguments", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
