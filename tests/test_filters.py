"""Output filters: compression of what applications, files and the server itself answer, and pacing."""

import gzip
import os
import time
import zlib

import brotli
import pytest
import zstandard

from harness import SINK, finish_all, parse, start, wait_for

pytestmark = pytest.mark.ours

TEXT = "".join(f"line {n} of a text that compresses well\n" for n in range(4000)).encode()
GZIP = {"Accept-Encoding": "gzip"}
DECODE = {
    "gzip": lambda data: gzip.decompress(data),
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}

CONFIG = """
Alias /docs "@ROOT@/docs"
<Directory "@ROOT@/docs">
    Require all granted
</Directory>
<Location />
    AddOutputFilterByType DEFLATE text/plain text/html
    AddOutputFilter DEFLATE bin
</Location>
<Location /all>
    SetOutputFilter ZSTD_COMPRESS;BROTLI_COMPRESS;DEFLATE
</Location>
<Location /none>
    SetEnv no-gzip 1
</Location>
<Location /html-only>
    SetEnv gzip-only-text/html 1
</Location>
<Location /file>
    SetOutputFilter DEFLATE
</Location>
<Location /slow>
    SetOutputFilter RATE_LIMIT
    SetEnv rate-limit 20
</Location>
ErrorDocument 418 /docs/teapot.html
DeflateFilterNote Input in
DeflateFilterNote Output out
DeflateFilterNote Ratio ratio
LogFormat "%>s %b %{in}n %{out}n %{ratio}n %U" notes
CustomLog "@ROOT@/notes" notes
"""

APP = """
import sys, time
sys.path.insert(0, {folder!r})
from kitchen_sink import application as sink

TEXT = {text!r}

def application(environ, start_response):
    path = environ["PATH_INFO"]
    for prefix in ("/all", "/none", "/html-only", "/slow", "/filtered"):
        if path.startswith(prefix):
            path = path[len(prefix):]
    environ["PATH_INFO"] = path
    head = [("Content-Type", "text/plain"), ("ETag", '"abc"')]
    if path == "/text":
        start_response("200 All right", head + [("Content-Length", str(len(TEXT)))])
        return [TEXT]
    if path == "/html":
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [TEXT]
    if path == "/pieces":
        start_response("200 OK", head)
        return (TEXT[i:i + 1000] for i in range(0, len(TEXT), 1000))
    if path == "/weak":
        headers = [("Content-Type", "text/plain"), ("ETag", 'W/"abc"'), ("Vary", "Cookie"), ("Content-MD5", "x")]
        start_response("200 OK", headers)
        return [TEXT]
    if path == "/encoded":
        start_response("200 OK", head + [("Content-Encoding", "x-own")])
        return [TEXT]
    if path == "/partial":
        start_response("206 Partial Content", head + [("Content-Range", "bytes 0-%d/%d" % (len(TEXT) - 1, len(TEXT)))])
        return [TEXT]
    if path == "/no-transform":
        start_response("200 OK", head + [("Cache-Control", "public, no-transform")])
        return [TEXT]
    if path == "/other":
        start_response("200 OK", [("Content-Type", "image/png")])
        return [TEXT]
    if path == "/small":
        start_response("200 OK", head)
        return [b"x" * 63]
    if path == "/not-modified":
        start_response("304 Not Modified", head)
        return []
    if path == "/teapot":
        start_response("418 Short and stout", [("Content-Type", "text/html")])
        return [TEXT]
    if path == "/method":
        body = environ["REQUEST_METHOD"].encode() + b" " * 100
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Method", environ["REQUEST_METHOD"])])
        return [body]
    if path == "/short":
        start_response("200 OK", head + [("Content-Length", "5000")])
        return iter([b"x" * 1000])
    if path == "/writes":
        send = start_response("200 OK", head)
        for i in range(50):
            send(TEXT[i * 100:i * 100 + 100])
        return []
    if path == "/download":
        start_response("200 OK", head)
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    return sink(environ, start_response)
"""


