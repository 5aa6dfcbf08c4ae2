"""WSGITelemetryService and WSGISlowRequests: what arrives at the socket, and in the error log where there is none."""

import contextlib
import gc
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

import pytest

from harness import COMMAND, ENVIRON, Server, finish_all, free_port, wait_for
from timed import Background

pytestmark = pytest.mark.ours

APP = """
import gc, json, threading, time
import mod_wsgi

release = threading.Event()

def application(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/slow':
        time.sleep(1.5)
        if 'hold' in environ['QUERY_STRING']:
            release.wait(20)
    if path == '/release':
        release.set()
    if path == '/collect':
        gc.collect()
    body = environ['wsgi.input'].read()
    metrics = mod_wsgi.request_metrics(), mod_wsgi.process_metrics()
    start_response('200 OK' if path != '/gone' else '404 Not Found', [('Content-Type', 'application/json')])
    return [json.dumps([metrics, len(body)]).encode()]
"""

CONFIG = """\
ServerName localhost
ServerRoot "{root}"
Listen 127.0.0.1:{port}
ErrorLog "{root}/error_log"
LogLevel info
<Directory "{root}">
    Require all granted
</Directory>
{extra}
{group}
WSGIScriptAlias / "{root}/app.wsgi"
"""
GROUP = "WSGIDaemonProcess app threads=3\nWSGIProcessGroup app\nWSGIApplicationGroup %{GLOBAL}"


def decode(data):
    """(kind, pid, sequence, fields by id) of a datagram; the format is Annex A of mod_wsgi's telemetry."""
    magic, version, kind, flags, pid, sequence, stamp = struct.unpack_from("<4sBBHIId", data)
    assert (magic, version, flags) == (b"WSGI", 1, 0) and abs(time.time() - stamp) < 60
    fields, at = {}, 24
    while at < len(data):
        number, kind_of = struct.unpack_from("<HB", data, at)
        at += 3
        if kind_of <= 3:
            fields[number] = struct.unpack_from("<" + "Qdq"[kind_of - 1], data, at)[0]
            at += 8
            continue
        (count,) = struct.unpack_from("<H", data, at)
        at += 2
        if kind_of == 4:
            value, size = data[at : at + count].decode(), count
        else:
            size = count * (4 if kind_of == 5 else 8)
            value = list(struct.unpack_from(f"<{count}{'i' if kind_of == 5 else 'd'}", data, at))
        fields[number] = value
        at += size
    return kind, pid, sequence, fields


