"""reload_required(path), unfinished lines at the end of a request, and other small promises of the mod_wsgi module."""

import pytest

from timed import Background

pytestmark = pytest.mark.ours

RELOAD = """
import os

FLAG = {flag!r}
asked = []

def reload_required(path):
    asked.append(path)
    print('asked for', path)
    if os.path.exists(FLAG):
        text = open(FLAG).read()
        if text == 'raise':
            raise RuntimeError('do not know')
        return text == str(os.getpid())

def application(environ, start_response):
    body = f'{{os.getpid()}} {{len(asked)}}'.encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
"""


# A second group that is used makes a process in front of both necessary.
FRONT = 'WSGIDaemonProcess other threads=1\nWSGIScriptAlias /other "{script}" process-group=other\n'


@pytest.mark.parametrize("extra", ["", FRONT], ids=["direct", "front"])
def test_script_that_wants_to_be_loaded_again(timed, script, tmp_path, extra):
    flag = tmp_path / "flag"
    path = script(RELOAD.format(flag=str(flag)))
    running = timed("threads=2", extra=extra.format(script=path), script=path)
    first = int(running.get("/").text.split()[0])
    assert [int(running.get("/").text.split()[1]) for _ in range(3)] in ([0, 1, 2], [1, 2, 3]), (
        "asked before each request"
    )
    running.wait_log(rf"asked for {path}$")
    flag.write_text("raise")
    assert int(running.get("/").text.split()[0]) == first
    running.wait_log(r"WSGI0174: .*RuntimeError raised while running '.*', function 'reload_required'")
    flag.write_text(str(first))
    second = int(running.get("/").text.split()[0])
    assert second != first, "the request that was asked for is served by the new process"
    assert int(running.get("/").text.split()[0]) == second


def test_scripts_without_it_are_asked_no_more(timed, script):
    running = timed(
        "threads=2",
        script=script("""
import sys

class Module(type(sys)):
    looked = 0
    def __getattr__(self, name):
        if name == 'reload_required':
            Module.looked += 1
        raise AttributeError(name)

sys.modules[__name__].__class__ = Module

def application(environ, start_response):
    start_response('200 OK', [])
    return [str(Module.looked).encode()]
"""),
    )
    running.get("/")
    running.get("/")
    looked = running.get("/").text
    assert [running.get("/").text for _ in range(5)] == [looked] * 5


def test_module_of_the_command_is_loaded_again(server, tmp_path):
    """--application-type module: the script of the server does not change, the module does."""
    module = tmp_path / "reloaded_app.py"
    source = """
def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '1')])
    return [b'%d']
"""
    module.write_text(source % 1)
    running = server("reloaded_app", "--application-type", "module", "--working-directory", tmp_path)
    assert running.get("/").text == "1"
    module.write_text(source % 2 + "# longer: what Python has compiled is current while second and size are the same\n")
    from harness import wait_for

    wait_for(lambda: running.get("/").text == "2", 10, "the new module")


LINES = """
import sys, threading

start = threading.Barrier(2, timeout=20)

def application(environ, start_response):
    name = environ['QUERY_STRING']
    for stream in (environ['wsgi.errors'], sys.stderr, sys.stdout):
        stream.write(f'{name} begins, ')
        if name != 'alone':
            start.wait()
        stream.write(f'{name} goes on')
    start_response('200 OK', [('Content-Length', '0')])
    return []
"""


@pytest.mark.parametrize("extra", ["", FRONT], ids=["direct", "front"])
def test_lines_of_requests_do_not_mix(timed, script, extra):
    """Two requests write parts of lines at the same time; what has no newline is logged when its request ends."""
    path = script(LINES)
    running = timed("threads=3", extra=extra.format(script=path), script=path)
    one, two = Background(running, "/?one"), Background(running, "/?two")
    assert one.status() == two.status() == 200
    for name in ("one", "two"):
        running.wait_log(rf"\[script .*\] {name} begins, {name} goes on$")
    running.get("/?alone")
    running.wait_log(r"alone begins, alone goes on$")
    lines = [line for line in running.log().splitlines() if "goes on" in line]
    assert len(lines) == 9 and not [line for line in lines if line.count("begins") != 1], lines


ODDS = """
import json

def application(environ, start_response):
    adapter = start_response.__self__
    found = [adapter.ssl_is_https(), adapter.ssl_var_lookup('SSL_CIPHER'), environ['wsgi.run_once']]
    start_response('200 OK', [])
    return [json.dumps(found).encode()]
"""


def test_methods_beside_start_response_and_run_once(timed, script):
    assert timed("threads=2", script=script(ODDS)).json("/") == [0, None, False]
    assert timed("threads=1 maximum-requests=1", script=script(ODDS)).json("/") == [0, None, True]


COMPANION = """
import mod_wsgi
from mod_wsgi.server import value

def application(environ, start_response):
    start_response('200 OK', [])
    return [f'{value} {mod_wsgi.version} {mod_wsgi.__path__}'.encode()]
"""


def test_sub_packages_of_an_installed_mod_wsgi(timed, script, tmp_path):
    """The package of that name on PyPI: its parts can be imported, its own attributes do not show."""
    package = tmp_path / "site" / "mod_wsgi"
    (package / "server").mkdir(parents=True)
    (package / "__init__.py").write_text("version = 'another'\n")
    (package / "server" / "__init__.py").write_text("value = 'found'\n")
    running = timed(f"python-path={tmp_path / 'site'}", script=script(COMPANION))
    assert running.get("/").text == f"found (6, 0, 5) ['{package}']"


LOGGING = """
import logging, mod_wsgi

class Counted:
    n = 0
    def __str__(self):
        Counted.n += 1
        return 'two\\nlines'

handler = mod_wsgi.LogHandler()
log = logging.getLogger('x')
log.addHandler(handler)
log.setLevel(1)
log.propagate = False

def application(environ, start_response):
    for level in (10, 20, 30, 40, 50):
        log.log(level, 'level %s %s', level, Counted())
    start_response('200 OK', [])
    return [str(Counted.n).encode()]
"""


def test_log_handler_formats_what_is_logged(timed, script):
    """LogLevel warn: three of five records are formatted, one line each; %F is where they come from."""
    path = script(LOGGING)
    running = timed("threads=1", 'LogLevel warn\nErrorLogFormat "%l|%F|%M"', script=path)
    assert running.get("/").text == "3"
    for level, name in ((30, "warn"), (40, "error"), (50, "crit")):
        running.wait_log(rf"^{name}\|app\.wsgi:18\|\[script .*\] level {level} two$")
    assert len([line for line in running.log().splitlines() if line.endswith("] lines")]) == 3
