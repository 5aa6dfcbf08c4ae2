"""Static files that are asked for again and again: the file cache must never be seen.

Large answers come from the file.
"""

import os
import re
import socket
import time

import pytest

from harness import SINK, finish_all, start, wait_for

BIG = os.urandom(1 << 20) * 5
OLD = 1_700_000_000


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (OLD, OLD))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    base = tmp_path_factory.mktemp("cache")
    alias = base / "alias"
    for name in ("small.txt", "gone.txt", "swap.txt", "sub/index.html", "v1/page.txt", "guarded/x.txt", "held.bin"):
        write(alias / name, name.encode())
    write(alias / "v2" / "page.txt", b"second release")
    write(alias / "big.bin", BIG)
    write(alias / "held.bin", BIG)
    (alias / "current").symlink_to("v1")
    write(alias / "dated" / "x.css", b"p {}")
    config = f'''
<Directory "{alias}/guarded">
    AllowOverride All
</Directory>
<Directory "{alias}/dated">
    Header append Cache-Control public
    Header always set X-Frame-Options DENY
    ExpiresActive On
    ExpiresDefault "access plus 1 minute"
</Directory>
'''
    running = start(SINK, "--url-alias", "/static", alias, root=base / "root", config=config)
    running.alias = alias
    time.sleep(2.1)  # what is younger than two seconds is not cached
    yield running
    finish_all([running])


def twice(files, path, **kwargs):
    """The answer of the cache: the first one fills it."""
    files.get(path)
    return files.get(path, **kwargs)


def test_cached_answer_is_the_same(files):
    first, second = files.get("/static/small.txt"), files.get("/static/small.txt")
    different = {name for name in first.headers if first.headers[name] != second.headers.get(name)} - {"date"}
    assert not different and first.content == second.content == b"small.txt"
    assert files.request("HEAD", "/static/small.txt").headers["content-length"] == "9"


def test_revalidation_of_a_cached_file(files):
    etag = twice(files, "/static/small.txt").headers["etag"]
    answer = files.get("/static/small.txt", headers={"If-None-Match": etag})
    assert answer.status_code == 304 and answer.headers["etag"] == etag and not answer.content
    assert files.get("/static/small.txt", headers={"If-None-Match": '"other"'}).status_code == 200
    assert files.get("/static/small.txt", headers={"Range": "bytes=0-4"}).content == b"small"


def test_fields_of_other_modules(files):
    answers = [files.get("/static/dated/x.css") for _ in range(3)]
    answers.append(files.get("/static/dated/x.css", headers={"If-None-Match": answers[0].headers["etag"]}))
    for answer in answers:
        assert answer.headers["x-frame-options"] == "DENY" and answer.headers["cache-control"] == "max-age=60, public"
        assert answer.headers["expires"] > answer.headers["date"][:17]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 304]


def test_http_1_0_and_close(files):
    twice(files, "/static/small.txt")
    assert b"\r\nConnection: close\r\n" in files.raw(b"GET /static/small.txt HTTP/1.0\r\n\r\n")
    answer = files.raw(b"GET /static/small.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.endswith(b"\r\n\r\nsmall.txt") and b"\r\nConnection: close\r\n" in answer


def test_pipelined_requests(files):
    twice(files, "/static/big.bin")
    request = b"GET /static/%s HTTP/1.1\r\nHost: x\r\n\r\n"
    with files.conn() as conn:
        conn.send(request % b"small.txt" + request % b"big.bin" + request % b"none" + request % b"small.txt")
        assert [conn.response()[0::2][1] == want for want in (b"small.txt", BIG)] == [True, True]
        assert conn.response()[0] == 404
        assert conn.response()[2] == b"small.txt"


def test_removed_and_replaced(files):
    assert twice(files, "/static/gone.txt").status_code == 200
    (files.alias / "gone.txt").unlink()
    assert files.get("/static/gone.txt").status_code == 404
    twice(files, "/static/swap.txt")
    write(files.alias / "new.txt", b"new swap")
    (files.alias / "new.txt").rename(files.alias / "swap.txt")
    assert files.get("/static/swap.txt").content == b"new swap"


def test_release_switched_by_symbolic_link(files):
    assert twice(files, "/static/current/page.txt").content == b"v1/page.txt"
    link = files.alias / "next"
    link.symlink_to("v2")
    link.rename(files.alias / "current")
    assert files.get("/static/current/page.txt").content == b"second release"


def test_access_file_appears_and_goes(files):
    assert twice(files, "/static/guarded/x.txt").status_code == 200
    access = files.alias / "guarded" / ".htaccess"
    access.write_text("Require all denied\n")
    assert files.get("/static/guarded/x.txt").status_code == 403
    access.unlink()
    assert files.get("/static/guarded/x.txt").status_code == 200


def test_index_of_a_directory(files):
    assert twice(files, "/static/sub/").content == b"sub/index.html"
    (files.alias / "sub" / "index.html").unlink()
    assert files.get("/static/sub/").status_code in (403, 404)


def test_large_file_to_a_slow_client_while_it_is_replaced(files):
    assert twice(files, "/static/held.bin").content == BIG
    with socket.create_connection(("127.0.0.1", files.port), timeout=10) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.sendall(b"GET /static/held.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = sock.recv(1000)
        write(files.alias / "other.bin", b"short")
        (files.alias / "other.bin").rename(files.alias / "held.bin")
        assert files.get("/static/held.bin").content == b"short"
        while block := sock.recv(1 << 20):
            received += block
    assert received.partition(b"\r\n\r\n")[2] == BIG


def test_large_multipart_ranges(files):
    answer = files.get("/static/big.bin", headers={"Range": "bytes=0-2999999, 4000000-4999999, -5"})
    assert answer.status_code == 206 and int(answer.headers["content-length"]) == len(answer.content)
    mark = answer.headers["content-type"].partition("boundary=")[2].encode()
    parts = answer.content.split(b"\r\n--" + mark)
    assert [part.partition(b"\r\n\r\n")[2] for part in parts[1:-1]] == [BIG[:3000000], BIG[4000000:5000000], BIG[-5:]]
    assert [re.search(rb"Content-Range: bytes (\S+)", part)[1] for part in parts[1:-1]] == [
        b"0-2999999/%d" % len(BIG),
        b"4000000-4999999/%d" % len(BIG),
        b"%d-%d/%d" % (len(BIG) - 5, len(BIG) - 1, len(BIG)),
    ]
    assert parts[-1] == b"--\r\n"


def test_multipart_on_a_connection_that_goes_on(files):
    with files.conn() as conn:
        for _ in range(2):
            conn.send(b"GET /static/big.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9,2000000-4999999\r\n\r\n")
            status, _headers, body = conn.response()
            assert status == 206 and BIG[2000000:5000000] in body
        conn.send(b"HEAD /static/big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        assert conn.response(head_only=True)[1]["content-length"] == str(len(BIG))


def test_broken_connections_leak_no_descriptors(files):
    worker = files.worker()
    twice(files, "/static/big.bin")

    def descriptors():
        return len(os.listdir(f"/proc/{worker}/fd"))

    before = descriptors()
    for fields in (b"", b"Range: bytes=0-9,2000000-4999999\r\n"):
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", files.port), timeout=10) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.sendall(b"GET /static/big.bin HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n")
                sock.recv(100)
    wait_for(lambda: descriptors() <= before, what="the descriptors of broken connections to be closed")
    assert files.get("/static/big.bin").content == BIG