@pytest.fixture(scope="module")
def filtered(tmp_path_factory):
    root = tmp_path_factory.mktemp("filters")
    docs = root / "docs"
    docs.mkdir()
    for name in ("page.html", "data.bin", "pic.png"):
        (docs / name).write_bytes(TEXT)
        os.utime(docs / name, (1_700_000_000, 1_700_000_000))
    (docs / "teapot.html").write_text("<p>short and stout</p>" * 10)
    app = root / "app.wsgi"
    app.write_text(APP.format(folder=str(SINK.parent), text=TEXT))
    running = start(app, root=root, config=CONFIG)
    yield running
    finish_all([running])


def raw_body(running, path, accept, method="GET", version="1.1", extra="", host="x"):
    """(status, {name: value}, body without chunking) of one request, nothing decoded."""
    fields = f"Host: {host}\r\nAccept-Encoding: {accept}\r\n{extra}Connection: close\r\n"
    request = f"{method} {path} HTTP/{version}\r\n{fields}\r\n"
    status, fields, body = parse(running.raw(request.encode()))
    headers = dict(fields)
    assert len(headers) == len(fields), f"a field came twice: {fields}"
    if headers.get("transfer-encoding") == "chunked":
        whole, rest = b"", body
        while True:
            size, _, rest = rest.partition(b"\r\n")
            n = int(size, 16)
            if n == 0:
                assert rest == b"\r\n"
                break
            whole, rest = whole + rest[:n], rest[n:]
            assert rest[:2] == b"\r\n"
            rest = rest[2:]
        body = whole
    elif "content-length" in headers and method != "HEAD":
        assert int(headers["content-length"]) == len(body)
    return status, headers, body


@pytest.mark.parametrize("path", ["/text", "/pieces", "/writes", "/html", "/docs/page.html", "/docs/data.bin"])
def test_gzip(filtered, path):
    status, headers, body = raw_body(filtered, path, "gzip")
    assert (status, headers["content-encoding"], headers["vary"]) == (200, "gzip", "Accept-Encoding")
    expected = TEXT[:5000] if path == "/writes" else TEXT
    assert gzip.decompress(body) == expected and len(body) < len(expected) / 4


@pytest.mark.parametrize("path", ["/text", "/pieces", "/docs/page.html"])
def test_clients_that_accept_nothing_get_the_original(filtered, path):
    status, headers, body = raw_body(filtered, path, "")
    assert (status, body, headers["vary"]) == (200, TEXT, "Accept-Encoding") and "content-encoding" not in headers


def test_a_small_response_has_a_length_and_a_long_one_chunks(filtered):
    _, headers, _ = raw_body(filtered, "/text", "gzip")
    assert "content-length" in headers and "transfer-encoding" not in headers
    answer = filtered.get("/big?size=30000000&mode=chunked", headers=GZIP)
    assert answer.headers["transfer-encoding"] == "chunked" and len(answer.content) == 30000000


