"""Static files under DocumentRoot and --url-alias: validators, ranges, types, and what is refused (RFC 9110)."""

import email.utils
import os

import pytest

from harness import SINK, finish_all, parse, start

DATA = bytes(range(256)) * 400
STAMP = 1_700_000_000


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    base = tmp_path_factory.mktemp("files")
    docs, alias = base / "docs", base / "alias"
    docs.mkdir()
    (alias / "sub").mkdir(parents=True)
    for name, data in {"page.html": b"<p>page</p>", "data.bin": DATA, "style.css": b"p {}", "script.js": b"1;",
                       "empty.txt": b"", "with space.txt": b"space", "caf\xe9.txt": b"accent"}.items():
        (alias / name).write_bytes(data)
        os.utime(alias / name, (STAMP, STAMP))
    (alias / "sub" / "index.html").write_text("index of sub")
    (docs / "robots.txt").write_text("robots")
    (base / "secret.txt").write_text("secret")
    (base / "one.txt").write_text("only this")
    (alias / "link.txt").symlink_to(alias / "style.css")
    running = start(SINK, "--document-root", docs, "--url-alias", "/static", alias, "--url-alias", "/one",
                    base / "one.txt", root=base / "root")
    yield running
    finish_all([running])


def test_file_and_its_headers(files):
    answer = files.get("/static/data.bin")
    assert answer.status_code == 200 and answer.content == DATA
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["last-modified"] == email.utils.formatdate(STAMP, usegmt=True)
    assert answer.headers["etag"] == f'"{len(DATA):x}-{STAMP * 1_000_000:x}"'


@pytest.mark.parametrize(("name", "kind"), [
    ("page.html", "text/html"), ("style.css", "text/css"), ("empty.txt", "text/plain")])
def test_content_type(files, name, kind):
    assert files.get("/static/" + name).headers["content-type"].split(";")[0] == kind


def test_files_of_the_document_root_win_over_the_application(files):
    assert files.get("/robots.txt").text == "robots"
    assert files.get("/").text == "Hello World!"
    assert files.get("/not-there").text == "no such path"


def test_alias_to_one_file(files):
    assert files.get("/one").text == "only this"


def test_missing_file_in_alias_is_a_404_of_the_server(files):
    answer = files.get("/static/missing")
    assert answer.status_code == 404 and answer.text != "no such path"


def test_head(files):
    with files.conn() as conn:
        conn.send(b"HEAD /static/data.bin HTTP/1.1\r\nHost: x\r\n\r\nGET /static/style.css HTTP/1.1\r\nHost: x\r\n\r\n")
        status, headers, _ = conn.response(head_only=True)
        assert status == 200 and headers["content-length"] == str(len(DATA))
        assert conn.response()[2] == b"p {}"


def test_names_are_decoded(files):
    assert files.get("/static/with%20space.txt").text == "space"
    assert files.get("/static/caf%C3%A9.txt").text == "accent"


def test_empty_file(files):
    answer = files.get("/static/empty.txt")
    assert answer.status_code == 200 and answer.content == b"" and answer.headers["content-length"] == "0"


