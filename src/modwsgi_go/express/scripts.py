"""Settings -> the texts of handler.wsgi, default.wsgi, apachectl and envvars."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .settings import Settings


def environment(s: Settings) -> dict[str, str]:
    """Variables that the server, and through it the application, finds in os.environ.

    User and group are not among them, see identity().
    """
    names = {
        "MOD_WSGI_EXPRESS": "true",
        "MOD_WSGI_SERVER_ROOT": s.server_root,
        "MOD_WSGI_SERVER_NAME": s.server_name or "",
        "MOD_WSGI_SERVER_ALIASES": " ".join(s.server_alias),
        "MOD_WSGI_LISTENER_HOST": s.host_name,
        "MOD_WSGI_HTTP_PORT": str(s.port),
        "MOD_WSGI_HTTPS_PORT": str(s.https_port),
        "MOD_WSGI_WORKING_DIRECTORY": s.working_directory,
        "LANG": s.locale,
        "LC_ALL": s.locale,
    }
    on = {
        "MOD_WSGI_DEBUG_MODE": s.debug_mode,
        "MOD_WSGI_DEBUGGER_ENABLED": s.enable_debugger,
        "MOD_WSGI_COVERAGE_ENABLED": s.enable_coverage,
        "MOD_WSGI_PROFILER_ENABLED": s.enable_profiler,
        "MOD_WSGI_RECORDER_ENABLED": s.enable_recorder,
        "MOD_WSGI_GDB_ENABLED": s.enable_gdb,
    }
    names.update({name: "true" for name, given in on.items() if given})
    if s.reload_on_changes:
        names["MOD_WSGI_RELOADER_ENABLED"] = "true"
    return names


def identity(s: Settings) -> tuple[str, str]:
    """User and group; MOD_WSGI_USER beats WSGI_RUN_USER, which beats --user."""
    get = os.environ.get
    return (
        get("MOD_WSGI_USER") or get("WSGI_RUN_USER") or s.user,
        get("MOD_WSGI_GROUP") or get("WSGI_RUN_GROUP") or s.group,
    )


def passed_on() -> dict[str, str]:
    """Defines that the server gets from the environment: the variables that httpd.conf
    uses, and the permission to run applications as root."""
    names = ("MOD_WSGI_USER", "MOD_WSGI_GROUP", "MOD_WSGI_ALLOW_ROOT")
    return {name: os.environ[name] for name in names if os.environ.get(name, "0") not in ("", "0")}


def root_is_refused(user: str) -> bool:
    """Whether the server will not start because the application would run as root."""
    return user == "root" and os.getuid() == 0 and "MOD_WSGI_ALLOW_ROOT" not in passed_on()


ROOT_WARNING = """
WARNING: mod_wsgi-express was started as root, and the application would run as
WARNING: root too: the server refuses that. Give another user and group with
WARNING: the options --user and --group (or set MOD_WSGI_ALLOW_ROOT=1).

"""


def handler(s: Settings) -> str:
    """handler.wsgi: what stands between the server and anything but a plain script."""
    if s.debug_mode:
        return _debugging_handler(s)
    return f"""\
# Written by mod_wsgi-express; its next run overwrites this file.

from modwsgi_go.express.handler import ApplicationHandler

handler = ApplicationHandler(
    application_type={s.application_type!r},
    entry_point={s.entry_point!r},
    callable_object={s.callable_object!r},
    reload_on_changes={s.reload_on_changes!r},
)

application = handler.application
reload_required = handler.reload_required
"""


def _debugging_handler(s: Settings) -> str:
    """handler.wsgi of debug mode."""
    return f"""\
# Written by mod_wsgi-express; its next run overwrites this file.

from modwsgi_go.express.debugging import Tools
from modwsgi_go.express.handler import ApplicationHandler

tools = Tools(
    debugger={s.enable_debugger!r},
    debugger_startup={s.debugger_startup!r},
    coverage_directory={s.coverage_directory if s.enable_coverage else ""!r},
    profiler_directory={s.profiler_directory if s.enable_profiler else ""!r},
    recorder_directory={s.recorder_directory if s.enable_recorder else ""!r},
)
handler = ApplicationHandler(
    application_type={s.application_type!r},
    entry_point={s.entry_point!r},
    callable_object={s.callable_object!r},
)

application = tools.wrap(handler.application)
"""


def resource(s: Settings) -> str:
    """resource.wsgi: what serves files with the extensions of --add-handler."""
    return f"""\
# Written by mod_wsgi-express; its next run overwrites this file.

from modwsgi_go.express.handler import ResourceHandler

handler = ResourceHandler({dict(s.add_handler)!r})

handle_request = handler.handle_request
"""


def telemetry(s: Settings) -> str:
    """telemetry-service.py: the service of --enable-telemetry."""
    words = ["--listen", s.telemetry_service, "--http-host", "127.0.0.1", "--http-port", str(s.telemetry_ui_port)]
    return f"""\
# Written by mod_wsgi-express; its next run overwrites this file.
# The service of --enable-telemetry: keeps what the processes send, and shows it.

import sys

from mod_wsgi.telemetry.cli import main

