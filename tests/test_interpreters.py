"""Application groups: a main interpreter and named sub-interpreters in one process, from creation to the end."""

import hashlib
import os
import signal
import sys
import textwrap
import time

import pytest

from harness import APPS, COMMAND, ENVIRON, Server, free_port, wait_for
from timed import Background, pid

pytestmark = pytest.mark.ours

SCRIPT = APPS / "interpreters.wsgi"

CONFIG = """\
ServerName localhost
ServerRoot "{root}"
Listen 127.0.0.1:{port}
ErrorLog "{root}/error_log"
LogLevel info
<Directory "{script.parent}">
    Require all granted
</Directory>
WSGIDaemonProcess app {options}
WSGIProcessGroup app
{extra}
WSGIScriptAlias /main "{script}" application-group=%{{GLOBAL}}
WSGIScriptAlias /one "{script}" application-group=one
WSGIScriptAlias /two "{script}" application-group=two
"""


@pytest.fixture
def groups(tmp_path):
    """Factory: a server with one script in the application groups %{GLOBAL}, one and two of one process."""
    running = []

    def factory(options="threads=3", extra="", script=SCRIPT, env=None):
        root = tmp_path / f"groups{len(running)}"
        root.mkdir()
        port = free_port()
        file = root / "httpd.conf"
        file.write_text(CONFIG.format(root=root, port=port, script=script, options=options, extra=extra))
        environ = {**ENVIRON, "EVENT_LOG": str(root / "events"), **(env or {})}
        server = Server([*COMMAND, "run-config", str(file)], root, port, str(root), environ)
        running.append(server)
        server.wait_ready()
        return server

    yield factory
    failures = []
    for server in running:
        try:
            server.finish()
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)


def events(running):
    path = running.root / "events"
    return path.read_text().splitlines() if path.exists() else []


SAYS_GROUP = """\
def application(e, start_response):
    start_response("200 OK", [])
    return [e["mod_wsgi.application_group"].encode()]
"""


# --- what belongs to an interpreter


def test_one_interpreter_for_each_name(groups):
    running = groups()
    running.get("/main/state")  # the first request subscribes to events
    states = [running.json(f"/{name}/state") for name in ("main", "one", "two", "one", "main")]
    assert [s["group"] for s in states] == ["", "one", "two", "one", ""]
    assert [s["environ_group"] for s in states] == ["", "one", "two", "one", ""]
    assert len({s["pid"] for s in states}) == 1
    assert {s["loads"] for s in states} == {1}, "each interpreter loads the script once"
    assert {len(s["modules"]) for s in states} == {1}
    assert all(s["wrapper"] for s in states)
    assert all(s["active"] == [{"seen": True}] for s in states), "requests of the interpreter itself"
    assert [s["finished"] for s in states] == [0, 0, 0, 1, 1], "events of the interpreter itself"
    assert {tuple(s["argv"]) for s in states} == {("mod_wsgi",)}


def test_modules_and_environment_are_apart(groups):
    running = groups()
    running.get("/one/set?x")
    assert running.json("/one/get") == ["x", True]
    assert running.json("/two/get") == [None, False]
    assert running.json("/main/get") == [None, False]


def test_a_new_interpreter_has_the_environment_of_the_start(groups):
    """os.environ.setdefault is how Django projects choose their settings."""
    running = groups(env={"OF_THE_START": "yes"})
    assert running.json("/main/state")["first_group"] == "main"
    assert running.json("/one/state")["first_group"] == "one"
    assert running.json("/two/state")["first_group"] == "two"


def test_thread_locals_persist_in_each_interpreter(groups):
    running = groups("threads=1")
    rounds = [[running.json(f"/{name}/state")["thread"] for name in ("one", "two", "main")] for _ in range(3)]
    assert [[count for _, _, count in threads] for threads in rounds] == [[1] * 3, [2] * 3, [3] * 3]
    assert {(ident, number) for threads in rounds for ident, number, _ in threads} == {(rounds[0][0][0], 1)}


def test_thread_locals_of_several_threads(groups, tmp_path):
    running = groups("threads=3")
    go = tmp_path / "go"
    waiting = [Background(running, f"/one/until?{go}") for _ in range(2)]
    seen = [running.json("/one/state")["thread"] for _ in range(3)]
    go.touch()
    assert [w.status() for w in waiting] == [200, 200]
    seen += [running.json("/one/state")["thread"] for _ in range(20)]
    counts = {}
    for ident, number, count in seen:
        counts.setdefault((ident, number), []).append(count)
    assert all(list(range(1, len(of_one) + 1)) == of_one for of_one in counts.values()), "each thread goes on counting"
    assert len(counts) == len({ident for ident, _ in counts}) == len({number for _, number in counts})


