"""wsgi.input: every way to read, from bodies with a length and chunked ones."""

import hashlib
import threading

import pytest

from harness import SINK, finish_all, start, wait_for

BODY = b"alpha\nbeta\n\ngamma\ndelta"


@pytest.fixture(scope="module")
def chunky(tmp_path_factory):
    running = start(SINK, "--chunked-request", root=tmp_path_factory.mktemp("chunky"))
    yield running
    finish_all([running])


def chunks(data, size):
    return [data[i : i + size] for i in range(0, len(data), size)]


READS = [
    ("read", -1, [BODY]),
    ("read-minus", -1, [BODY]),
    ("read-n", 7, chunks(BODY, 7)),
    ("read-n", 1, chunks(BODY, 1)),
    ("read-n", 1000, [BODY]),
    ("read-zero", -1, [b"", BODY]),
    ("readline", -1, [b"alpha\n", b"beta\n", b"\n", b"gamma\n", b"delta"]),
    ("readline-n", 3, [b"alp", b"ha\n", b"bet", b"a\n", b"\n", b"gam", b"ma\n", b"del", b"ta"]),
    ("readlines", -1, [b"alpha\n", b"beta\n", b"\n", b"gamma\n", b"delta"]),
    ("readlines-hint", 7, [b"alpha\n", b"beta\n", b"\ngamma\ndelta"]),
    ("iterate", -1, [b"alpha\n", b"beta\n", b"\n", b"gamma\n", b"delta"]),
    ("mixed", -1, [b"alp", b"ha\n", b"beta", b"\n", b"\ngamma\ndelta"]),
    ("past-end", -1, [BODY, b"", b"", b""]),
]


@pytest.mark.parametrize(("how", "n", "expected"), READS)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_read_variants(chunky, framing, how, n, expected):
    content = iter([BODY[:8], BODY[8:9], BODY[9:]]) if framing == "chunked" else BODY
    answer = chunky.post("/echo", content=content, params={"how": how, "n": n})
    assert answer.status_code == 200, answer.text
    assert [part.encode("latin-1") for part in answer.json()] == expected


@pytest.mark.parametrize("how", ["read", "readline", "readlines", "iterate", "past-end"])
def test_no_body(sink, how):
    assert [part for part in sink.get("/echo", params={"how": how}).json() if part] == []


