"""Responses: iterables, write(), start_response, lengths, HEAD and statuses without a body."""

import time

import pytest

from harness import SINK, finish_all, parse, start

CLOSE = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def validated(tmp_path_factory):
    from harness import APPS

    running = start(APPS / "validated.wsgi", "--chunked-request", root=tmp_path_factory.mktemp("validated"))
    yield running
    finish_all([running])


def test_wsgiref_validate_has_no_complaint(validated):
    """Both sides of the interface as wsgiref.validate sees them, over the well-behaved paths."""
    assert validated.get("/").text == "Hello World!"
    assert validated.head("/").status_code == 200 if hasattr(validated, "head") else True
    assert validated.get("/write").text == "first second third"
    assert validated.get("/generator?count=3").text == "00000 00001 00002 "
    assert validated.get("/iterable?kind=tuple").text == "onetwo"
    assert validated.get("/big?size=300000&mode=blocks").content[:4] == b"\x00\x01\x02\x03"
    assert validated.post("/echo?how=read-n&n=4", content=b"abcdefg").json() == ["abcd", "efg"]
    assert validated.post("/echo?how=readlines", content=b"a\nb").json() == ["a\n", "b"]
    assert validated.post("/echo?how=iterate", content=iter([b"a\n", b"b"])).json() == ["a\n", "b"]
    assert validated.get("/file?size=70000").content == (bytes(range(256)) * 300)[:70000]
    assert validated.get("/status?status=204%20No%20Content&bare=1").status_code == 204
    assert validated.get("/environ/caf%C3%A9%20x?a=b").status_code == 200
    log = validated.log()
    assert "AssertionError" not in log and "without being closed" not in log and "WSGIWarning" not in log, log


@pytest.mark.parametrize(("kind", "expected"), [
    ("list", b"onetwo"), ("tuple", b"onetwo"), ("generator", b"onetwo"), ("dict", b"onetwo"), ("getitem", b"onetwo"),
    ("bytes-subclass", b"onetwo"), ("empty-list", b""), ("empty-tuple", b""), ("empty-blocks", b""),
])
def test_iterables(sink, kind, expected):
    answer = sink.get("/iterable", params={"kind": kind})
    assert (answer.status_code, answer.content) == (200, expected)


def test_write_callable_comes_before_the_iterable(sink):
    assert sink.get("/write").text == "first second third"


def test_start_response_inside_a_generator(sink):
    answer = sink.get("/lazy")
    assert (answer.status_code, answer.text) == (203, "later")


def test_headers_as_given(sink):
    status, fields, body = parse(sink.raw(b"GET /headers" + CLOSE))
    assert status == 200 and body == b"ok"
    values = [value for name, value in fields if name == "set-cookie"]
    assert values == ["a=1", "b=2; Path=/"]
    fields = dict(fields)
    assert fields["content-type"] == "text/plain; charset=utf-8"
    assert fields["x-one"] == "1" and fields["x-lower"] == "kept" and fields["x-empty"] == ""
    assert fields["x-latin"] == "caf\xe9"
    assert fields["content-length"] == "2"


def test_date_and_server_headers_once(sink):
    _, fields, _ = parse(sink.raw(b"GET /" + CLOSE))
    names = [name for name, _ in fields]
    assert names.count("date") == 1 and names.count("server") == 1
    parsed = time.strptime(dict(fields)["date"], "%a, %d %b %Y %H:%M:%S GMT")
    import calendar

    assert abs(calendar.timegm(parsed) - time.time()) < 3


def test_www_authenticate_lines_stay_apart(sink):
    status, fields, _ = parse(sink.raw(b"GET /www-authenticate" + CLOSE))
    assert status == 401
    assert [value for name, value in fields if name == "www-authenticate"] == ['Basic realm="a"', 'Digest realm="b"']


