"""What WSGIDaemonProcess and the WSGIPython directives give a process: limits, title, locale, paths, sockets."""

import os
import signal
import subprocess
import time

import httpx
import pytest

from harness import COMMAND, wait_for
from timed import APP, Background, other, pid, stopped

pytestmark = pytest.mark.ours


# --- limits of the kernel, surroundings


def test_cpu_time_limit(timed):
    running = timed("threads=2 cpu-time-limit=2 graceful-timeout=10")
    first = pid(running)
    spin = Background(running, "/spin?4")
    stopped(running, first, "cpu_time_limit")
    assert spin.status() == 200
    assert "cpu-time-limit is used up: replacing" in running.log()


def test_memory_limit(timed):
    running = timed("threads=2 memory-limit=100000000")
    first = pid(running)
    assert running.get("/hoard?300000000").status_code == 500
    assert "MemoryError" in running.log()
    assert running.get("/hoard?1000000").status_code == 200
    assert pid(running) == first


def test_virtual_memory_limit(timed):
    running = timed("threads=2 virtual-memory-limit=200000000")
    assert running.get("/hoard?600000000").status_code == 500
    assert running.get("/").status_code == 200


@pytest.mark.skipif(not os.access("/proc/self/timerslack_ns", os.R_OK), reason="needs Linux")
def test_only_one_thread_has_coarse_timers(timed):
    """Go's system monitor; threads that hand requests on to each other must not sleep that long."""
    first = pid(timed("threads=3"))
    slack = {}
    for thread in os.listdir(f"/proc/{first}/task"):
        try:
            with open(f"/proc/{thread}/timerslack_ns") as file:
                slack[int(thread)] = int(file.read())
        except PermissionError:
            pytest.skip("another thread's timer slack needs CAP_SYS_NICE")
    with open("/proc/self/timerslack_ns") as file:
        usual = int(file.read())
    coarse = [thread for thread in slack if slack[thread] != usual]
    assert [slack[thread] for thread in coarse] == [20_000_000]
    assert list(slack).index(coarse[0]) == 2, "the main thread, the one that starts the runtime, its system monitor"


def test_cpu_priority(timed):
    assert timed("threads=2 cpu-priority=5").get("/nice").text == "5"


@pytest.mark.parametrize(
    ("option", "title"),
    [
        ("display-name=%{GROUP}", "(wsgi:app)"),
        ('display-name="my site"', "my site"),
        ('"display-name=my site"', "my site"),
    ],
)
def test_display_name(timed, option, title):
    running = timed("threads=2 " + option)
    assert running.get("/title").text == title
    listed = subprocess.run(["ps", "-o", "args=", "-p", str(pid(running))], capture_output=True, text=True)
    assert listed.stdout.strip() == title


def surroundings(script):
    return script("""\
import locale, os, sys, warnings
def application(environ, start_response):
    umask = os.umask(0); os.umask(umask)
    lines = [os.getcwd(), sys.path[0], oct(umask), os.environ.get("LANG", ""), os.environ.get("LC_ALL", ""),
             os.environ.get("PYTHON_EGG_CACHE", ""), str(sys.flags.optimize), str(sys.dont_write_bytecode),
             str(sys.getswitchinterval()), str(sys.flags.hash_randomization), str(hash("modwsgi")),
             " ".join(sys.warnoptions), os.environ.get("FROM_START", "")]
    body = "\\n".join(lines).encode()
    start_response("200 OK", [])
    return [body]
""")


def test_surroundings(timed, script, tmp_path):
    home = tmp_path / "a b"
    home.mkdir()
    paths = [tmp_path / "x y", tmp_path / "z"]
    for path in paths:
        path.mkdir()
    running = timed(
        f"threads=2 home=\"{home}\" python-path='{paths[0]}:{paths[1]}' umask=0027 lang=C.UTF-8 locale=C.UTF-8 "
        "python-eggs=/tmp/eggs switch-interval=0.02",
        "WSGIPythonOptimize 1\nWSGIDontWriteBytecode On\nWSGIPythonHashSeed 7\n"
        'WSGIPythonWarnings "ignore::DeprecationWarning"',
        surroundings(script),
        env={"FROM_START": "yes"},
    )
    got = running.get("/").text.split("\n")
    assert got[:9] == [str(home), str(home), "0o27", "C.UTF-8", "C.UTF-8", "/tmp/eggs", "1", "True", "0.02"]
    seeded = subprocess.run(
        [COMMAND[0], "-c", "print(hash('modwsgi'))"],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
    )
    assert got[10] == seeded.stdout.strip()
    assert "ignore::DeprecationWarning" in got[11]
    assert got[12] == "yes"


def test_python_home_of_another_environment(timed, script, tmp_path):
    home = tmp_path / "venv"
    subprocess.run([COMMAND[0], "-m", "venv", "--without-pip", str(home)], check=True)
    app = script("""\
import os, sys
def application(environ, start_response):
    start_response("200 OK", [])
    return ["\\n".join([sys.prefix, *sys.path]).encode()]
""")
    lines = timed(f"threads=2 python-home={home}", script=app).get("/").text.split("\n")
    assert lines[0] == str(home)
    assert any(path.startswith(str(home)) and path.endswith("site-packages") for path in lines[1:])
    assert not any("/src" in path for path in lines[1:]), "where this package lies is no part of the application's path"


