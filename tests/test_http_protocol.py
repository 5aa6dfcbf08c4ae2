"""HTTP/1.x on raw sockets: framing, keep-alive, pipelining, Expect, and refusal of malformed requests (RFC 9112)."""

import time

import pytest

from harness import SINK, finish_all, parse, start

HOST = b"Host: x\r\n"


@pytest.fixture(scope="module")
def chunky(tmp_path_factory):
    running = start(SINK, "--chunked-request", root=tmp_path_factory.mktemp("chunky"))
    yield running
    finish_all([running])


def get(path=b"/", *lines, version=b"HTTP/1.1"):
    return b"GET %s %s\r\n%s%s\r\n" % (path, version, HOST, b"".join(line + b"\r\n" for line in lines))


def test_keep_alive(sink):
    with sink.conn() as conn:
        for _ in range(20):
            conn.send(get())
            status, headers, body = conn.response()
            assert (status, body) == (200, b"Hello World!") and headers.get("connection", "").lower() != "close"


@pytest.mark.parametrize("token", [b"close", b"Close", b"foo, close"])
def test_connection_close(sink, token):
    status, fields, body = parse(sink.raw(get(b"/", b"Connection: " + token)))
    assert (status, body) == (200, b"Hello World!")
    assert dict(fields)["connection"].lower() == "close"


def test_pipelining_answers_in_order(sink):
    with sink.conn() as conn:
        conn.send(b"".join(get(b"/status?body=answer-%d&status=200%%20OK" % i) for i in range(50)))
        for i in range(50):
            assert conn.response()[2] == b"answer-%d" % i


def test_pipelining_with_bodies_and_a_slow_first(sink):
    with sink.conn() as conn:
        post = b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\n"
        conn.send(get(b"/sleep?seconds=0.2") + post + b"first" + get() + post + b"other")
        assert [conn.response()[2] for _ in range(4)] == [b"slept", b'["first"]', b"Hello World!", b'["other"]']


def test_request_in_single_bytes(sink):
    with sink.conn() as conn:
        for byte in b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc":
            conn.send(bytes([byte]))
            time.sleep(0.0005)
        assert conn.response()[2] == b'["abc"]'


def test_keep_alive_timeout(server):
    running = server(SINK, "--keep-alive-timeout", "1")
    with running.conn(timeout=15) as conn:
        begin = time.monotonic()
        conn.send(get())
        conn.response()
        assert conn.closed()
        assert time.monotonic() - begin > 0.5


def test_keep_alive_off(server):
    running = server(SINK, "--keep-alive-timeout", "0")
    status, fields, _ = parse(running.raw(get()))
    assert status == 200 and dict(fields)["connection"].lower() == "close"


def test_http_10_closes_by_default(sink):
    answer = sink.raw(b"GET /generator HTTP/1.0\r\n\r\n")
    status, fields, body = parse(answer)
    assert status == 200 and "transfer-encoding" not in dict(fields)
    assert body == b"00000 00001 00002 "


def test_http_10_keep_alive_needs_a_length(sink):
    with sink.conn() as conn:
        conn.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        _, headers, body = conn.response()
        assert headers["connection"].lower() == "keep-alive" and body == b"Hello World!"
        conn.send(b"GET /generator HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        _, headers, body = conn.response()
        assert headers.get("connection", "close").lower() == "close" and body == b"00000 00001 00002 "


@pytest.mark.parametrize("body", [
    b"5\r\nhello\r\n0\r\n\r\n",
    b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
    b"5;name=value\r\nhello\r\n0\r\n\r\n",
    b"005\r\nhello\r\n000\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX-Trailer: ignored\r\n\r\n",
])
def test_chunked_requests(chunky, body):
    with chunky.conn() as conn:
        conn.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + body + get())
        assert conn.response()[2] == b'["hello"]'
        assert conn.response()[2] == b"Hello World!"