@pytest.mark.parametrize("reason", ["200 Fine", "299 Odd But Fine", "404 Nothing Here", "418 I'm a teapot", "599 Last"])
def test_status_line_is_passed_on(sink, reason):
    answer = sink.raw(b"GET /status?body=x&status=" + reason.replace(" ", "%20").encode() + CLOSE)
    assert answer.startswith(b"HTTP/1.1 " + reason.encode() + b"\r\n")
    assert answer.endswith(b"\r\n\r\nx")


BAD = {
    "TypeError": ["status-bytes", "status-int", "status-none", "headers-tuple", "headers-dict", "headers-none",
                  "pair-list", "pair-string", "name-bytes", "value-bytes", "value-int", "value-none",
                  "no-arguments", "one-argument"],
    "ValueError": ["status-short", "status-long", "status-no-space", "status-letters", "status-newline",
                   "pair-three", "name-empty", "name-space", "name-newline", "value-newline", "value-return"],
    "UnicodeEncodeError": ["status-unicode", "name-unicode", "value-unicode"],
    "RuntimeError": ["exc-info-wrong"],
}


@pytest.mark.parametrize(("case", "error"), [(case, error) for error, cases in BAD.items() for case in cases])
def test_start_response_refuses(sink, case, error):
    """A refused call raises the documented exception and changes nothing: the next call is the first."""
    answer = sink.get("/bad-start", params={"case": case})
    assert (answer.status_code, answer.text) == (200, error)


@pytest.mark.parametrize(("case", "status"), [
    ("list-subclass", 200), ("bare-status", 200), ("unknown-code", 299), ("empty-reason", 200), ("exc-info-none", 200)])
def test_start_response_accepts(sink, case, status):
    answer = sink.get("/good-start", params={"case": case})
    assert (answer.status_code, answer.text) == (status, "fine")


def test_second_call_before_output_replaces(sink):
    sink.events()
    answer = sink.get("/twice")
    assert answer.status_code == 202 and "x-first" not in answer.headers and answer.headers["x-second"] == "1"
    assert sink.events() == ["second accepted"]


def test_second_call_with_exc_info_before_output_replaces(sink):
    sink.events()
    answer = sink.get("/twice?exc_info=1")
    assert answer.status_code == 500 and answer.text == "|rest"
    assert "x-first" not in answer.headers and answer.headers["x-second"] == "1"
    assert sink.events() == ["second accepted"]


def test_second_call_after_output_is_refused(sink):
    sink.events()
    answer = sink.get("/twice?after=1")
    assert (answer.status_code, answer.text) == (200, "begun|rest")
    assert sink.events() == ["second RuntimeError"]


def test_exc_info_after_output_is_raised_again(sink):
    sink.events()
    answer = sink.get("/twice?after=1&exc_info=1")
    assert (answer.status_code, answer.text) == (200, "begun|rest")
    assert sink.events() == ["second KeyError"]


@pytest.mark.parametrize("odd", ["none", "type", "value", "traceback"])
def test_exc_info_that_is_none_is_a_type_error(sink, odd):
    """Raising what is no exception would break the interpreter."""
    sink.events()
    answer = sink.get(f"/twice?after=1&exc_info=1&odd={odd}")
    assert (answer.status_code, answer.text) == (200, "begun|rest")
    assert sink.events() == ["second TypeError"]