def test_sections_for_interpreters(timed, script, tmp_path):
    paths = [tmp_path / "all", tmp_path / "one"]
    for path in paths:
        path.mkdir()
    app = script("""\
import sys
def application(environ, start_response):
    start_response("200 OK", [])
    return ["\\n".join([str(sys.getswitchinterval()), *sys.path]).encode()]
""")
    running = timed(
        "threads=2",
        f"""\
<WSGIInterpreterOptions process-group=app application-group=%{{GLOBAL}}>
  WSGISwitchInterval 0.03
  WSGIPythonPath "{paths[1]}"
</WSGIInterpreterOptions>
<WSGIInterpreterOptions>
  WSGISwitchInterval 0.01
  WSGIPythonPath "{paths[0]}"
</WSGIInterpreterOptions>
<WSGIInterpreterOptions process-group=other>
  WSGISwitchInterval 0.04
</WSGIInterpreterOptions>""",
        app,
    )
    assert running.get("/").text.split("\n")[:3] == ["0.03", str(paths[1]), str(paths[0])]


def test_options_of_the_command(server):
    running = server(
        APP,
        "--threads",
        "2",
        "--maximum-requests",
        "1000",
        "--maximum-requests-jitter",
        "7",
        "--resident-memory-limit",
        "2000000000",
        "--request-timeout",
        "2",
        "--interrupt-timeout",
        "3",
        "--inactivity-timeout",
        "50",
        "--queue-timeout",
        "9",
        "--server-metrics",
        "--orphan-interpreter",
        "--log-level",
        "info",
    )
    log = running.wait_log(r"request-timeout 2s, which is 3\.4 s for each of 2 threads, .*").group()
    for text in (
        "startup-timeout 15s",
        "interrupt-timeout 3s",
        "inactivity-timeout 50s",
        "deadlock-timeout 1m0s",
        "queue-timeout 9s",
        "graceful-timeout 15s",
        "shutdown-timeout 5s",
    ):
        assert text in log
    assert "without effect" not in running.output()


def test_unknown_locale_is_a_warning(timed):
    running = timed("threads=2 locale=xx_XX.nonsense")
    assert running.get("/").status_code == 200
    running.wait_log("WSGI0079")


def test_stack_size(timed, script):
    deep = script("""\
import resource
def application(environ, start_response):
    start_response("200 OK", [])
    return [str(resource.getrlimit(resource.RLIMIT_STACK)[0]).encode()]
""")
    assert timed("threads=2 stack-size=524288", script=deep).get("/").text == "524288"


def test_restricted_streams(timed, script):
    app = script("""\
import sys
def application(environ, start_response):
    try:
        getattr(sys, environ["QUERY_STRING"]).fileno
        body = b"allowed"
    except OSError as error:
        body = str(error).encode()
    start_response("200 OK", [])
    return [body]
""")
    running = timed("threads=2", "WSGIRestrictStdin On\nWSGIRestrictStdout On", app)
    assert "sys.stdin" in running.get("/?stdin").text
    assert "sys.stdout" in running.get("/?stdout").text


def test_socket_timeout_of_a_slow_reader(timed, script):
    big = script("""\
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", str(64 << 20))])
    return [b"x" * (64 << 20)]
""")
    running = timed("threads=1 response-socket-timeout=1", "Timeout 60", big)
    with running.conn(timeout=10) as conn:
        conn.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        conn.until(b"\r\n\r\n")
        time.sleep(2.5)  # nothing is read meanwhile
        received = 0
        try:
            while block := conn.sock.recv(1 << 20):
                received += len(block)
        except ConnectionResetError:
            pass
    assert received < 64 << 20, "the server has given up"


def test_header_buffer_size(timed, script):
    app = script("""\
def application(environ, start_response):
    start_response("200 OK", [("X-Long", "x" * int(environ["QUERY_STRING"]))])
    return [b"ok"]
""")
    running = timed("threads=1 header-buffer-size=8192", "", app)
    assert running.get("/?8000").status_code == 200
    assert running.get("/?9000").status_code == 500


def test_listen_moves_to_one_address(timed):
    running = timed("threads=2")
    file = running.root / "httpd.conf"
    text = file.read_text()
    file.write_text(text.replace(f"Listen 127.0.0.1:{running.port}", f"Listen {running.port}"))
    for change in (None, text):
        if change:
            file.write_text(change)
        first = pid(running)
        running.send_signal(signal.SIGUSR1)
        other(running, first)
    assert "cannot be used" not in running.log()


def test_workers_inherit_the_environment_of_the_moment(timed, script):
    """os.environ may change between the loading of the library and the start of the server."""
    app = script("""\
import os
def application(environ, start_response):
    start_response("200 OK", [])
    return [os.fsencode(os.environ.get("LATE", "missing"))]
""")
    running = timed("threads=1", script=app)
    assert running.get("/").text == "missing"
    code = (
        "import os, sys; from modwsgi_go import Server, directives; directives(); "
        "os.environ['LATE'] = 'caf\\xe9'; sys.exit(Server(sys.argv[1]).run())"
    )
    file = running.root / "httpd.conf"
    running.stop()
    process = subprocess.Popen([COMMAND[0], "-c", code, str(file)], env={**os.environ, "MOD_WSGI_ALLOW_ROOT": "1"})
    try:
        with httpx.Client(base_url=running.url, trust_env=False) as client:

            def answer():
                try:
                    return client.get("/").text
                except httpx.HTTPError:
                    return None

            assert wait_for(answer, 10, "the server") == "caf\xe9"
    finally:
        process.terminate()
        assert process.wait(10) == 0
