"""WSGIFreeThreading: a free-threaded build of Python runs with a GIL unless it says On, and then without."""

import json
import sysconfig

import pytest

from timed import Background

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
pytestmark = [pytest.mark.ours]
free_threaded = pytest.mark.skipif(not FREE_THREADED, reason="needs a free-threaded build of Python")

SCRIPT = """\
import json
import sys
import threading
import mod_wsgi

meet = threading.Barrier(3, timeout=20)
shared = []

def body(environ):
    path, size = environ["PATH_INFO"], int(environ["QUERY_STRING"] or 0)
    if path == "/gil":
        gil = getattr(sys, "_is_gil_enabled", lambda: True)()
        yield json.dumps([gil, sys.getswitchinterval(), mod_wsgi.application_group]).encode()
    elif path == "/meet":
        meet.wait()
        for i in range(size):
            shared.append(i)
        yield b"x" * size
    elif path == "/echo":
        # several threads at the same stream and log: what they get is not defined, that they survive is
        read = environ["wsgi.input"].read
        readers = [threading.Thread(target=lambda: [read(7) for _ in range(200)]) for _ in range(3)]
        writers = [threading.Thread(target=lambda: print("part", end="")) for _ in range(3)]
        for thread in readers + writers:
            thread.start()
        for thread in readers + writers:
            thread.join()
        yield environ["wsgi.input"].read()
    elif path == "/raise":
        raise ValueError("raised")

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    mod_wsgi.request_data()["path"] = environ["PATH_INFO"]
    return body(environ) if environ["PATH_INFO"] != "/list" else [b"a", b"b" * int(environ["QUERY_STRING"] or 0)]
"""
HEADERS = {f"X-Field-{i}": "v" * i for i in range(1, 30)}


def gil(running):
    return running.json("/gil")


def test_without_the_directive_there_is_a_gil(timed, script):
    running = timed("threads=3", script=script(SCRIPT))
    assert gil(running)[0] is True
    assert "WSGI0200" not in running.log() + running.output()


@pytest.mark.skipif(FREE_THREADED, reason="this build can")
def test_an_ordinary_build_says_so(timed, script):
    running = timed("threads=3", "WSGIFreeThreading On", script(SCRIPT))
    assert gil(running)[0] is True
    assert "WSGI0200" in running.log() + running.output()


@free_threaded
def test_no_gil(timed, script):
    running = timed("threads=3 switch-interval=0.02", "WSGIFreeThreading On", script(SCRIPT))
    assert gil(running)[0] is False
    running.wait_log("this process runs without a GIL")
    running.wait_log("WSGI0204")
    waiting = [Background(running, "/meet?100000") for _ in range(3)]
    assert [w.status() for w in waiting] == [200] * 3
    assert {len(w.answer.content) for w in waiting} == {100000}
    assert running.get("/raise").status_code == 500
    running.wait_log("ValueError: raised")
    assert running.post("/echo", content=b"y" * 100000).status_code == 200
    assert running.post("/echo", content=iter([b"y" * 5000] * 20)).status_code in (200, 411)


@free_threaded
def test_many_requests_at_once_without_a_gil(timed, script):
    import concurrent.futures

    import httpx

    running = timed("threads=5", "WSGIFreeThreading On", script(SCRIPT))

    def ask(number):
        with httpx.Client(base_url=running.url, timeout=30, trust_env=False) as client:
            for i in range(60):
                headers = dict(list(HEADERS.items())[: (number + i) % 25])
                answer = client.get(f"/list?{number * 100 + i}", headers=headers)
                assert answer.status_code == 200 and len(answer.content) == number * 100 + i + 1
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))


@free_threaded
def test_option_of_the_command(server, script):
    running = server(script(SCRIPT), "--free-threading", "--threads", "2")
    assert gil(running)[0] is False


@free_threaded
def test_for_one_process_group_only(timed, script):
    section = "<WSGIInterpreterOptions process-group={}>\n  WSGIFreeThreading On\n</WSGIInterpreterOptions>\n"
    assert gil(timed("threads=2", section.format("app"), script(SCRIPT)))[0] is False
    assert gil(timed("threads=2", section.format("other"), script(SCRIPT)))[0] is True


@free_threaded
def test_sub_interpreters_without_a_gil(timed, script):
    app = script(SCRIPT)
    extra = f'WSGIFreeThreading On\nWSGIPerInterpreterGIL On\nWSGIScriptAlias /sub "{app}" application-group=sub\n'
    running = timed("threads=3", extra, app)
    assert json.loads(running.get("/sub/gil").text)[::2] == [False, "sub"]
    running.wait_log("WSGI0202: own GIL ignored for sub-interpreter 'sub'")
    waiting = [Background(running, "/sub/meet?1000") for _ in range(3)]
    assert [w.status() for w in waiting] == [200] * 3


@free_threaded
def test_request_timeout_without_a_gil(timed):
    running = timed("threads=2 request-timeout=1 interrupt-timeout=5", "WSGIFreeThreading On")
    assert running.get("/patient?30").status_code == 504
    running.wait_log("running request: GET /patient")
    running.wait_log("no stacks: those of running threads cannot be read safely without a GIL")
    # but the interrupted one tells its own
    running.wait_log(r'the request was interrupted in: File ".*timed\.wsgi", line \d+, in patient\n.*called from File')