@pytest.mark.parametrize("threads", [1, 5])
def test_requests_of_several_groups_at_once(groups, threads):
    running = groups(f"threads={threads}")
    requests = [(name, Background(running, f"/{name}/state")) for _ in range(8) for name in ("one", "two", "main")]
    for name, request in requests:
        assert request.status() == 200
        assert request.answer.json()["group"] == ("" if name == "main" else name)
        assert request.answer.json()["loads"] == 1


def test_groups_wait_for_each_other_without_deadlock(groups, tmp_path):
    running = groups("threads=2")
    mark = tmp_path / "mark"
    waiting = Background(running, f"/one/until?{mark}")
    assert running.get(f"/two/mark?{mark}").status_code == 200
    assert waiting.status() == 200


def test_names_by_server_host_resource_and_variable(groups):
    extra = """\
SetEnvIf X-Group (.+) GROUP=$1
<Location /by-server>
  WSGIApplicationGroup %{SERVER}
</Location>
<Location /by-host>
  WSGIApplicationGroup %{HOST}
</Location>
<Location /by-env>
  WSGIApplicationGroup %{ENV:GROUP}
</Location>
""" + "".join(f'WSGIScriptAlias /by-{name} "{SCRIPT}"\n' for name in ("server", "host", "env", "default"))
    running = groups(extra=extra)
    port = running.port
    assert running.json("/by-server/state")["group"] == f"localhost:{port}"
    assert running.json("/by-host/state", headers={"Host": "other.test"})["group"] == f"other.test:{port}"
    assert running.json("/by-env/state", headers={"X-Group": "red"})["group"] == "red"
    assert running.json("/by-env/state", headers={"X-Group": "blue"})["group"] == "blue"
    assert running.json("/by-env/state", headers={"X-Group": "%{GLOBAL}"})["group"] == ""
    assert running.json("/by-default/state")["group"] == f"localhost:{port}|/by-default"
    assert running.json("/by-default/state")["loads"] == 1


def test_sections_for_one_interpreter(groups, tmp_path):
    paths = [tmp_path / name for name in ("base", "all", "one")]
    for path in paths:
        path.mkdir()
    running = groups(
        f'threads=2 python-path="{paths[0]}"',
        f"""\
<WSGIInterpreterOptions application-group=one>
  WSGIPythonPath "{paths[2]}"
  WSGIRestrictStdout On
</WSGIInterpreterOptions>
<WSGIInterpreterOptions>
  WSGIPythonPath "{paths[1]}"
</WSGIInterpreterOptions>""",
    )
    assert running.json("/one/state")["path"][:3] == [str(paths[2]), str(paths[1]), str(paths[0])]
    assert running.json("/two/state")["path"][:2] == [str(paths[1]), str(paths[0])]
    assert "WSGIRestrictStdout" in running.get("/one/stdout").text
    assert running.get("/two/stdout").text == "ok"


def test_fork_is_for_the_main_interpreter(groups):
    running = groups()
    assert running.get("/main/fork").text == "child ended with 7"
    assert "WSGIApplicationGroup %{GLOBAL}" in running.get("/one/fork").text
    assert running.get("/main/fork").text == "child ended with 7"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="executors of this kind come with Python 3.14")
def test_executors_of_the_standard_library(groups):
    """Processes (by forkserver) and interpreters that an application starts, from both kinds of interpreters."""
    running = groups()
    for group in ("main", "one", "main"):
        for kind in ("ProcessPoolExecutor", "InterpreterPoolExecutor"):
            assert running.json(f"/{group}/executor?{kind}") == [1, 1, 2, 6, 24], (group, kind)
    assert running.get("/main/fork").text == "child ended with 7"
    assert running.json("/two/state")["group"] == "two"


# --- scripts


def test_output_and_tracebacks(groups):
    running = groups()
    for name in ("one", "main"):
        group = "" if name == "main" else name
        assert running.get(f"/{name}/print").status_code == 200
        assert running.get(f"/{name}/raise").status_code == 500
        for text in ("printed by", "complained by", "reported by", "ValueError: raised by"):
            running.wait_log(rf"\[wsgi:error\].*{text} {group}$")
    assert running.log().count("Traceback (most recent call last)") == 2


def test_a_script_that_fails_is_tried_again(groups, script):
    app = script("import missing_module\n")
    running = groups(script=app)
    assert running.get("/one/").status_code == 500
    assert "missing_module" in running.log()
    app.write_text(SAYS_GROUP)
    assert running.get("/one/").text == "one"
    assert running.get("/two/").text == "two"