def test_chunked_in_pieces(chunky):
    with chunky.conn() as conn:
        head = b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: Chunked\r\n\r\n"
        for byte in head + b"A\r\n0123456789\r\n0\r\n\r\n":
            conn.send(bytes([byte]))
        assert conn.response()[2] == b'["0123456789"]'


def test_expect_100_continue(sink):
    with sink.conn() as conn:
        conn.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert conn.response()[0] == 100
        conn.send(b"hello")
        assert conn.response()[2] == b'["hello"]'
        conn.send(get())
        assert conn.response()[2] == b"Hello World!"


def test_expect_with_the_body_already_sent(sink):
    with sink.conn() as conn:
        conn.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
        status, _, body = conn.response()
        if status == 100:
            status, _, body = conn.response()
        assert (status, body) == (200, b'["hello"]')


def test_expect_and_too_large_body(server):
    """The refusal comes instead of 100 Continue, so the client can spare the body."""
    running = server(SINK, "--limit-request-body", "10")
    with running.conn() as conn:
        conn.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5000\r\nExpect: 100-continue\r\n\r\n")
        assert conn.response()[0] == 413


def test_unknown_expectation(sink):
    head = b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\nExpect: miracles\r\nConnection: close\r\n\r\n"
    assert parse(sink.raw(head))[0] == 417


def test_absolute_form(sink):
    with sink.conn() as conn:
        conn.send(b"GET http://absolute.test:81/environ?a=b HTTP/1.1\r\nHost: other.test\r\n\r\n")
        status, _, body = conn.response()
    assert status == 200
    assert b'"HTTP_HOST": "absolute.test:81"' in body and b'"PATH_INFO": "/environ"' in body
    assert b'"REQUEST_URI": "http://absolute.test:81/environ?a=b"' in body


def test_methods_reach_the_application(sink):
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "REPORT"):
        answer = sink.request(method, "/environ")
        assert answer.status_code == 200 and answer.json()["environ"]["REQUEST_METHOD"] == method


def test_blank_lines_before_a_request(sink):
    with sink.conn() as conn:
        conn.send(b"\r\n" + get())
        assert conn.response()[2] == b"Hello World!"


MALFORMED = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 nonsense\r\n\r\n",
    "no version token": b"GET / FOO\r\nHost: x\r\n\r\n",
    "bad version": b"GET / HTTP/1.x\r\nHost: x\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "bad host": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost: x\r\nX-A : 1\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\nHost: x\r\n: value\r\n\r\n",
    "NUL in value": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n",
    "control in name": b"GET / HTTP/1.1\r\nHost: x\r\nX\x01A: b\r\n\r\n",
    "space in target": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "target without slash": b"GET nonsense HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad escape": b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    "above root": b"GET /../x HTTP/1.1\r\nHost: x\r\n\r\n",
    "length letters": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
    "length negative": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    "length plus": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
    "length hex": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\nhello",
    "length huge": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "lengths differ": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests(sink, name):
    """A 4xx of the server's own (never the application), and the connection closes with what follows unread."""
    answer = sink.raw(MALFORMED[name] + get(b"/status?body=smuggled&status=200%20OK"))
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ", b"HTTP/1.1 413 ")) or (
        name == "bad escape" and answer.startswith(b"HTTP/1.1 404 "))
    assert b"smuggled" not in answer
    assert sink.get("/").text == "Hello World!"


@pytest.mark.ours
@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/3.0"])
def test_unsupported_version(sink, version):
    assert parse(sink.raw(get(version=version)))[0] in (400, 505)


@pytest.mark.parametrize("framing", [
    b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
])
def test_length_and_chunked_together(chunky, framing):
    """The classic smuggling request: refused, or read as chunked and the connection closed (RFC 9112, 6.1)."""
    tail = b"0\r\n\r\n" + get(b"/status?body=smuggled&status=200%20OK")
    answer = chunky.raw(b"POST /echo HTTP/1.1\r\n" + HOST + framing + b"\r\n" + tail)
    assert b"smuggled" not in answer
    assert parse(answer)[0] in (200, 400)