@pytest.mark.ours
def test_informational_status_ends_the_connection(sink):
    """The client waits for the final response after 1xx: what it sends next must not be taken for it."""
    answer = sink.raw(b"GET /status?status=103%20Early&bare=1 HTTP/1.1\r\nHost: x\r\n\r\n"
                      b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 103 Early\r\n") and answer.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close\r\n" in answer


def test_close_is_called_once_and_last(sink):
    sink.events()
    assert sink.get("/close-order").text == "ab"
    assert sink.events() == ["exhausted", "finally", "close"]


def test_close_after_generator(sink):
    sink.events()
    assert sink.get("/generator?count=2").text == "00000 00001 "
    assert sink.events() == ["close generator"]


def test_surplus_over_content_length_is_dropped(sink):
    with sink.conn() as conn:
        conn.send(b"GET /content-length?declared=5&blocks=abc,defgh,ij HTTP/1.1\r\nHost: x\r\n\r\n")
        assert conn.response()[2] == b"abcde"
        conn.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert conn.response()[2] == b"Hello World!"


def test_shortfall_of_content_length_closes_the_connection(sink):
    """The client must notice: the connection ends before the declared length is reached."""
    answer = sink.raw(b"GET /content-length?declared=50&blocks=abc HTTP/1.1\r\nHost: x\r\n\r\n")
    status, fields, body = parse(answer)
    assert status == 200 and dict(fields)["content-length"] == "50" and body == b"abc"


@pytest.mark.parametrize("declared", ["abc", "-1", "5,6"])
def test_malformed_content_length_is_a_500(sink, declared):
    answer = sink.get("/content-length", params={"declared": declared, "blocks": "abc"})
    assert answer.status_code == 500
    assert sink.get("/").text == "Hello World!"


def test_head_has_the_headers_and_no_body(sink):
    with sink.conn() as conn:
        conn.send(b"HEAD /big?size=1000 HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        status, headers, _ = conn.response(head_only=True)
        assert status == 200 and headers["content-length"] == "1000"
        assert conn.response()[2] == b"Hello World!"


def test_head_of_a_stream(sink):
    with sink.conn() as conn:
        conn.send(b"HEAD /generator HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert conn.response(head_only=True)[0] == 200
        assert conn.response()[2] == b"Hello World!"


@pytest.mark.parametrize("status", ["204%20No%20Content", "304%20Not%20Modified"])
def test_statuses_without_a_body(sink, status):
    """A body that the application adds to a 204 or 304 must not reach the connection."""
    with sink.conn() as conn:
        conn.send(b"GET /status?no-length=1&body=forbidden&status=%s HTTP/1.1\r\nHost: x\r\n\r\n" % status.encode())
        got, headers, _ = conn.response()
        assert got == int(status[:3]) and "transfer-encoding" not in headers
        conn.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert conn.response()[2] == b"Hello World!"


@pytest.mark.parametrize("mode", ["one", "blocks", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 4095, 65536, 65537, 1_000_000, 20_000_000])
def test_sizes(sink, mode, size):
    answer = sink.get("/big", params={"mode": mode, "size": size})
    assert answer.content == (bytes(range(256)) * (size // 256 + 1))[:size]
    if mode != "chunked":
        assert answer.headers["content-length"] == str(size)


def test_unknown_length_is_chunked(sink):
    with sink.conn() as conn:
        conn.send(b"GET /generator?count=3 HTTP/1.1\r\nHost: x\r\n\r\n")
        _, headers, body = conn.response()
        assert headers.get("transfer-encoding") == "chunked" and "content-length" not in headers
        assert body == b"00000 00001 00002 "


def test_blocks_reach_the_client_while_the_application_sleeps(sink):
    """A slow generator is flushed block by block, not at its end, which comes after another request only."""
    with sink.conn(timeout=15) as conn:
        conn.send(b"GET /generator?count=2&gate=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        conn.until(b"00000 ")
        assert sink.get("/open").status_code == 200
        conn.until(b"00001 ")


def test_many_small_blocks(sink):
    answer = sink.get("/generator?count=5000&size=10")
    assert answer.text == "".join(f"{i:05d} ....." [:10] for i in range(5000))


def test_fresh_server_serves_first_request(server):
    """The first request right after the port opens gets its answer."""
    assert server(SINK).get("/").text == "Hello World!"


def test_requests_run_in_parallel(sink):
    """/wait blocks until /open is served: two requests of one process run at the same time."""
    sink.events()
    with sink.conn(timeout=15) as conn:
        conn.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sink.get("/").text == "Hello World!"
        from harness import wait_for

        wait_for(lambda: "waiting" in sink.events(), 5)
        assert sink.get("/open").text == "ok"
        assert conn.response()[2] == b"opened"


def test_thread_locals_persist(server):
    running = server(SINK, "--threads", "1")
    counts = [running.json("/thread-local")["count"] for _ in range(5)]
    assert counts == [1, 2, 3, 4, 5]