def test_script_reloading(groups, script):
    app = script(SAYS_GROUP)
    running = groups(script=app)
    assert running.get("/one/").text == "one"
    app.write_text(SAYS_GROUP.replace("[e", "[b'second ' + e"))
    os.utime(app, (time.time() + 5, time.time() + 5))
    wait_for(lambda: running.get("/one/").text == "second one", what="the new script")
    assert running.get("/two/").text == "second two"


def test_import_script(groups, script, tmp_path):
    imported = tmp_path / "imported"
    source = f"import mod_wsgi\nopen({str(imported)!r} + mod_wsgi.application_group, 'w').close()\n"
    preload = script(source, "preload.py")
    running = groups(
        extra=f'WSGIImportScript "{preload}" process-group=app application-group=one\n'
        f'WSGIImportScript "{preload}" process-group=app application-group=%{{GLOBAL}}\n'
    )
    wait_for(lambda: (tmp_path / "importedone").exists() and imported.exists(), what="the imported scripts")
    assert running.json("/one/state")["loads"] == 1


def test_script_for_access_control_in_a_group_of_its_own(groups, script):
    check = script(
        """\
import sys
import mod_wsgi
def check_password(environ, user, password):
    print("asked in", repr(mod_wsgi.application_group), environ["mod_wsgi.application_group"], len(sys.modules) > 0)
    return mod_wsgi.application_group == password
""",
        "check.py",
    )
    running = groups(
        extra=f"""\
<Location />
  AuthType Basic
  AuthName groups
  AuthBasicProvider wsgi
  WSGIAuthUserScript "{check}" application-group=doors
  Require valid-user
</Location>"""
    )
    assert running.get("/one/state", auth=("me", "doors")).json()["group"] == "one"
    assert running.get("/one/state", auth=("me", "one")).status_code == 401
    running.wait_log("asked in 'doors' doors True")


REFUSING = {
    "of a Rust extension": (
        'raise ImportError("PyO3 modules do not yet support subinterpreters, see https://example.org/")',
        "refusing",
    ),
    "with its name": (
        'raise ImportError("module refusing._c does not support loading in subinterpreters")',
        r"refusing\._c",
    ),
    "behind another": (
        "try:\n    from refusing_c import what\n"
        "except ImportError as error:\n    raise ImportError('please read this') from error",
        "refusing_c",
    ),
}


@pytest.mark.parametrize("how", REFUSING)
def test_extension_that_refuses_a_sub_interpreter(groups, tmp_path, how):
    source, name = REFUSING[how]
    (tmp_path / "refusing.py").write_text(
        "import mod_wsgi\nname = 'refusing'\nif mod_wsgi.application_group:\n" + textwrap.indent(source, "    ")
    )
    (tmp_path / "refusing_c.py").write_text("raise ImportError('cannot load module more than once per process')")
    running = groups(f'threads=2 python-path="{tmp_path}"')
    assert running.get("/one/refused").status_code == 500
    cure = r'"WSGIApplicationGroup %\{GLOBAL\}"'
    running.wait_log(rf"WSGI0350: extension module '{name}' .*application group 'one'; write {cure}")
    assert running.get("/main/refused").text == "refusing"
    assert running.log().count("WSGI0350") == 1


def test_too_many_groups(groups):
    """Their names may come from clients: the memory of the process is not theirs to fill."""
    extra = f'<Location /by-host>\n  WSGIApplicationGroup %{{HOST}}\n</Location>\nWSGIScriptAlias /by-host "{SCRIPT}"\n'
    running = groups(extra=extra)
    assert running.get("/main/get").status_code == 200
    statuses = [running.get("/by-host/get", headers={"Host": f"h{i}.test"}).status_code for i in range(258)]
    assert statuses.count(200) >= 250, "room for many"
    assert statuses[-1] == 500
    assert "WSGI0351" in running.log()
    assert running.get("/main/get").status_code == 200


# --- the end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ordered_end(groups, number):
    running = groups()
    for name in ("main", "one", "two"):
        for path in ("state", "thread", "write", "keep"):
            assert running.get(f"/{name}/{path}").status_code == 200
    assert running.stop(number) == 0
    lines = events(running)
    assert sorted(lines[:3]) == ["main stopping", "one stopping", "two stopping"], "before anything ends"
    assert [line for line in lines[3:] if "atexit" in line] == ["one atexit", "two atexit", "main atexit"]
    for group in ("main", "one", "two"):
        assert lines.index(f"{group} joined") < lines.index(f"{group} atexit")
        assert lines.index(f"{group} local gone") < lines.index(f"{group} atexit"), "our threads end as well"
        assert f"{group} cycle gone" in lines
    for group in ("", "one", "two"):
        assert (running.root / f"events.{group}").read_text() == f"written by {group}\n", "files are flushed"


