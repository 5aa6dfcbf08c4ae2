"""Slow and silent clients do not occupy the threads that run Python (one thread throughout)."""

import time

import pytest

from harness import FRONT, SINK, wait_for

pytestmark = pytest.mark.ours


@pytest.fixture
def one(server):
    running = server(SINK, "--threads", "1", "--chunked-request")
    assert running.get("/").text == "Hello World!"
    return running


def answers(running, times=5):
    """Others are served. The slow clients go on only after this, so an answer at all is the proof."""
    for _ in range(times):
        with running.conn(timeout=5) as conn:
            conn.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert conn.response()[2] == b"Hello World!"


def crowd(running, data, count=100):
    conns = [running.conn(timeout=10) for _ in range(count)]
    for conn in conns:
        if data:
            conn.send(data)
    return conns


@pytest.mark.parametrize(("stage", "data", "rest"), [
    ("silent", b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("head", b"GET / HTTP/1.1\r\nHos", b"t: x\r\n\r\n"),
    ("body", b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc", b"d" * 4997),
    ("chunk", b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\nabc",
     b"d" * 4997 + b"\r\n0\r\n\r\n"),
])
def test_100_slow_senders(one, stage, data, rest):
    """100 clients stop in mid-request; others are served; then all 100 finish and get their answers."""
    conns = crowd(one, data)
    try:
        answers(one)
        for conn in conns:
            conn.send(rest)
        expected = b"5000" if stage in ("body", "chunk") else b"Hello World!"
        assert [conn.response()[2] for conn in conns] == [expected] * len(conns)
    finally:
        for conn in conns:
            conn.sock.close()


@pytest.mark.parametrize("path", [b"/big", b"/file"])
def test_slow_receivers(one, path):
    """20 clients ask for 8 MiB with a known length and do not read; the finished responses wait without a thread."""
    conns = crowd(one, b"GET " + path + b"?size=8388608 HTTP/1.1\r\nHost: x\r\n\r\n", 20)
    try:
        answers(one)
        for conn in conns:
            assert len(conn.response()[2]) == 8388608
    finally:
        for conn in conns:
            conn.sock.close()


def test_server_answers_errors_while_python_is_busy(one, tmp_path):
    """The only Python thread waits for this test; malformed requests are still answered."""
    go = tmp_path / "go"
    with one.conn(timeout=30) as busy:
        busy.send(f"GET /until?file={go} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_for((tmp_path / "go.in").exists, what="the request to begin")
        assert one.raw(b"GET / HTTP/1.1\r\n\r\n", timeout=15).startswith(b"HTTP/1.1 400 ")
        go.touch()
        assert busy.response()[2] == b"done"


def test_header_timeout(server):
    running = server(SINK, "--header-timeout", "1", "--header-max-timeout", "2")
    begin = time.monotonic()
    answer = running.raw(b"GET / HTTP/1.1\r\nHost: x\r\n", timeout=15)
    assert time.monotonic() - begin > 0.5
    assert not answer or answer.startswith(b"HTTP/1.1 408 ")


def test_body_timeout(server):
    running = server(SINK, "--body-timeout", "1", "--body-max-timeout", "2")
    begin = time.monotonic()
    answer = running.raw(b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nabc", timeout=15)
    assert time.monotonic() - begin > 0.5
    assert not answer or answer.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 ", b"HTTP/1.1 500 "))
    assert running.get("/").text == "Hello World!"


def drip(conn, data, size, gap=0.2):
    """Sends data in small pieces until all is sent or the server closes; returns what it answered."""
    conn.sock.settimeout(gap)
    received = b""
    for at in range(0, len(data), size):
        try:
            conn.send(data[at : at + size])
            block = conn.sock.recv(65536)
        except TimeoutError:
            continue
        except ConnectionError:
            break
        if not block:
            return received
        received += block
    conn.sock.settimeout(10)
    while True:
        try:
            block = conn.sock.recv(65536)
        except ConnectionResetError:
            return received
        if not block:
            return received
        received += block


READ_TIMES = [
    # stage, RequestReadTimeout, bytes in each piece (five pieces a second), answer
    ("head", "header=2,MinRate=10", 10, 200),  # 50 bytes a second earn five
    ("head", "header=2,MinRate=500", 10, 408),
    ("head", "header=2-3,MinRate=10", 10, 408),
    ("body", "body=2,MinRate=10", 10, 200),
    ("body", "body=2,MinRate=500", 10, 408),
    ("body", "body=2-3,MinRate=10", 10, 408),
]


@pytest.mark.parametrize(("stage", "times", "size", "status"), READ_TIMES, ids=[f"{r[1]}" for r in READ_TIMES])
def test_read_times(server, stage, times, size, status):
    """RequestReadTimeout: bytes earn time at MinRate, up to the maximum; then 408 and the end of the connection."""
    running = server(SINK, config=f"RequestReadTimeout {times}\n")
    with running.conn() as conn:
        if stage == "head":
            conn.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Slow: ")
            answer = drip(conn, b"x" * (250 if status == 200 else 2000) + b"\r\n\r\n", size)
        else:
            length = 250 if status == 200 else 2000
            conn.send(b"POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % length)
            answer = drip(conn, b"x" * length, size)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize(("times", "status"), [("body=2,MinRate=10", 200), ("body=2,MinRate=500", 500)])
def test_read_times_of_a_streamed_body(server, framing, times, status):
    """A body too large to be buffered is read by the application: for it, time that is over is an error of read().

    A front process reads for the application, and answers like mod_wsgi's: 408.
    """
    running = server(SINK, "--chunked-request", config=f"RequestReadTimeout {times}\n")
    first = b"x" * 1500000
    rest = b"y" * (200 if status == 200 else 2000)
    with running.conn() as conn:
        conn.send(b"POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\n")
        if framing == "length":
            conn.send(b"Content-Length: %d\r\n\r\n%s" % (len(first + rest), first))
        else:
            conn.send(b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s" % (len(first + rest), first))
            rest += b"\r\n0\r\n\r\n"
        answer = drip(conn, rest, 10)
    assert answer.startswith(b"HTTP/1.1 %d " % (408 if FRONT and status == 500 else status))
    if status == 200:
        assert answer.endswith(b"1500200")
    elif not FRONT:
        running.wait_log("request data read error: timed out")
    assert running.get("/").text == "Hello World!"


def test_http2_preface(sink):
    """A client that assumes HTTP/2 on a plaintext port learns that it is not spoken here."""
    assert sink.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").startswith(b"HTTP/1.1 505 ")
