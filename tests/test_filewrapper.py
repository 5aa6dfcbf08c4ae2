"""wsgi.file_wrapper: whole files, parts of files, and things that are no files."""

import pytest

from harness import parse

PATTERN = bytes(range(256)) * 8192


@pytest.mark.parametrize("kind", ["file", "raw", "bytesio", "tracked"])
@pytest.mark.parametrize("size", [0, 1, 8192, 100_000, 2_000_000])
def test_whole(sink, kind, size):
    answer = sink.get("/file", params={"kind": kind, "size": size})
    assert answer.content == PATTERN[:size]


def test_length_is_known_for_files(sink):
    assert sink.get("/file?size=70000").headers["content-length"] == "70000"
    assert sink.get("/file?size=70000&offset=69000").headers["content-length"] == "1000"


@pytest.mark.parametrize("kind", ["file", "bytesio"])
def test_starts_at_the_current_offset(sink, kind):
    answer = sink.get("/file", params={"kind": kind, "size": 50_000, "offset": 12_345})
    assert answer.content == PATTERN[12_345:50_000]


@pytest.mark.parametrize("kind", ["file", "bytesio"])
def test_content_length_selects_a_part(sink, kind):
    answer = sink.get("/file", params={"kind": kind, "size": 50_000, "offset": 100, "length": 30_000})
    assert answer.headers["content-length"] == "30000"
    assert answer.content == PATTERN[100:30_100]


@pytest.mark.ours
def test_content_length_beyond_the_file_is_visible(sink):
    """The file is shorter than promised: what there is, then the connection closes."""
    status, fields, body = parse(sink.raw(b"GET /file?size=1000&length=5000 HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert status == 200 and (dict(fields)["content-length"] == "5000") and body == PATTERN[:1000]


def test_after_write(sink):
    assert sink.get("/file?kind=written&size=3000").content == b"prefix|" + PATTERN[:3000]


def test_head(sink):
    with sink.conn() as conn:
        conn.send(b"HEAD /file?size=5000 HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        status, headers, _ = conn.response(head_only=True)
        assert status == 200 and headers.get("content-length") == "5000"
        assert conn.response()[2] == b"Hello World!"


def test_keep_alive_after_a_file(sink):
    with sink.conn() as conn:
        for _ in range(3):
            conn.send(b"GET /file?size=300000 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert conn.response()[2] == PATTERN[:300_000]


@pytest.mark.parametrize("path", ["/file?kind=tracked&size=10", "/file-close"])
def test_file_is_closed(sink, path):
    sink.events()
    assert sink.get(path).status_code == 200
    assert "file closed" in sink.events()


def test_descriptors_do_not_pile_up(sink):
    before = sink.json("/process")["fds"]
    for _ in range(30):
        sink.get("/file?size=100")
    assert sink.json("/process")["fds"] <= before + 2


def test_surface(sink):
    assert sink.json("/file-fails") == {
        "blocks": ["abcd", "ef"], "blksize": 4, "after_close": "ValueError", "negative": "ValueError"}


@pytest.mark.ours
@pytest.mark.parametrize("method", ["fileno", "tell"])
@pytest.mark.parametrize(("kind", "status"), [("mod_wsgi.RequestTimeout", 504), ("SystemExit", 500), ("OSError", 200)])
def test_exceptions_of_the_file_object(server, tmp_path, method, kind, status):
    """An error means that it is no file; what is no error must not get lost: a time-out could be raised there."""
    file = tmp_path / "wrapper.wsgi"
    file.write_text(
        "import mod_wsgi\n"
        "class File:\n"
        "    def __init__(self): self.file = open(__file__, 'rb')\n"
        "    def fileno(self): return self.file.fileno()\n"
        "    def tell(self): return self.file.tell()\n"
        "    def read(self, n): return self.file.read(n)\n"
        f"    def {method}(self): raise {kind}()\n"
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return environ['wsgi.file_wrapper'](File())\n"
    )
    answer = server(file).get("/")
    assert answer.status_code == status
    assert status != 200 or answer.content == file.read_bytes()