def test_interpreters_that_are_not_destroyed(groups):
    running = groups(extra="WSGIDestroyInterpreter Off")
    assert running.get("/one/state").status_code == 200
    assert running.stop() == 0
    assert events(running) == ["one stopping"]


def test_shutdown_timeout_bounds_the_end(groups):
    running = groups("threads=2 shutdown-timeout=1")
    assert running.get("/one/late-atexit?60").status_code == 200
    assert running.stop() == 0
    assert events(running) == ["one stopping"]
    assert "not done 1s after the stop began" in running.log()


# --- time-outs


def in_group(timed, options, script=None):
    extra = f'WSGIScriptAlias /sub "{APPS / "timed.wsgi"}" application-group=sub\n'
    return timed(options, extra)


def test_interrupted_request(timed):
    running = in_group(timed, "threads=2 request-timeout=1 interrupt-timeout=5")
    process = pid(running)
    assert running.get("/sub/patient?30").status_code == 504
    assert pid(running) == process
    running.wait_log(r"running request: GET /sub/patient\?30.* in application group 'sub'")
    running.wait_log(r'timed.wsgi", line \d+, in patient')


def test_stacks_of_all_interpreters(timed):
    running = in_group(timed, "threads=3 request-timeout=1 graceful-timeout=1 shutdown-timeout=1")
    waiting = [Background(running, path) for path in ("/patient?30", "/sub/patient?30")]
    running.wait_log(r"replacing the process")
    log = lambda: running.log()  # noqa: E731
    wait_for(lambda: "GET /sub/patient?30" in log() and "GET /patient?30" in log(), what="both requests")
    wait_for(lambda: log().count("in patient") >= 2, what="the stacks of both")
    assert {w.status() for w in waiting} <= {502, 504}


def test_deadlock_timeout(timed):
    running = in_group(timed, "threads=2 deadlock-timeout=1 shutdown-timeout=1")
    first = pid(running)
    stuck = Background(running, "/sub/hold-gil?30")
    running.wait_log(rf"\[pid {first}:.*the GIL could not be taken within deadlock-timeout", 20)
    stuck.status()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="faulthandler shows the main interpreter only")
def test_crash_is_logged(timed):
    running = in_group(timed, "threads=2")
    crashed = Background(running, "/sub/crash")
    running.wait_log(r"was killed by SIGSEGV", 10)
    crashed.status()
    running.wait_log(r'timed.wsgi", line \d+ in application')


# --- GILs

own_gil = pytest.mark.skipif(sys.version_info < (3, 12), reason="needs Python 3.12")
ctypes_with_own_gil = pytest.mark.skipif(sys.version_info < (3, 13), reason="ctypes refuses before Python 3.13")
OWN = "<WSGIInterpreterOptions application-group=one>\n  WSGIPerInterpreterGIL On\n{}</WSGIInterpreterOptions>\n"


@ctypes_with_own_gil
def test_own_gil_is_not_waited_for(groups, tmp_path):
    """While group one keeps its GIL inside C, the others go on."""
    running = groups("threads=3 deadlock-timeout=30", OWN.format(""))
    running.wait_log("ready")
    assert running.json("/one/state")["group"] == "one"
    running.wait_log(r"created sub-interpreter 'one' with its own GIL")
    stuck = Background(running, f"/one/hold-gil?{tmp_path / 'go'}")
    wait_for(lambda: (tmp_path / "go.held").exists(), what="the GIL of group one to be held")
    for name in ("two", "main"):
        assert running.json(f"/{name}/state")["group"] == ("" if name == "main" else name)
    (tmp_path / "go").touch()
    assert stuck.status() == 200
    assert "created sub-interpreter 'two' in" in running.log()


@own_gil
def test_everything_with_an_own_gil(groups):
    running = groups("threads=3", "WSGIPerInterpreterGIL On\n")
    for name in ("one", "two", "main"):
        assert running.json(f"/{name}/state")["thread"][2] == 1
        assert running.get(f"/{name}/raise").status_code == 500
        for path in ("print", "thread", "write"):
            assert running.get(f"/{name}/{path}").status_code == 200
    requests = [Background(running, f"/{name}/state") for _ in range(8) for name in ("one", "two", "main")]
    assert {request.status() for request in requests} == {200}
    running.wait_log("ValueError: raised by two")
    metrics = running.json("/one/metrics")
    assert metrics["request_count"] >= 0 and metrics["request_threads_maximum"] == 3
    assert running.stop() == 0
    lines = events(running)
    assert [line for line in lines if "atexit" in line] == ["one atexit", "two atexit", "main atexit"]
    for group in ("one", "two"):
        assert f"{group} joined" in lines
        assert (running.root / f"events.{group}").read_text() == f"written by {group}\n"


