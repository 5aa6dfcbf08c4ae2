"""Threads of the application that go on using a request when it has been answered: they are ended or waited for, and
never touch what the connection brings next."""

import hashlib
import socket

import pytest

import tls
from harness import wait_for

pytestmark = pytest.mark.ours

APP = """
import json, os, sys, threading, time

outcomes = []
events = {"/begun": threading.Event(), "/ended": threading.Event()}

def take(name, function):
    try:
        outcomes.append([name, len(function())])
    except Exception as error:
        outcomes.append([name, f"{type(error).__name__}: {error}"])

def iter_of(body):
    try:
        yield from body
    finally:
        body.close()

def application(environ, start_response):
    path, source = environ["PATH_INFO"], environ["wsgi.input"]
    if path == "/outcomes":
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(outcomes).encode()]
    if path == "/close":
        class Body(list):
            def close(self):
                take("write", lambda: write(b"late") or b"abc")
        write = start_response("200 OK", [])
        return Body([b"some"]) if environ["QUERY_STRING"] == "list" else iter_of(Body([b"some"]))
    if path == "/next":
        start_response("200 OK", [])
        return [source.read()]
    if path in events:
        events[path].set()
        start_response("200 OK", [])
        return []
    write = start_response("200 OK", [("Content-Length", "4")] if path != "/write" else [])
    if path == "/write":
        block = b"x" * (8 << 20)
        def run():
            take("write", lambda: write(block) or block)
            events["/ended"].wait(20)
            take("write again", lambda: write(b"more"))
        threading.Thread(target=run).start()
        events["/begun"].wait(20)  # it waits for the client now
        return []
    if path == "/lines":
        def run():
            take("lines", lambda: list(source))
    else:
        def run():
            take("read", source.read)
            take("again", source.read)
    threading.Thread(target=run).start()
    time.sleep(0.3)  # it waits for the client now
    return [b"done"]
"""


@pytest.fixture
def running(server, tmp_path):
    file = tmp_path / "outstayed.wsgi"
    file.write_text(APP)
    return server(file, "--threads", 2, "--chunked-request")


def outcomes(running, count):
    return wait_for(lambda: len(found := running.json("/outcomes")) >= count and found, 10, f"{count} outcomes")


# Larger than what is received before the application is called.
WHOLE, SENT = 5_000_000, 1_500_000
LATE = "RuntimeError: wsgi.input used after the request has finished"


@pytest.mark.parametrize(("path", "names"), [("/read", ["read", "again"]), ("/lines", ["lines"])])
@pytest.mark.parametrize("framing", ["Content-Length: 5000000", "Transfer-Encoding: chunked"])
def test_reading_ends_with_the_request(running, path, names, framing):
    part = (b"%x\r\n" % WHOLE if "chunked" in framing else b"") + b"1" * SENT
    with running.conn(timeout=10) as conn:
        conn.send(f"POST {path} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode() + part)
        assert conn.response()[2] == b"done", "the response does not wait for the rest of the body"
        # The rest of the body, and what looks like the next request: the connection is closed, nobody gets it.
        conn.send(b"1" * 1000 + b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        assert conn.closed()
    assert outcomes(running, len(names)) == [[name, LATE] for name in names]


def test_reading_over_tls_ends_with_the_request(tls_site):
    site = tls_site(**{"app.wsgi": APP})
    with (
        socket.create_connection(("127.0.0.1", site.port), timeout=10) as sock,
        tls.context(site.certs).wrap_socket(sock, server_hostname="one.example") as secure,
    ):
        head = f"POST /read HTTP/1.1\r\nHost: one.example:{site.port}\r\nContent-Length: {WHOLE}\r\n\r\n"
        secure.sendall(head.encode() + b"1" * SENT)
        assert b"\r\n\r\ndone" in secure.recv(1000) + secure.recv(1000)
    outcomes = wait_for(lambda: len(found := tls.get(site, "/outcomes").json()) >= 2 and found, 10, "outcomes")
    assert outcomes == [["read", LATE], ["again", LATE]]


def test_the_other_requests_go_on(running):
    """Many at a time, each with a thread that reads too long; bodies of others are complete."""
    lazy = [running.conn(timeout=10) for _ in range(8)]
    for conn in lazy:
        conn.send(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n" + b"1" * SENT)
    body = hashlib.sha256(b"x").digest() * 20_000
    for _ in range(5):
        assert running.post("/next", body).content == body
    for conn in lazy:
        assert conn.response()[2] == b"done"
        conn.sock.close()
    assert sorted(outcomes(running, 16)) == sorted([["read", LATE], ["again", LATE]] * 8)


def test_writing_is_waited_for(running):
    """The client is slow; what another thread has given to write() is sent before the response ends."""
    with running.conn(timeout=20) as conn:
        conn.send(b"GET /write HTTP/1.1\r\nHost: x\r\n\r\n")
        conn.fill()
        assert running.json("/outcomes") == []
        running.get("/begun")
        status, _, _ = conn.response()
        assert status == 200
        running.get("/ended")
    late = "RuntimeError: write() called after the response has ended"
    assert outcomes(running, 2) == [["write", 8 << 20], ["write again", late]]


@pytest.mark.parametrize("query", ["list", "generator"])
def test_write_in_close(running, query):
    """It would stand behind the response's end, where the client expects the next response."""
    with running.conn(timeout=10) as conn:
        for _ in range(2):
            conn.send(f"GET /close?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert conn.response()[2] == (b"some" if query == "list" else b"somelate")
    late = "RuntimeError: write() called after the response has ended"
    assert outcomes(running, 2) == [["write", late if query == "list" else 3]] * 2