class Service(threading.Thread):
    """The other end: keeps what comes."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.seen = []
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        self.sock.settimeout(0.2)
        self.over = False
        self.start()

    def run(self):
        while not self.over:
            with contextlib.suppress(TimeoutError):
                self.seen.append(decode(self.sock.recv(9000)))

    def of(self, kind, condition=lambda fields: True):
        return [fields for found, _, _, fields in list(self.seen) if found == kind and condition(fields)]

    def wait(self, kind, condition=lambda fields: True):
        return wait_for(lambda: self.of(kind, condition), 10, f"a datagram of kind {kind}")[0]


@pytest.fixture
def running(tmp_path):
    """launch(extra, group) -> (server, service); the directives may name the socket {sock}."""
    started, services = [], []
    folder = tempfile.mkdtemp(prefix="tm")  # the name of a socket is short

    def launch(extra, group=GROUP):
        root = tmp_path / f"root{len(started)}"
        root.mkdir()
        (root / "app.wsgi").write_text(APP)
        port, path = free_port(), f"{folder}/{len(started)}"
        file = root / "httpd.conf"
        file.write_text(CONFIG.format(root=root, port=port, group=group, extra=extra.format(sock=path)))
        services.append(Service(path))
        started.append(Server([*COMMAND, "run-config", str(file)], root, port, str(root), ENVIRON))
        started[-1].wait_ready()
        return started[-1], services[-1]

    yield launch
    try:
        finish_all(started)
    finally:
        for one in services:
            one.over = True
            one.join()
            one.sock.close()
        shutil.rmtree(folder)


def test_what_a_group_sends(running):
    server, service = running("WSGITelemetryService unix:{sock} interval=0.5")
    started = service.wait(5)
    assert started[1] == "6.0.5" and started[2] == ".".join(map(str, sys.version_info[:3]))
    assert started[5] == socket.gethostname() and started[6] == "app" and started[7] == server.process.pid
    assert started[11] == 0.5 and 12 not in started
    assert server.post("/", b"x" * 5000).json() == [[None, None], 5000], "the module's own metrics have nothing"
    assert server.get("/gone").status_code == 404
    samples = wait_for(lambda: service.of(2, lambda f: f[20]), 10, "a sample with requests")
    wait_for(lambda: sum(f[20] for f in service.of(2)) == 2, 5, "both requests")
    samples = service.of(2, lambda f: f[20])
    assert sum(f[121] for f in samples) == 1 and sum(f[123] for f in samples) == 1
    assert sum(f[100] for f in samples) == 5000 and sum(sum(f[110]) for f in samples) == 2
    one = samples[0]
    assert one[50] == one[51] == 3 and len(one[111]) == 3 and 0.3 < one[10] < 3
    assert one[40] > 1 << 20 and 0 <= one[22] <= 1
    for phase in range(8):
        assert sum(one[90 + phase]) == one[20] and len(one[90 + phase]) == 65
        assert one[70 + phase] - 2e-6 <= one[60 + phase] <= one[80 + phase] + 2e-6
    numbers = [sequence for _, _, sequence, _ in service.seen]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_embedded_mode_has_no_queue(running):
    server, service = running("WSGITelemetryService unix:{sock} interval=0.5", "WSGIApplicationGroup %{GLOBAL}")
    server.get("/")
    one = service.wait(2, lambda f: f[20])
    assert one[6] == "" and {60, 63, 64} <= set(one) and not {61, 62, 71, 92} & set(one)


def test_garbage_collections(running):
    server, service = running("WSGITelemetryService unix:{sock} interval=0.5",
                              GROUP.replace("%{GLOBAL}", "second"))
    server.get("/collect")
    run = service.wait(9, lambda f: f[8] == "second" and f[322] == 2)
    assert time.time() - 60 < run[320] < time.time() and 0 < run[321] < 5 and run[324] == 0
    figures = service.wait(8, lambda f: f[8] == "second" and f[308] > 0)
    assert figures[315] == 1 and figures[317] == 0 and figures[303] == gc.get_threshold()[0]
    service.wait(8, lambda f: f[8] == "")  # the main interpreter's too


def test_slow_requests(running):
    server, service = running("WSGITelemetryService unix:{sock} interval=0.5\nWSGISlowRequests 0.7")
    assert service.wait(5)[12] == 0.7
    Background(server, "/slow?hold&secret=1")
    server.get("/")
    active = service.wait(4, lambda f: f[200] == 0)
    server.get("/release")
    assert active[202] >= 0.7 and active[240] == 0 and active[203] in (1, 2, 3)
    done = service.wait(4, lambda f: f[200] == 1)
    assert done[202] >= 1.5 and done[223] >= 1.4 and done[240] == 200 and abs(done[201] - active[201]) < 1e-3
    assert (done[210], done[211], done[212], done[213], done[214], done[215], done[216]) == (
        "GET", "http", "127.0.0.1", "", "/slow", "HTTP/1.1", "127.0.0.1")
    assert done[204] == active[204] and 217 not in done, "the User-Agent only when it is asked for"
    assert len(service.of(4, lambda f: f[200] == 1)) == 1, "the other requests were not slow"
    assert "WSGI0380" not in server.log()


def test_user_agent(running):
    server, service = running(
        "WSGITelemetryService unix:{sock} interval=0.5\nWSGISlowRequests 0.7\nWSGITelemetryOptions +CaptureUserAgent")
    server.get("/slow", headers={"User-Agent": "a" * 600})
    assert service.wait(4)[217] == "a" * 509 + "..."


def test_the_end_of_a_process(running):
    server, service = running("WSGITelemetryService unix:{sock} interval=0.5")
    server.get("/")
    service.wait(5)
    pid = service.seen[0][1]
    os.kill(pid, signal.SIGUSR1)
    stopping, stopped = service.wait(6), service.wait(7)
    assert stopping[130] == stopped[130] == "graceful_signal" and stopping[135] == 1
    assert stopping[132] == 1 and stopping[131] > 0 and stopped[134] == 0
    assert service.wait(5, lambda f: f is not service.of(5)[0]), "the successor"


def test_slow_requests_without_a_service_are_logged(running):
    server, _ = running("WSGISlowRequests 0.5")
    slow = Background(server, "/slow?hold&secret=1")
    which = r"slow request: GET /slow of 127\.0\.0\.1"
    server.wait_log(rf"WSGI0381: {which} has been running for \d\.\d s \(thread 1, request ")
    server.get("/release")
    took = server.wait_log(rf"WSGI0380: {which} took (\d\.\d) s, status 200 \((\d\.\d) s in the application, ")
    assert all(float(seconds) >= 1.5 for seconds in took.groups())
    assert slow.status() == 200 and slow.answer.json()[0] == [None, None], "nobody began to record"
    assert "secret" not in server.log()


def test_a_service_that_nobody_may_write_to_is_reported_once(running, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    server, _ = running(f"WSGITelemetryService unix:{file}/no-folder interval=0.5")
    server.wait_log(r"WSGI0132: cannot send telemetry to .*/no-folder: not a directory")
    server.get("/")
    time.sleep(1.2)  # two more intervals
    assert server.log().count("WSGI0132") == 1


def test_the_package_mod_wsgi_telemetry_understands_it(running):
    """The ingester that mod_wsgi's author publishes."""
    program = Path(sysconfig.get_path("scripts"), "mod_wsgi-telemetry")
    if not program.exists():
        pytest.skip("needs the package mod_wsgi-telemetry")
    with tempfile.TemporaryDirectory(prefix="tm") as folder:
        listen = f"unix:{folder}/s"
        dump = subprocess.Popen([str(program), "dump", "--listen", listen, "--format", "json"],
                                stdout=subprocess.PIPE, text=True)
        try:
            wait_for(lambda: Path(folder, "s").exists(), 10, "its socket")
            server, _ = running(f"WSGITelemetryService {listen} interval=0.5\nWSGISlowRequests 0.5")
            server.get("/slow")
            server.get("/collect")
            found = {}
            while not {"process_started", "request_metrics", "slow_request", "gc_snapshot", "gc_event"} <= set(found):
                one = json.loads(dump.stdout.readline())
                found.setdefault(one["kind"], one["fields"])
            assert found["slow_request"]["slow_path_info"] == "/slow"
        finally:
            dump.kill()
            dump.wait()
            dump.stdout.close()