@own_gil
def test_switch_interval_of_an_own_gil(groups):
    extra = OWN.format("  WSGISwitchInterval 0.03\n")
    extra += "<WSGIInterpreterOptions application-group=two>\n  WSGISwitchInterval 0.04\n</WSGIInterpreterOptions>\n"
    running = groups("threads=2 switch-interval=0.02", extra)
    assert running.json("/one/state")["interval"] == 0.03
    assert running.json("/two/state")["interval"] == 0.02
    assert running.json("/main/state")["interval"] == 0.02
    running.wait_log("WSGI0199: switch interval ignored for sub-interpreter 'two'")


@own_gil
def test_interrupted_request_with_an_own_gil(timed):
    extra = f'WSGIScriptAlias /sub "{APPS / "timed.wsgi"}" application-group=sub\nWSGIPerInterpreterGIL On\n'
    running = timed("threads=2 request-timeout=1 interrupt-timeout=5", extra)
    process = pid(running)
    assert running.get("/sub/patient?30").status_code == 504
    assert pid(running) == process
    running.wait_log(r'timed.wsgi", line \d+, in patient')


@ctypes_with_own_gil
def test_deadlock_of_an_own_gil(timed):
    extra = f'WSGIScriptAlias /sub "{APPS / "timed.wsgi"}" application-group=sub\nWSGIPerInterpreterGIL On\n'
    running = timed("threads=2 deadlock-timeout=1 shutdown-timeout=1", extra)
    first = pid(running)
    stuck = Background(running, "/sub/hold-gil?30")
    running.wait_log(rf"\[pid {first}:.*the GIL could not be taken within deadlock-timeout", 20)
    stuck.status()


@own_gil
def test_extension_that_refuses_an_own_gil(groups):
    """An extension module with single-phase initialisation: CPython itself refuses it."""
    pytest.importorskip("readline")
    running = groups(extra=OWN.format(""))
    assert running.get("/one/import?readline").status_code == 500
    running.wait_log(r"WSGI0350: extension module 'readline' does not load in a sub-interpreter with a GIL of its own"
                     r".*group .one.; write .WSGIApplicationGroup .*GLOBAL.. or .WSGIPerInterpreterGIL Off.")
    assert running.get("/main/import?readline").status_code == 200


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="interpreters can have a GIL of their own")
def test_own_gil_needs_a_newer_python(groups):
    running = groups(extra=OWN.format(""))
    assert running.json("/one/state")["group"] == "one"
    assert "WSGI0198" in running.output() + running.log()
    assert "with its own GIL" not in running.log()


NAME = """
def application(environ, start_response):
    start_response('200 OK', [])
    return [f"{__name__} {environ['mod_wsgi.application_group']}".encode()]
"""


@pytest.mark.parametrize("sensitive", ["On", "Off"])
def test_case_of_names(groups, tmp_path, sensitive):
    """WSGICaseSensitivity: the module's name, from the script's path, and the name of %{RESOURCE}."""
    folder = tmp_path / "Mixed"
    folder.mkdir()
    file = folder / "Case.wsgi"
    file.write_text(NAME)
    extra = f'WSGICaseSensitivity {sensitive}\n<Directory "{folder}">\n  Require all granted\n</Directory>\n'
    running = groups(extra=extra + f'WSGIScriptAlias /Upper "{file}" application-group=%{{RESOURCE}}\n')
    path = str(file) if sensitive == "On" else str(file).lower()
    name, group = running.get("/Upper").text.split()
    assert name == "_mod_wsgi_" + hashlib.md5(path.encode()).hexdigest()
    assert group.endswith("|/Upper" if sensitive == "On" else "|/upper")


def test_module_path_that_cannot_be_added(groups, tmp_path):
    """A .pth file that ends the program is logged, and what stands behind its directory is skipped."""
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
    (tmp_path / "second" / "bad.pth").write_text("import sys; sys.exit(3)\n")
    running = groups(f"threads=2 python-path={tmp_path}/first:{tmp_path}/second:{tmp_path}/third")
    running.wait_log(rf"WSGI0091: .*SystemExit raised while module path entry '{tmp_path}/second' was added")
    assert running.get("/main").status_code == 200
