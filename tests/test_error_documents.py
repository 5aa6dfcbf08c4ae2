"""Error documents: of files, of applications, instead of what an application answered (WSGIErrorOverride)."""

import pytest

from harness import finish_all, parse, start

pytestmark = pytest.mark.ours

APP = '''
import json

CLOSED = []


class Endless:
    def __iter__(self):
        for _ in range(3):
            yield b"x" * 1000

    def close(self):
        CLOSED.append(1)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/page"):
        body = json.dumps({"path": path, "method": environ["REQUEST_METHOD"], "length": environ.get("CONTENT_LENGTH"),
                           "type": environ.get("CONTENT_TYPE"), "input": environ["wsgi.input"].read().decode(),
                           "query": environ["QUERY_STRING"], "te": environ.get("HTTP_TRANSFER_ENCODING"),
                           **{k: v for k, v in environ.items() if k.startswith("REDIRECT_")}}).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("X-Page", "yes")])
        return [body]
    if path == "/broken-page":
        raise RuntimeError("page")
    if path == "/raise":
        raise RuntimeError("boom")
    if path == "/closed":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(len(CLOSED)).encode()]
    status = environ["QUERY_STRING"].replace("%20", " ")
    start_response(status, [("Content-Type", "text/plain"), ("X-Application", "yes"),
                            ("WWW-Authenticate", 'Basic realm="a"')])
    return Endless()
'''