sys.argv = ["mod_wsgi-telemetry", "serve", *{words!r}, "--log-level", "INFO"]
main()
"""


# The process that runs the application is the first that the server starts. SIGURG is how Go interrupts its threads.
GDB = """\
# Written by mod_wsgi-express; its next run overwrites this file.
set breakpoint pending on
set print thread-events off
set follow-fork-mode child
set detach-on-fork on
handle SIGURG nostop noprint pass
handle SIGPIPE nostop noprint pass
run
"""

DEFAULT = '''\
# Written by mod_wsgi-express; its next run overwrites this file.
# The application that answers when none was named on the command line.

PAGE = b"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>It works</title></head>
<body>
<h1>My web site runs on Malt Whiskey.</h1>
<p>The server is running. To serve your own application, name its WSGI script:</p>
<pre>mod_wsgi-express start-server hello.wsgi</pre>
<p><a href="/__wsgi__/docs/">Options and directives</a></p>
</body>
</html>
"""


def application(environ, start_response):
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(PAGE)))]
    start_response("200 OK", headers)
    return [PAGE]
'''


def shell_quote(text: str) -> str:
    """A word in single quotes for sh."""
    return "'" + text.replace("'", "'\\''") + "'"


def envvars(s: Settings) -> str:
    """envvars: sources the script given with --envvars-script."""
    return f". {shell_quote(s.envvars_script)}\n" if s.envvars_script else ""


def apachectl(s: Settings) -> str:
    """The control script. It only prepares the environment and hands over to
    modwsgi_go.express.control, which understands httpd's arguments."""
    exports = "\n".join(
        f"{name}={shell_quote(value)}\nexport {name}"
        for name, value in environment(s).items()
        if name not in ("LANG", "LC_ALL")
    )
    logs = ""
    if not s.log_to_terminal:
        logs = f" -L {shell_quote(s.error_log_file)}"
        if s.startup_log:
            logs += f" -E {shell_quote(s.startup_log_file)}"
    url = f"http://{s.host_name}:{s.port}/server-status"
    debugger = ""
    if s.enable_gdb:
        pid_file = shell_quote(s.pid_file)
        words = f"{shell_quote(s.gdb_executable)} -q -x {shell_quote(s.server_root + '/gdb.cmds')}"
        debugger = f"""
if [ "$verb" = start ]; then
    set -- -DFOREGROUND "$@"
    run() {{
        trap : INT # Ctrl-C is for gdb
        {words} --args "$@"
        status=$?
        # gdb has let go of the supervisor, which would go on.
        [ ! -f {pid_file} ] || kill "$(cat {pid_file})"
        exit $status
    }}
fi
"""
    return f"""\
#!{s.shell_executable}
# Control script of this server; the next run of mod_wsgi-express overwrites it.
# {[s.command, *s.argv]!r}
# shellcheck disable=SC2089,SC2090 # quotes in exported values are meant literally

PYTHON={shell_quote(sys.executable)}
CONTROL=modwsgi_go.express.control

{exports}

[ -n "$WSGI_RUN_USER" ] || WSGI_RUN_USER={shell_quote(s.user)}
[ -n "$WSGI_RUN_GROUP" ] || WSGI_RUN_GROUP={shell_quote(s.group)}
[ -n "$MOD_WSGI_USER" ] || MOD_WSGI_USER="$WSGI_RUN_USER"
[ -n "$MOD_WSGI_GROUP" ] || MOD_WSGI_GROUP="$WSGI_RUN_GROUP"
export WSGI_RUN_USER WSGI_RUN_GROUP MOD_WSGI_USER MOD_WSGI_GROUP

if [ "$(id -u)" = 0 ] && [ "$MOD_WSGI_USER" = root ] && [ "${{MOD_WSGI_ALLOW_ROOT:-0}}" = 0 ]; then
    cat <<'END_OF_WARNING'
{ROOT_WARNING.rstrip()}

END_OF_WARNING
fi

LANG={shell_quote(s.locale)}
LC_ALL={shell_quote(s.locale)}
export LANG LC_ALL

if [ -f {shell_quote(s.server_root + "/envvars")} ]; then
    # shellcheck source=/dev/null
    . {shell_quote(s.server_root + "/envvars")}
fi

# Python puts the current directory in front of its own library; the server goes to
# the working directory itself, once everything is imported.
cd {shell_quote(s.server_root)} || exit 1

run() {{
    exec "$@"
}}

httpd() {{
    run "$PYTHON" -m "$CONTROL" -f {shell_quote(s.httpd_conf)} -d {shell_quote(s.server_root)} \\
        -C {shell_quote(s.working_directory)} -P {shell_quote(s.pid_file)}{logs} "$@"
}}

verb="${{1:-}}"
[ $# -gt 0 ] && shift
{debugger}
case "$verb" in
    start | stop | restart | graceful | graceful-stop)
        httpd -k "$verb" "$@"
        ;;
    configtest)
        httpd -t "$@"
        ;;
    status)
        exec "$PYTHON" -m webbrowser -t {shell_quote(url)}
        ;;
    "")
        httpd -h
        ;;
    *)
        httpd "$verb" "$@"
        ;;
esac
"""