@pytest.mark.parametrize("size", [1, 8191, 8192, 8193, 65535, 65536, 1_000_000, 5_000_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_sizes_arrive_whole(chunky, framing, size):
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    content = iter(chunks(body, 30_011)) if framing == "chunked" else body
    assert chunky.post("/digest", content=content).text == f"{size} {hashlib.sha256(body).hexdigest()}"


def test_surface(sink):
    """No seek, tell, readinto or fileno; positional arguments only; close() does nothing."""
    assert sink.post("/input-surface", content=b"abc").json() == {
        "seek": False, "tell": False, "readinto": False, "fileno": False, "read": True, "close": True,
        "keyword": "TypeError", "after_close": "abc"}


def test_objects_after_the_request(sink):
    """What an application keeps of a request is dead, and a later request's data does not show through."""
    assert sink.post("/keep", content=b"unread secret").text == "kept"
    assert sink.post("/kept", content=b"second body").json() == {
        "read": "RuntimeError", "readline": "RuntimeError", "start_response": "RuntimeError",
        "errors": "no error", "path": "/keep"}  # one wsgi.errors serves all requests, docs/differences.md


def test_body_over_the_limit(server):
    running = server(SINK, "--limit-request-body", "1000", "--chunked-request")
    assert running.post("/length", content=b"x" * 1000).text == "1000"
    assert running.post("/length", content=b"x" * 1001).status_code == 413


def test_oversized_chunked_body_does_not_reach_the_application(server):
    """A chunked body over the limit is refused: 413, or an error when the application reads it."""
    running = server(SINK, "--limit-request-body", "1000", "--chunked-request")
    assert running.post("/length", content=iter([b"x" * 600] * 2)).status_code in (400, 413, 500)
    assert running.post("/length", content=iter([b"x" * 500] * 2)).text == "1000"


def test_chunked_is_accepted_by_default(sink):
    """The command differs from the directive, whose default is Off: see the next test."""
    assert sink.post("/length", content=iter([b"x"])).status_code == 200


def test_chunked_needs_the_directive(server):
    running = server(SINK, config="WSGIChunkedRequest Off\n")
    assert running.post("/length", content=iter([b"x"])).status_code == 411


@pytest.mark.parametrize("path", ["/ignore-input", "/raise?at=call", "/nowhere"])
def test_unread_body_is_not_taken_for_the_next_request(sink, path):
    trick = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    with sink.conn() as conn:
        conn.send(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(trick), trick))
        _, headers, _ = conn.response()
        if headers.get("connection") == "close":
            assert conn.closed()
        else:
            conn.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert conn.response()[2] == b"Hello World!"


def test_client_gone_during_the_body(sink):
    """Half a body and a close: the application's read raises OSError, twice, or it is never called."""
    sink.events()
    sink.raw(b"POST /input-error HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nonly this", half_close=True)
    seen = []

    def settled():
        seen.extend(sink.events())
        return seen in ([], ["read OSError", "read OSError"])

    wait_for(settled, 3)
    assert "read ok" not in seen
    assert sink.get("/").text == "Hello World!"


def test_bad_chunk_is_an_error(chunky):
    chunky.events()
    head = b"POST /input-error HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = chunky.raw(head + b"5\r\nhello\r\nZZ\r\nbad\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"smuggled" not in answer and answer.count(b"HTTP/1.1 ") <= 1
    assert "read ok" not in chunky.events()


@pytest.mark.ours
def test_chunks_cut_anywhere_do_not_fill_memory(chunky):
    """Packets that end inside the framing: the buffer must not grow with a body that the application drops."""
    first, piece = 1_200_000, b"y" * 60_000
    with chunky.conn(timeout=30) as conn:
        conn.send(b"POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        conn.send(b"%x\r\n" % first + b"x" * first + b"\r\n%x\r" % len(piece))
        for _ in range(120):
            conn.send(b"\n" + piece + b"\r")
            conn.send(b"\n%x\r" % len(piece))
        conn.send(b"\n" + piece + b"\r\n0\r\nX-Trailer: 1\r\n\r\n")
        status, _, body = conn.response()
    assert (status, int(body)) == (200, first + 121 * len(piece))


@pytest.mark.ours
def test_request_and_response_stream_at_once(sink):
    """An application that copies its input to its output: 9 MiB each way over one connection."""
    total, block = 9 * 1024 * 1024, b"0123456789abcdef" * 4096
    with sink.conn(timeout=10) as conn:
        conn.send(b"POST /copy HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (total))
        sender = threading.Thread(target=lambda: [conn.send(block) for _ in range(total // len(block))])
        sender.start()
        status, _, body = conn.response()
        sender.join(10)
    assert status == 200 and len(body) == total
    assert body == block * (len(body) // len(block))


READER = """
import json

def application(environ, start_response):
    try:
        body = environ["wsgi.input"].read() if environ["PATH_INFO"] != "/never" else b""
        said = f"read {len(body)}"
    except OSError as e:
        if environ["PATH_INFO"] == "/raise":
            raise
        if environ["PATH_INFO"] == "/other":
            raise RuntimeError("wrapped") from e
        said = f"caught {e}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [said.encode()]
"""
CHUNKED = b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.ours
@pytest.mark.parametrize("large", [False, True], ids=["buffered", "streamed"])
def test_chunked_body_over_the_limit(server, script, large):
    """The client hears 413, unless the application makes something of the error."""
    limit = 2_000_000 if large else 1000
    running = server(script(READER), config=f'LimitRequestBody {limit}\nErrorDocument 413 "too much"\n'
                     'ErrorDocument 400 "not understood"\nWSGIChunkedRequest On\n')
    for path, size, expected in [
        (b"/raise", limit, (200, b"read %d" % limit)),
        (b"/raise", limit + 1, (413, b"too much")),
        (b"/other", limit + 1, (413, b"too much")),
        (b"/catch", limit + 1, (200, b"caught request data read error: body is larger than LimitRequestBody")),
        (b"/never", limit + 1, (200, b"read 0")),
    ]:
        with running.conn() as conn:
            conn.send(CHUNKED % path + b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n")
            status, _, body = conn.response()
        assert (status, body) == expected, path
    if large:  # framing that only the application's reading finds broken
        with running.conn() as conn:
            conn.send(CHUNKED % b"/raise" + b"%x\r\n" % 1_900_000 + b"x" * 1_900_000 + b"\r\nrubbish\r\n")
            status, _, body = conn.response()
        assert (status, body) == (400, b"not understood")
