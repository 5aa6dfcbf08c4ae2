"""No memory grows with the number of requests, failed ones and broken-off ones included."""

import socket
import struct
import sysconfig

import pytest

from harness import SINK

GOOD = [b"GET / HTTP/1.1\r\nHost: x\r\nX-Unique-%d: %d\r\n\r\n",
        b"GET /generator?count=5&m=%d-%d HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /raise?at=first&mark=%d-%d HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /file?size=3000&n=%d-%d HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /write?n=%d HTTP/1.1\r\nHost: h%d.test\r\n\r\n",
        b"GET /environ?n=%d-%d HTTP/1.1\r\nHost: x\r\nCookie: c=" + b"v" * 500 + b"\r\n\r\n",
        b"POST /echo?m=%d-%d HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n" + b"b" * 20]
BROKEN = [b"GET / HTTP/1.1\r\nHost", b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\nabc",
          b"GET /big?size=400000 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
          b"GET /generator?count=2000&size=200 HTTP/1.1\r\nHost: x\r\n\r\n"]


def requests(running, count):
    """Sends about `count` requests: batches over keep-alive connections, and one broken-off connection in ten."""
    sent = 0
    while sent < count:
        with running.conn(timeout=15) as conn:
            for i in range(9):
                conn.send(GOOD[(sent + i) % len(GOOD)] % (sent, i))
                _, headers, _ = conn.response()
                sent += 1
                if headers.get("connection") == "close":
                    break
        with running.conn() as conn:
            conn.send(BROKEN[sent // 10 % len(BROKEN)])
            # a reset instead of an orderly end, every second time
            if sent % 2:
                conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sent += 1


def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) // 1024


@pytest.mark.timeout(150)
def test_memory_after_10000_requests(server):
    running = server(SINK)
    worker = running.worker()
    # Until Go's heap has reached what it may hold before it is collected, see worker/collect.go.
    requests(running, 20_000)
    running.events()
    before, fds = resident(worker), running.json("/process")["fds"]
    requests(running, 10_000)
    running.events()
    after = resident(worker)
    assert running.worker() == worker, "the worker was replaced"
    # A free-threaded build has a heap for each thread, and in 3.13 CPython never frees classes; the sink makes some.
    allowed = 24 if sysconfig.get_config_var("Py_GIL_DISABLED") else 6
    assert after - before <= allowed, f"{before} MiB after 20,000 requests, {after} MiB after 30,000"
    assert running.json("/process")["fds"] <= fds + 5


NAMES = """
import json, sys

def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps(sys.getallocatedblocks()).encode()]
"""


def test_names_of_fields_are_not_kept(server, tmp_path):
    """A client may send any names. Since Python 3.12 interned strings live for ever: only a bounded number may be."""
    script = tmp_path / "names.wsgi"
    script.write_text(NAMES)
    running = server(script)

    def send(first, count, fields=40):
        for n in range(first, first + count):
            names = {f"X-Name-{n}-{i}": "v" for i in range(fields)}
            blocks = running.get("/", headers=names).json()
        return blocks

    before = send(0, 100)
    assert send(100, 200) < before + 2_000, "of 8,000 names that came once"