CONFIG = """
Alias /files "@ROOT@/files"
<Directory "@ROOT@/files">
    Require all granted
</Directory>
<Location /files/secret>
    Require all denied
</Location>
ErrorDocument 404 /page/missing?q=1
ErrorDocument 500 /page/failed
ErrorDocument 403 /files/no.html
ErrorDocument 409 "a conflict"
ErrorDocument 410 /broken-page
ErrorDocument 411 /page/length
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    root = tmp_path_factory.mktemp("documents")
    (root / "files").mkdir()
    (root / "files" / "no.html").write_text("<p>no entry</p>")
    script = root / "app.wsgi"
    script.write_text(APP)
    return root, script


@pytest.fixture(scope="module")
def site(app):
    running = start(app[1], root=app[0] / "plain", config=CONFIG.replace("@ROOT@", str(app[0])))
    yield running
    finish_all([running])


@pytest.fixture(scope="module")
def override(app):
    running = start(app[1], "--error-override", root=app[0] / "override", config=CONFIG.replace("@ROOT@", str(app[0])))
    yield running
    finish_all([running])


def once(fields):
    """The fields as a dict; none may be there twice."""
    names = [name for name, _ in fields]
    assert len(names) == len(set(names)), fields
    return dict(fields)


def test_page_of_an_application_keeps_the_status(site):
    answer = site.get("/files/none?a=b")
    assert answer.status_code == 404 and answer.reason_phrase == "Not Found" and answer.headers["x-page"] == "yes"
    seen = answer.json()
    assert (seen["path"], seen["query"], seen["method"]) == ("/page/missing", "q=1", "GET")
    assert (seen["REDIRECT_URL"], seen["REDIRECT_STATUS"], seen["REDIRECT_QUERY_STRING"]) == (
        "/files/none",
        "404",
        "a=b",
    )


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [5, 200_000])
def test_the_body_of_the_failed_request_is_not_the_pages(site, chunked, size):
    """wsgi.input is empty, the fields about the body are gone, and the next request on the connection is understood."""
    body = b"b" * size
    head = b"POST /files/none HTTP/1.1\r\nHost: x\r\nContent-Type: text/x\r\n"
    framed = (b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size + body + b"\r\n0\r\n\r\n" if chunked
              else b"Content-Length: %d\r\n\r\n" % size + body)
    with site.conn() as conn:
        conn.send(head + framed + b"GET /page/next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        import json

        status, _, data = conn.response()
        seen = json.loads(data)
        assert status == 404 and seen["input"] == "" and seen["REDIRECT_REQUEST_METHOD"] == "POST"
        assert (seen["length"], seen["type"], seen["te"]) == (None, None, None)
        assert json.loads(conn.response()[2])["path"] == "/page/next"


def test_a_large_body_that_nobody_read_ends_the_connection(site):
    size = 3_000_000
    data = site.raw(b"POST /files/none HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"b" * size)
    status, fields, body = parse(data)
    assert status == 404 and once(fields)["connection"] == "close" and b'"input": ""' in body


def test_failed_application_gets_the_page_of_the_application(site):
    answer = site.post("/raise", content=b"body")
    assert answer.status_code == 500 and answer.json()["path"] == "/page/failed"
    assert "boom" in site.log()


def test_page_that_fails_itself(site):
    """The built-in page of the first status, once, and the worker goes on."""
    answer = site.get("/closed")
    override_status = site.raw(b"GET /files/secret HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.status_code == 200 and override_status.startswith(b"HTTP/1.1 403 ")
    assert override_status.endswith(b"<p>no entry</p>")


def test_fields_come_once(site):
    for path in ("/files/none", "/files/secret", "/files", "/raise"):
        status, fields, _ = parse(site.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()))
        assert status in (301, 403, 404, 500)
        once(fields)


def test_without_override_the_applications_errors_are_its_own(site):
    answer = site.get("/?404%20Mine")
    assert (answer.status_code, answer.reason_phrase, answer.headers["x-application"], len(answer.content)) == (
        404,
        "Mine",
        "yes",
        3000,
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("404 Mine", b'"path": "/page/missing"'),
        ("403 Mine", b"<p>no entry</p>"),
        ("409 Mine", b"a conflict"),
        ("503 Mine", b"503"),
    ],
)
def test_override(override, status, expected):
    answer = override.get("/?" + status)
    assert answer.status_code == int(status[:3]) and answer.reason_phrase != "Mine" and expected in answer.content
    assert "x-application" not in answer.headers and answer.headers.get_list("www-authenticate") == ['Basic realm="a"']


def test_override_leaves_success_alone(override):
    answer = override.get("/?299 Mine")
    assert (answer.status_code, answer.reason_phrase, len(answer.content)) == (299, "Mine", 3000)


def test_override_closes_the_response_and_keeps_the_connection(override):
    before = int(override.get("/closed").text)
    with override.conn() as conn:
        conn.send(b"GET /?409%20Mine HTTP/1.1\r\nHost: x\r\n\r\nHEAD /?409%20Mine HTTP/1.1\r\nHost: x\r\n\r\n"
                  b"GET /closed HTTP/1.1\r\nHost: x\r\n\r\n")
        assert conn.response()[::2] == (409, b"a conflict")
        status, headers, _ = conn.response(head_only=True)
        assert (status, headers["content-length"]) == (409, str(len(b"a conflict")))
        assert conn.response()[2] == str(before + 2).encode()


def test_override_with_a_page_that_fails(override):
    answer = override.get("/?410 Gone")
    assert answer.status_code == 410 and b"410 Gone" in answer.content
    assert override.get("/closed").status_code == 200


def test_chunked_body_that_is_not_wanted(app, server):
    running = server(
        app[1], root=app[0] / "length", config=CONFIG.replace("@ROOT@", str(app[0])) + "WSGIChunkedRequest Off\n"
    )
    data = running.raw(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert data.startswith(b"HTTP/1.1 411 ") and b'"path": "/page/length"' in data and b'"input": ""' in data


def test_other_transfer_codings(site):
    assert site.raw(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n").startswith(
        b"HTTP/1.1 501 "
    )


UNREADABLE = [b"RUBBISH\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
              b"GET / HTTP/1.1\r\nHost: x\r\nno field\r\n\r\n"]


@pytest.mark.parametrize(("document", "said"), [
    ('"a text"', b"a text"), ("/files/no.html", b"<p>no entry</p>"), ("/files/large.html", b"<h1>Bad Request</h1>"),
    ("/page/asked", b"<h1>Bad Request</h1>"), ("/files/secret/x", b"<h1>Bad Request</h1>"),
    ("http://elsewhere.example/x", b"elsewhere"),
])
def test_of_requests_that_cannot_be_read(app, server, document, said):
    """The default host's; an application is not called for them, and a large file not sent."""
    (app[0] / "files" / "large.html").write_bytes(b"x" * (1 << 21))
    config = CONFIG.replace("@ROOT@", str(app[0])) + f"ErrorDocument 400 {document}\n"
    running = server(app[1], root=app[0] / "unreadable" / document.replace("/", "-"), config=config)
    for request in UNREADABLE:
        head, _, body = running.raw(request).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 302 " if said == b"elsewhere" else b"HTTP/1.1 400 "), (request, head)
        if said == b"elsewhere":
            assert b"Location: http://elsewhere.example/x" in head
        elif said:
            assert said in body, request
        else:  # with a name that is missing, but a request that was read, the page may be an application
            assert (b'"path": "/page/asked"' in body) == (b"Host:\r" in request), request
        assert b"Connection: close" in head