def test_the_applications_reason_stays(filtered):
    assert filtered.raw(
        b"GET /text HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    ).startswith(b"HTTP/1.1 200 All right\r\n")


@pytest.mark.parametrize(("accept", "expected"), [
    ("gzip, br, zstd", "zstd"), ("gzip, br", "br"), ("gzip", "gzip"), ("x-gzip", "gzip"), ("*", "zstd"),
    ("gzip;q=1.0, br;q=0.9, zstd;q=0.1", "gzip"), ("br;q=0, zstd;q=0, *", "gzip"), ("zstd;q=0.5, identity", None),
    ("*;q=0", None), ("gzip;q=nonsense", None), ("deflate", None)])
def test_choice_by_weight(filtered, accept, expected):
    _, headers, body = raw_body(filtered, "/all/text", accept)
    assert headers.get("content-encoding") == expected
    assert (DECODE[expected](body) if expected else body) == TEXT


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("path", ["/all/pieces", "/all/docs/page.html", "/all/download", "/all/file?size=300000"])
def test_every_coding_of_every_kind_of_response(filtered, coding, path):
    if "docs" in path:
        path = "/docs/page.html"
        coding = "gzip"
    _, headers, body = raw_body(filtered, path, coding)
    assert headers["content-encoding"] == coding
    data = DECODE[coding](body)
    assert data == TEXT if "pieces" in path or "docs" in path else len(data) > 1000


def test_file_wrapper_is_filtered(filtered):
    size = 3_000_000
    answer = filtered.get(f"/file?size={size}", headers=GZIP)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.content == (bytes(range(256)) * (size // 256 + 1))[:size]
    answer = filtered.get(f"/file?size={size}&length=1000&offset=100", headers=GZIP)
    assert answer.content == (bytes(range(256)) * 8)[100:1100]


@pytest.mark.parametrize("path", ["/encoded", "/partial", "/no-transform", "/other", "/none/text", "/html-only/text"])
def test_left_alone(filtered, path):
    _, headers, body = raw_body(filtered, path, "gzip")
    assert body == TEXT and headers.get("content-encoding") in (None, "x-own")


def test_small_bodies_are_left_alone(filtered):
    _, headers, body = raw_body(filtered, "/small", "gzip")
    assert body == b"x" * 63 and "content-encoding" not in headers and headers["content-length"] == "63"


def test_html_only(filtered):
    assert raw_body(filtered, "/html-only/html", "gzip")[1]["content-encoding"] == "gzip"


def test_etag_vary_and_digest(filtered):
    assert raw_body(filtered, "/text", "gzip")[1]["etag"] == '"abc-gzip"'
    assert raw_body(filtered, "/all/text", "br")[1]["etag"] == '"abc-br"'
    assert raw_body(filtered, "/text", "")[1]["etag"] == '"abc"'
    _, headers, _ = raw_body(filtered, "/weak", "gzip")
    assert (headers["etag"], headers["vary"]) == (
        'W/"abc-gzip"',
        "Cookie, Accept-Encoding",
    ) and "content-md5" not in headers


def test_partial_file_is_left_alone(filtered):
    status, headers, body = raw_body(filtered, "/docs/page.html", "gzip", extra="Range: bytes=5-14\r\n")
    assert (status, body) == (206, TEXT[5:15]) and "content-encoding" not in headers


def test_revalidation_of_a_compressed_file(filtered):
    tag = raw_body(filtered, "/docs/page.html", "gzip")[1]["etag"]
    assert tag.endswith('-gzip"')
    status, headers, _ = raw_body(filtered, "/docs/page.html", "gzip", extra=f"If-None-Match: {tag}\r\n")
    assert (status, headers["etag"], headers["vary"]) == (304, tag, "Accept-Encoding")
    plain = raw_body(filtered, "/docs/page.html", "")[1]["etag"]
    status, headers, _ = raw_body(filtered, "/docs/page.html", "gzip", extra=f"If-None-Match: {plain}\r\n")
    assert (status, headers["etag"]) == (304, plain)


def test_304_of_the_application(filtered):
    status, headers, body = raw_body(filtered, "/not-modified", "gzip")
    assert (status, body) == (304, b"") and "content-encoding" not in headers


@pytest.mark.parametrize("path", ["/text", "/pieces", "/docs/page.html"])
def test_head(filtered, path):
    """The fields of GET, no body, and the connection goes on."""
    with filtered.conn() as conn:
        conn.send(
            f"HEAD {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"
            "GET /small HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        )
        status, headers, _ = conn.response(head_only=True)
        assert (status, headers["content-encoding"], headers["vary"]) == (200, "gzip", "Accept-Encoding")
        assert "content-length" not in headers
        assert conn.response()[2] == b"x" * 63


def test_head_reaches_the_application_as_get_where_filters_are_active(filtered, server):
    assert raw_body(filtered, "/method", "", method="HEAD")[1]["x-method"] == "GET"
    plain = server(
        filtered.root / "app.wsgi", config="<Location /filtered>\n  AddOutputFilterByType DEFLATE x/y\n</Location>\n"
    )
    assert raw_body(plain, "/method", "", method="HEAD")[1]["x-method"] == "HEAD"


def test_fields_that_modules_set_for_the_request(server, filtered):
    """mod_rewrite's Vary joins the application's response, with and without filters."""
    app = filtered.root / "app.wsgi"
    config = f"""
<VirtualHost *:@PORT@>
    ServerName site.test
    WSGIScriptAlias / "{app}"
    RewriteEngine On
    RewriteCond %{{HTTP_USER_AGENT}} !^bot
    RewriteRule ^/agent(/.*) $1 [PT]
    <Location /filtered>
        SetOutputFilter DEFLATE
    </Location>
</VirtualHost>
"""
    running = server(app, config=config)

    def get(path):
        return raw_body(running, path, "gzip", host="site.test", extra="User-Agent: z\r\n")

    assert get("/agent/text")[1]["vary"] == "User-Agent"
    assert get("/agent/weak")[1]["vary"] == "Cookie, User-Agent"
    _, headers, body = get("/agent/filtered/text")
    assert headers["vary"] == "User-Agent, Accept-Encoding" and gzip.decompress(body) == TEXT


def test_pages_are_filtered_in_place_of_the_application(server, filtered):
    """An error document for a failed application goes through the filters as well."""
    running = server(filtered.root / "app.wsgi", config="SetOutputFilter DEFLATE\nErrorDocument 500 /pieces\n")
    status, headers, body = raw_body(running, "/raise?at=first", "gzip")
    assert (status, headers["content-encoding"]) == (500, "gzip") and gzip.decompress(body) == TEXT


@pytest.mark.parametrize("path", ["/text", "/pieces", "/docs/page.html"])
def test_http_1_0(filtered, path):
    _, headers, body = raw_body(filtered, path, "gzip", version="1.0")
    assert (
        headers["content-encoding"] == "gzip" and "transfer-encoding" not in headers and gzip.decompress(body) == TEXT
    )


def test_keep_alive_through_filters(filtered):
    with filtered.conn() as conn:
        for path in ("/text", "/docs/page.html", "/pieces", "/no-such", "/docs/none", "/text") * 3:
            conn.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n".encode())
            status, _headers, body = conn.response()
            if status == 200:
                assert gzip.decompress(body) == TEXT
            else:
                assert status == 404


def test_pipelined_requests_behind_a_stream(filtered):
    with filtered.conn() as conn:
        conn.send(b"POST /docs/page.html HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde"
                  + b"GET /docs/page.html HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n" * 3
                  + b"GET /text HTTP/1.1\r\nHost: x\r\n\r\n")
        conn.response()
        for _ in range(3):
            assert gzip.decompress(conn.response()[2]) == TEXT
        assert conn.response()[2] == TEXT


def test_pages_of_the_server_are_filtered(filtered):
    status, headers, body = raw_body(filtered, "/docs/none", "gzip")
    assert (status, headers["content-encoding"]) == (404, "gzip") and b"404" in gzip.decompress(body)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_slow_generator_reaches_the_client_block_by_block(filtered, coding):
    """Each block can be decoded before the next one is made."""
    decoder = {"gzip": lambda: zlib.decompressobj(31), "br": brotli.Decompressor,
               "zstd": lambda: zstandard.ZstdDecompressor().decompressobj()}[coding]()
    decode = decoder.process if coding == "br" else decoder.decompress
    with filtered.client.stream(
        "GET", "/all/generator?count=4&gate=1&size=200", headers={"Accept-Encoding": coding}
    ) as answer:
        assert answer.headers["content-encoding"] == coding
        text, opened = b"", 0
        for part in answer.iter_raw():
            text += decode(part)
            if opened < 3 and len(text) == 200 * (opened + 1):
                opened += 1
                assert filtered.get("/open").status_code == 200
    assert len(text) == 800 and opened == 3


def test_client_that_leaves_ends_the_generator(filtered):
    with filtered.conn() as conn:
        conn.send(b"GET /endless HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
        conn.until(b"\r\n\r\n")
    wait_for(lambda: "close endless" in filtered.events(), 10, "close() of the endless body")


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_exception_after_the_head_is_visible(filtered, version):
    """The block before the exception arrives; the body has no end."""
    data = filtered.raw(f"GET /raise?at=middle HTTP/{version}\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n".encode())
    status, fields, body = parse(data)
    assert status == 200 and dict(fields)["content-encoding"] == "gzip"
    if version == "1.1":
        assert dict(fields)["transfer-encoding"] == "chunked" and not body.endswith(b"0\r\n\r\n")
        size, _, rest = body.partition(b"\r\n")
        body = rest[:int(size, 16)]
        assert rest[int(size, 16):] == b"\r\n", "more than one chunk"
    decoder = zlib.decompressobj(31)
    assert decoder.decompress(body) == b"begun" and not decoder.eof


def test_exception_before_the_head_is_a_page(filtered):
    status, _headers, body = raw_body(filtered, "/raise?at=first", "gzip")
    assert status == 500 and b"500" in gzip.decompress(body)


def test_body_shorter_than_its_length_is_visible(filtered):
    data = filtered.raw(b"GET /short HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
    assert dict(parse(data)[1])["transfer-encoding"] == "chunked" and not data.endswith(b"0\r\n\r\n")


def test_notes_for_the_access_log(filtered):
    filtered.get("/text?notes", headers=GZIP)
    line = wait_for(
        lambda: next(
            (x for x in (filtered.root / "notes").read_text().splitlines() if x.endswith(" /text") and "-" not in x),
            None,
        )
    )
    status, sent, before, after, ratio, _ = line.split()
    assert (status, before) == ("200", str(len(TEXT)))
    assert sent == after and int(ratio) == int(after) * 100 // int(before)


def test_rate_limit(filtered):
    """20 KiB/s: 12 KiB take at least 0.4 s, whoever makes them, and nothing is lost."""
    for path, size in (("/slow/big?size=12288", 12288), ("/slow/generator?count=12&size=1024", 12288)):
        begin = time.monotonic()
        answer = filtered.get(path, headers={"Accept-Encoding": "identity"})
        assert len(answer.content) == size and time.monotonic() - begin > 0.4
    assert (
        filtered.get("/slow/big?size=1000", headers={"Accept-Encoding": "identity"}).headers["content-length"] == "1000"
    )


def test_compress_responses_option(server):
    running = server(SINK, "--compress-responses")
    assert "no effect" not in running.output()
    with running.client.stream("GET", "/big?size=100000", headers=GZIP) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert len(gzip.decompress(b"".join(answer.iter_raw()))) == 100000
    assert "content-encoding" not in running.get("/file?size=1000", headers=GZIP).headers


def test_unknown_input_filter_is_refused(server):
    running = server(SINK, config="SetInputFilter CASEFILTER\n", ready=False)
    assert running.process.wait(15) != 0
    assert 'no input filter "CASEFILTER"' in running.output()


def test_unknown_output_filter_is_refused(server):
    running = server(SINK, config="SetOutputFilter INCLUDES\n", ready=False)
    assert running.process.wait(15) != 0
    assert "INCLUDES" in running.output() and "DEFLATE" in running.output()


BODIES = """
import json

def application(environ, start_response):
    names = "CONTENT_LENGTH", "HTTP_CONTENT_ENCODING", "CONTENT_TYPE", "wsgi.input_terminated"
    said = {name: environ.get(name) for name in names}
    how = environ["QUERY_STRING"]
    try:
        if how == "lines":
            said["body"] = [line.decode() for line in environ["wsgi.input"]]
        elif how == "pieces":
            said["body"] = "".join(iter(lambda: environ["wsgi.input"].read(1000).decode(), ""))
        elif how == "length":
            said["body"] = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0)).decode()
        elif how != "never":
            said["body"] = environ["wsgi.input"].read().decode()
    except OSError as e:
        if how == "raise":
            raise
        said["error"] = str(e)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]
"""
INPUT = """
SetInputFilter DEFLATE
WSGIChunkedRequest On
DeflateInflateRatioLimit 100000
LimitRequestBody 20000000
ErrorDocument 413 "too large"
ErrorDocument 400 "broken"
<Location /small>
    DeflateInflateLimitRequestBody 1000
</Location>
<Location /ratio>
    DeflateInflateRatioLimit 10
    DeflateInflateRatioBurst 1
</Location>
<Location /off>
    SetInputFilter None
</Location>
"""


@pytest.fixture(scope="module")
def bodies(tmp_path_factory):
    root = tmp_path_factory.mktemp("bodies")
    (root / "app.wsgi").write_text(BODIES)
    running = start(root / "app.wsgi", root=root / "server", config=INPUT)
    yield running
    finish_all([running])


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size", [0, 10, 5000, 900_000, 3_000_000])
def test_request_bodies_are_decompressed(bodies, framing, size):
    """With a length if all of it is there and small; an incompressible one is read from the socket."""
    text = "line\n" * (size // 5) if size < 3_000_000 else os.urandom(size // 2).hex()
    data = gzip.compress(text.encode())
    content = iter([data[:7], data[7:]]) if framing == "chunked" else data
    for how in ["all", "pieces"] + ["lines"] * (size < 6000):
        sent = iter([data[:7], data[7:]]) if framing == "chunked" else content
        answer = bodies.post(f"/?{how}", content=sent, headers={"Content-Encoding": "gzip"})
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert "".join(said["body"]) == text, how
        assert said["HTTP_CONTENT_ENCODING"] is None
        assert said["CONTENT_LENGTH"] == (str(size) if size < 1 << 20 else None)


def test_request_bodies_with_their_length(bodies):
    """What frameworks do: CONTENT_LENGTH bytes, and the connection goes on with the next request."""
    with bodies.conn() as conn:
        for text in (b"first", b"the second one", b""):
            data = gzip.compress(text)
            conn.send(b"POST /?length HTTP/1.1\r\nHost: x\r\nContent-Encoding: x-gzip\r\nContent-Length: %d\r\n\r\n%s"
                      % (len(data), data))
            status, _, body = conn.response()
            assert status == 200 and f'"body": "{text.decode()}"'.encode() in body


@pytest.mark.parametrize(("path", "headers"), [
    ("/off", {"Content-Encoding": "gzip"}), ("/", {}), ("/", {"Content-Encoding": "br"}),
    ("/", {"Content-Encoding": "gzip", "Content-Range": "bytes 0-3/4"}),
])
def test_request_bodies_that_are_left_alone(bodies, path, headers):
    said = bodies.post(path, content=b"text", headers=headers).json()
    assert (said["body"], said["CONTENT_LENGTH"]) == ("text", "4")
    assert said["HTTP_CONTENT_ENCODING"] == headers.get("Content-Encoding")


@pytest.mark.parametrize(("path", "data", "expected"), [
    ("/?raise", b"this is no gzip stream", (400, "broken")),
    ("/?raise", gzip.compress(b"text" * 100)[:-6], (400, "broken")),
    ("/small?raise", gzip.compress(b"x" * 1001), (413, "too large")),
    ("/small?all", gzip.compress(b"x" * 1001), (200, "body is larger than LimitRequestBody")),
    ("/small?raise", gzip.compress(b"x" * 1000), (200, "x" * 1000)),
    ("/ratio?raise", gzip.compress(b"x" * 100_000), (400, "broken")),
    ("/?raise", gzip.compress(os.urandom(8_000_000).hex().encode() + b"x" * 30_000_000), (413, "too large")),
    ("/?never", b"this is no gzip stream", (200, '"CONTENT_LENGTH": null')),
])
@pytest.mark.direct  # a front process decompresses, and answers by itself
def test_request_bodies_that_cannot_be_decompressed(bodies, path, data, expected):
    answer = bodies.post(path, content=data, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, expected[1] in answer.text) == (expected[0], True), answer.text[:200]
    assert bodies.get("/").status_code == 200


def test_responses_are_decompressed(server, script):
    """INFLATE, before what compresses again; a response that breaks off or is no gzip is cut, not passed on."""
    running = server(script(f"""
import gzip
TEXT = {TEXT!r}

def application(environ, start_response):
    data = gzip.compress(TEXT)
    if environ["QUERY_STRING"] == "cut":
        data = data[:-10]
    if environ["QUERY_STRING"] == "lies":
        data = b"plain"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Encoding", "gzip"), ("ETag", '"a"')])
    return (data[i:i + 1000] for i in range(0, len(data), 1000))
"""), config="SetOutputFilter INFLATE\n<Location /again>\nSetOutputFilter INFLATE;BROTLI_COMPRESS\n</Location>\n")
    plain = running.get("/", headers=GZIP)
    assert plain.content == TEXT and "content-encoding" not in plain.headers
    assert plain.headers["etag"] == '"a-gunzip"'
    again = running.get("/again", headers={"Accept-Encoding": "br"})
    assert (again.headers["content-encoding"], again.content) == ("br", TEXT)
    assert running.request("HEAD", "/").status_code == 200
    for how in ("cut", "lies"):
        data = running.raw(f"GET /?{how} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert not data.endswith(b"0\r\n\r\n"), how
    assert running.get("/").content == TEXT
