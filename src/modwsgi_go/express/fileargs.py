"""Arguments of the subcommands that take a configuration file: check and run-config.

A Debian-like installation keeps variables that its files use (${APACHE_LOG_DIR} ...) in a shell
script beside them, envvars, which apache2ctl sources before it starts the server. So do these
subcommands: automatically when such a file lies beside the configuration, or the one given.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PROG = "mod_wsgi-express"

# Sources a file as apache2ctl does, in the environment that it gets, and goes on with the command.
_SOURCE = """\
file=$1; shift
APACHE_CONFDIR=${APACHE_CONFDIR-${file%/*}}
APACHE_ENVVARS=$file
. "$file" || exit 1
exec "$@"
"""


class FileArguments:
    """The command line, read."""

    def __init__(self) -> None:
        """Nothing given yet."""
        self.command = ""
        self.words: list[str] = []
        self.files: list[str] = []
        self.defines: dict[str, str] = {}
        self.server_root = ""
        self.envvars: str | None = None  # None: look beside the first file; "": none
        self.json = False

    def envvars_file(self) -> str:
        """The shell script to source, "" for none."""
        if self.envvars is not None:
            return os.path.abspath(self.envvars) if self.envvars else ""
        beside = os.path.join(os.path.dirname(os.path.abspath(self.files[0])), "envvars")
        return beside if os.path.isfile(beside) else ""

    def apply_envvars(self) -> None:
        """Starts this command again with the variables of the script, if there is one.

        Not in this process: the Go core sees the environment that the process was started with.
        """
        script = self.envvars_file()
        if not script:
            return
        if not os.access(script, os.R_OK):
            print(f"{PROG}: error: {script}: cannot be read", file=sys.stderr)
            raise SystemExit(1)
        from .._server import interpreter_options

        command = [
            sys.executable,
            *interpreter_options(),
            "-m",
            "modwsgi_go",
            self.command,
            "--no-envvars",
            *self.words,
        ]
        sys.stdout.flush()
        os.execv("/bin/sh", ["sh", "-c", _SOURCE, "sh", script, *command])


def read(command: str, words: Sequence[str], text: str, *, several: bool) -> FileArguments:
    """Reads the words after a subcommand; errors and --help end the process, exit 2 and 0."""
    import argparse

    parser = argparse.ArgumentParser(
        prog=f"{PROG} {command}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("files", metavar="FILE", nargs="+" if several else 1, help="configuration file, the main one")
    text = "define a word for <IfDefine>, with a value also for ${NAME}"
    add("-D", "--define", action="append", default=[], metavar="NAME[=VALUE]", help=text)
    text = "base of relative paths until a ServerRoot directive; the file's folder by default"
    add("--server-root", default="", metavar="DIRECTORY", help=text)
    text = "shell script that sets variables; the file envvars beside the configuration by default"
    add("--envvars", metavar="SCRIPT", help=text)
    add("--no-envvars", action="store_true", help="source no such script")
    if several:
        add("--json", action="store_true", help="print the report as JSON")
    given = parser.parse_args(list(words))
    arguments = FileArguments()
    arguments.command, arguments.words = command, list(words)
    arguments.files = given.files
    for word in given.define:
        name, _, value = word.partition("=")
        if not name:
            parser.error(f"-D {word}: a name is missing")
        arguments.defines[name] = value
    arguments.server_root = os.path.abspath(given.server_root) if given.server_root else ""
    arguments.envvars = "" if given.no_envvars else given.envvars
    arguments.json = several and given.json
    return arguments