def conditional(files, **headers):
    return files.get("/static/data.bin", headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_conditional_requests(files):
    first = files.get("/static/data.bin")
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    later, earlier = (email.utils.formatdate(STAMP + d, usegmt=True) for d in (60, -60))
    assert conditional(files, If_None_Match=etag).status_code == 304
    assert conditional(files, If_None_Match="W/" + etag).status_code == 304
    assert conditional(files, If_None_Match=f'"other", {etag}').status_code == 304
    assert conditional(files, If_None_Match="*").status_code == 304
    assert conditional(files, If_None_Match='"other"').status_code == 200
    assert conditional(files, If_Modified_Since=modified).status_code == 304
    assert conditional(files, If_Modified_Since=later).status_code == 304
    assert conditional(files, If_Modified_Since=earlier).status_code == 200
    assert conditional(files, If_Modified_Since="nonsense").status_code == 200
    assert conditional(files, If_None_Match='"other"', If_Modified_Since=modified).status_code == 200
    assert conditional(files, If_Match=etag).status_code == 200
    assert conditional(files, If_Match='"other"').status_code == 412
    assert conditional(files, If_Unmodified_Since=earlier).status_code == 412


def test_not_modified_has_validator_and_no_body(files):
    etag = files.get("/static/data.bin").headers["etag"]
    answer = files.raw(b"GET /static/data.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIf-None-Match: %s\r\n\r\n"
                       % etag.encode())
    status, fields, body = parse(answer)
    assert (status, body) == (304, b"") and dict(fields)["etag"] == etag and "content-length" not in dict(fields)


@pytest.mark.parametrize(("asked", "first", "last"), [
    ("bytes=0-99", 0, 99), ("bytes=100-100", 100, 100), ("bytes=-5", len(DATA) - 5, len(DATA) - 1),
    ("bytes=102000-", 102_000, len(DATA) - 1), ("bytes=102000-999999", 102_000, len(DATA) - 1)])
def test_one_range(files, asked, first, last):
    answer = conditional(files, Range=asked)
    assert answer.status_code == 206 and answer.content == DATA[first : last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(DATA)}"


def test_several_ranges(files):
    answer = conditional(files, Range="bytes=0-9,50-59")
    assert answer.status_code == 206
    kind, _, boundary = answer.headers["content-type"].partition("; boundary=")
    assert kind == "multipart/byteranges"
    parts = answer.content.split(b"--" + boundary.strip('"').encode())
    assert len(parts) == 4 and parts[1].endswith(b"\r\n\r\n" + DATA[:10] + b"\r\n")
    assert b"Content-Range: bytes 50-59/%d" % len(DATA) in parts[2].replace(b"Content-range", b"Content-Range")
    assert len(answer.content) == int(answer.headers["content-length"])


def test_range_that_cannot_be_satisfied(files):
    answer = conditional(files, Range=f"bytes={len(DATA)}-")
    expected = f"bytes */{len(DATA)}"
    assert answer.status_code == 416 and answer.headers.get("content-range", expected) == expected


@pytest.mark.parametrize("asked", ["bytes=abc", "bytes=9-3", "lines=1-2"])
def test_malformed_range_is_ignored(files, asked):
    answer = conditional(files, Range=asked)
    assert answer.status_code == 200 and len(answer.content) == len(DATA)


def test_if_range(files):
    etag = files.get("/static/data.bin").headers["etag"]
    assert conditional(files, Range="bytes=0-9", If_Range=etag).status_code == 206
    assert conditional(files, Range="bytes=0-9", If_Range='"other"').status_code == 200


def test_directories(files):
    slash = files.get("/static/sub")
    assert slash.status_code == 301 and slash.headers["location"].endswith("/static/sub/")
    assert files.get("/static/sub/").text == "index of sub"
    assert files.get("/static/").status_code in (403, 404)


@pytest.mark.parametrize("target", [
    b"/static/../secret.txt", b"/static/..%2fsecret.txt", b"/static/%2e%2e/secret.txt", b"/static/sub/../../secret.txt",
    b"/static/....//secret.txt", b"/static/..\\secret.txt", b"/static%2f..%2fsecret.txt", b"/static../secret.txt",
    b"/static/%252e%252e/secret.txt", b"/static/sub/%2e./../%2e%2e/secret.txt"])
def test_no_way_out_of_the_folder(files, target):
    answer = files.raw(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert parse(answer)[0] in (400, 403, 404) and not answer.endswith(b"secret")


def test_server_root_is_not_served(files):
    for name in ("httpd.conf", "handler.wsgi", "../root/httpd.conf"):
        assert files.get("/" + name).status_code in (400, 404)


def test_methods_on_files(files):
    assert files.post("/static/data.bin", content=b"x").status_code in (200, 405)
    assert files.request("DELETE", "/static/data.bin").status_code == 405
    assert "GET" in files.request("PUT", "/static/data.bin").headers["allow"]


def test_changed_file_is_served_anew(files, tmp_path):
    path = files.root.parent / "alias" / "changing.txt"
    path.write_text("old")
    before = files.get("/static/changing.txt")
    path.write_text("newer")
    after = files.get("/static/changing.txt", headers={"If-None-Match": before.headers["etag"]})
    assert (before.text, after.status_code, after.text) == ("old", 200, "newer")


def test_symbolic_links_are_followed(files):
    assert files.get("/static/link.txt").text == "p {}"


def test_access_files_are_not_served(files):
    (files.root.parent / "alias" / ".htpasswd").write_text("secret")
    for name in (".htpasswd", "%2ehtpasswd", ".ht"):
        answer = files.get("/static/" + name)
        assert answer.status_code == 403 and "secret" not in answer.text