@pytest.mark.parametrize("coding", [b"gzip", b"chunked, gzip", b"xchunked", b"chunked, chunked"])
def test_other_transfer_codings(chunky, coding):
    tail = b"0\r\n\r\n" + get(b"/status?body=smuggled&status=200%20OK")
    answer = chunky.raw(b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: " + coding + b"\r\n\r\n" + tail)
    assert parse(answer)[0] in (400, 501) and b"smuggled" not in answer


@pytest.mark.parametrize("body", [b"-5\r\nhello\r\n0\r\n\r\n", b"5hello\r\n0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n",
                                  b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n", b"\r\nhello\r\n0\r\n\r\n"])
def test_bad_chunks(chunky, body):
    """Never answered as a good request, and the bytes behind are not taken for another one."""
    tail = get(b"/status?body=smuggled&status=200%20OK")
    answer = chunky.raw(b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + body + tail)
    assert b"smuggled" not in answer and b'["hello' not in answer
    assert not answer or parse(answer)[0] in (400, 413, 500)


def test_request_line_too_long(sink):
    assert parse(sink.raw(get(b"/" + b"a" * 9000)))[0] == 414


def test_header_too_long(sink):
    answer = sink.raw(get(b"/", b"X-Long: " + b"a" * 9000))
    assert parse(answer)[0] in (400, 431)
    assert sink.raw(get(b"/", b"X-Long: " + b"a" * 8000, b"Connection: close")).endswith(b"Hello World!")


def test_too_many_headers(sink):
    answer = sink.raw(get(b"/", *[b"X-%d: 1" % i for i in range(110)]))
    assert parse(answer)[0] in (400, 431)
    assert sink.raw(get(b"/", *[b"X-%d: 1" % i for i in range(90)], b"Connection: close")).endswith(b"Hello World!")


@pytest.mark.parametrize("path", [b"/a%2fb", b"/environ/%2F"])
def test_encoded_slash_is_not_found(sink, path):
    assert parse(sink.raw(get(path, b"Connection: close")))[0] == 404


def test_encoded_nul_is_refused(sink):
    assert parse(sink.raw(get(b"/environ/%00", b"Connection: close")))[0] in (400, 404)


def test_error_answers_are_complete(sink):
    """The server's own error has Date, a content type and the right length, and nothing of the request's markup."""
    status, fields, body = parse(sink.raw(b"GET /<script> HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n"))
    fields = dict(fields)
    assert status == 400 and fields["content-type"].startswith("text/html")
    assert "date" in fields and int(fields["content-length"]) == len(body) and b"<script>" not in body


def test_client_half_close_still_gets_its_answer(sink):
    assert sink.raw(get(b"/sleep?seconds=0.2", b"Connection: close"), half_close=True).endswith(b"slept")


def test_many_connections(sink):
    conns = [sink.conn() for _ in range(200)]
    try:
        for conn in conns:
            conn.send(get())
        assert all(conn.response()[2] == b"Hello World!" for conn in conns)
    finally:
        for conn in conns:
            conn.sock.close()


@pytest.mark.parametrize(("target", "length"), [
    (b"/", 100_000), (b"/", 3_000_000), (b"/length", 3_000_000), (b"/%2e%2e%2fx", 100_000), (b"/nowhere", 3_000_000)])
@pytest.mark.parametrize("sent", [0, 10, 70_000])
def test_what_a_response_says_about_the_connection_is_true(chunky, target, length, sent):
    """A body may arrive whole, late or never be read; "Connection: close" is there exactly when the server closes."""
    head = b"POST " + target + b" HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % length
    with chunky.conn(timeout=10) as conn:
        conn.send(head + b"x" * sent)
        time.sleep(0.05)
        conn.send(b"x" * (length - sent))
        _, headers, _ = conn.response()
        if headers.get("connection", "").lower() == "close":
            assert conn.closed()
        else:
            conn.send(get())
            assert conn.response()[2] == b"Hello World!"
