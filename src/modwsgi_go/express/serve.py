"""Runs the server that was just set up, in this very process.

There is no second program to start: the interpreter that read the options becomes the
supervisor. Only when the user has an envvars file, a shell script, or wants gdb, which is
another program, does the start go through apachectl.
"""

from __future__ import annotations

import os
import sys

from . import scripts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .settings import Settings


def start(s: Settings) -> int:
    """Serves until a signal ends it; returns the exit code."""
    envvars = s.server_root + "/envvars"
    if os.path.getsize(envvars) > 0 or s.enable_gdb:
        control = s.server_root + "/apachectl"
        os.execv(control, [control, "start", "-DFOREGROUND"])
    user, group = scripts.identity(s)
    if scripts.root_is_refused(user):
        print(scripts.ROOT_WARNING, end="", flush=True)
    variables = scripts.environment(s)
    variables["MOD_WSGI_USER"], variables["MOD_WSGI_GROUP"] = user, group
    if s.startup_log and not s.log_to_terminal:
        redirect_stderr(s.startup_log_file)
    return run(s.httpd_conf, s.server_root, s.working_directory, variables, foreground=True)


def run(
    config_file: str,
    server_root: str,
    working_directory: str,
    variables: dict[str, str],
    *,
    foreground: bool,
    words: tuple[str, ...] = (),
) -> int:
    """Changes environment and directory and hands over to the server.

    variables go into the environment, which the workers inherit; words are further -D
    words. Ctrl-C before the server has taken over the signals ends it like one after.
    """
    from .._run import run_server

    defines = dict.fromkeys(words, "")
    os.environ.update(variables)
    defines.update(scripts.passed_on())
    if foreground:
        defines["FOREGROUND"] = ""
    try:
        os.chdir(working_directory)
    except OSError as error:
        print(f"mod_wsgi-express: working directory {working_directory}: {error.strerror}", file=sys.stderr)
        return 1
    try:
        sys.stdout.flush()
        return run_server(config_file, server_root, defines)
    except KeyboardInterrupt:
        return 0


def redirect_stderr(path: str) -> None:
    """Appends what is said on descriptor 2 from now on to a file."""
    sys.stderr.flush()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    os.dup2(fd, 2)
    os.close(fd)
