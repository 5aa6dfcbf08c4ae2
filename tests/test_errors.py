"""Application errors: what the client gets, what the log says, and that the process lives on."""

import pytest

from harness import SINK, parse

CLOSE = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def survives(request):
    """Every test of this module ends with the worker it began with, still serving."""
    if "sink" not in request.fixturenames:
        yield
        return
    sink = request.getfixturevalue("sink")
    sink.events()
    before = sink.worker()
    yield
    assert sink.worker() == before


@pytest.mark.parametrize("at", ["call-before-start", "call", "iter", "first"])
@pytest.mark.parametrize("kind", ["Oops", "SystemExit", "KeyboardInterrupt"])
def test_error_before_output_is_a_500(sink, at, kind):
    mark = f"mark-{at}-{kind}"
    answer = sink.get("/raise", params={"at": at, "kind": kind, "mark": mark})
    assert answer.status_code == 500
    assert "x-application" not in answer.headers
    assert mark not in answer.text and "Traceback" not in answer.text
    if kind == "Oops":
        sink.wait_log(rf"Oops: {mark}")
    else:
        sink.wait_log(rf"{kind}")
    assert sink.events() == ([] if at.startswith("call") else ["close raise"])


@pytest.mark.ours
def test_traceback_is_logged_with_the_script(sink):
    sink.get("/raise?at=call&mark=with-traceback")
    sink.wait_log(r"Traceback \(most recent call last\)")
    sink.wait_log(r"File \".*failure\.py\", line \d+, in fail")
    sink.wait_log(r"Oops: with-traceback")


@pytest.mark.ours
def test_error_after_output_is_visible_to_the_client(sink):
    """Without a length the final chunk is missing and the connection ends."""
    answer = sink.raw(b"GET /raise?at=middle&mark=cut HTTP/1.1\r\nHost: x\r\n\r\n")
    status, fields, body = parse(answer)
    assert status == 200 and dict(fields)["x-application"] == "yes"
    assert b"begun" in body and not body.endswith(b"0\r\n\r\n")
    sink.wait_log("Oops: cut")
    assert sink.events() == ["close raise"]


def test_error_after_output_with_length_closes(sink):
    status, _, body = parse(sink.raw(b"GET /raise?at=middle&length=100 HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert (status, body) == (200, b"begun")


def test_error_in_close_is_logged(sink):
    answer = sink.get("/raise?at=close&mark=in-close")
    assert (answer.status_code, answer.text) == (200, "whole")
    sink.wait_log("Oops: in-close")
    assert sink.events() == ["close raise"]


@pytest.mark.parametrize("kind", ["none", "int", "str", "bytes", "list-str", "list-none", "list-int", "bytearray",
                                  "memoryview"])
def test_wrong_return_values_are_a_500(sink, kind):
    answer = sink.get("/return", params={"kind": kind})
    assert answer.status_code == 500 and "x-application" not in answer.headers
    sink.wait_log("TypeError")


def test_wrong_block_in_a_list(sink):
    """A list is looked through before anything is sent: the client gets a clean 500 (mod_wsgi cuts a 200)."""
    status, _, body = parse(sink.raw(b"GET /return?kind=late-str" + CLOSE))
    assert status == 500 and b"begun" not in body


def test_write_takes_bytes_only(sink):
    assert sink.get("/write-wrong").text == ",".join(["TypeError"] * 5)


@pytest.mark.parametrize("path", ["/no-start", "/no-start?body=1"])
def test_start_response_never_called(sink, path):
    assert sink.get(path).status_code == 500
    sink.wait_log("RuntimeError")


def test_request_timeout_exception_is_a_504(sink):
    answer = sink.get("/timeout-exception")
    assert (answer.status_code, answer.content) == (504, b"")


def test_log_streams(sink):
    answer = sink.json("/log?mark=streams")
    assert answer == {"name": "<wsgi.errors>", "encoding": "utf-8", "errors": "replace",
                      "type": "TextIOWrapper", "buffer": "Log"}
    for text in ("errors-write", "errors-lines", "errors-tail", "print-stderr", "print-stdout"):
        sink.wait_log(rf"\[wsgi:error\].*{text} streams$")
    sink.wait_log(r"errors-part streams joined$")
    sink.wait_log(r"errors-unicode streams (\u20ac|\\xe2\\x82\\xac)$")


def test_client_that_leaves_does_not_log_a_traceback(server):
    """A client that goes away in mid-response: close() runs, and no error is reported."""
    running = server(SINK)
    running.events()
    with running.conn() as conn:
        conn.send(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        conn.take(200_000)
    from harness import wait_for

    wait_for(lambda: "close endless" in running.events(), 10, "close() of the endless response")
    assert "Traceback" not in running.log()


@pytest.mark.parametrize("source", [
    "import there_is_no_such_module_here\n",
    "def application(:\n",
    "raise RuntimeError('while loading')\n",
    "raise SystemExit(3)\n",
    "something_else = 1\n",
])
def test_script_that_cannot_load(server, script, source):
    """Every request gets 500 until the script is right; the server itself stays."""
    path = script(source)
    running = server(path)
    for _ in range(2):
        assert running.get("/").status_code == 500
    running.wait_log(r"Error|SystemExit|application")
    path.write_text("def application(environ, start_response):\n"
                    "    start_response('200 OK', [('Content-Length', '5')])\n    return [b'fixed']\n")
    assert running.get("/").text == "fixed"


def test_missing_script_is_a_500(server, tmp_path):
    running = server(tmp_path / "missing.wsgi")
    assert running.get("/").status_code == 500
    assert "missing.wsgi" in running.log()


@pytest.mark.ours
def test_script_with_a_nul_byte(server, tmp_path):
    """Python's compiler, as an embedding program calls it, would take what stands before it for the whole."""
    file = tmp_path / "nul.wsgi"
    file.write_bytes(b"def application(e, s):\n    s('200 OK', [])\n    return [b'yes']\n\0\nraise RuntimeError\n")
    running = server(file)
    assert running.get("/").status_code == 500
    running.wait_log("WSGI010[56]: cannot read or compile '.*nul.wsgi'")
    running.wait_log("SyntaxError: source code string cannot contain null bytes")
