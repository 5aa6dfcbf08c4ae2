"""HTTP/2 end to end: real clients against server processes, in clear text and encrypted."""

import json
import os
import re
import signal
import subprocess
import threading

import h2.errors
import httpx
import pytest

from certificates import Certificates
from h2client import H2Conn, translated, trusting
from harness import finish_all, wait_for
from soak import WHOLE
from test_modes import APPLICATION, FRONT, GROUP, INTERPRETER, SKIPPED, expected, launch
from tls import BEHIND, DIRECT, EMBEDDED, ONE, TWO, context, curl

pytestmark = pytest.mark.ours

PROTOCOLS = "Protocols h2 h2c http/1.1\n"
PLACES = {"embedded": EMBEDDED, "direct": DIRECT, "behind": BEHIND}


@pytest.fixture(params=list(PLACES))
def site(tls_site, request):
    return tls_site(groups=PROTOCOLS + PLACES[request.param])


def connections(site):
    """One of each kind."""
    return [H2Conn(site.plain, name="one.example"), H2Conn(site.port, trusting(), name="one.example")]


def test_environ(site):
    for conn in connections(site):
        with conn:
            for number in (1, 2):
                fields = [("cookie", "a=1"), ("cookie", "b=2"), ("x-some", "thing")]
                answer = conn.request("GET", "/x?y=z", fields, authority="one.example")
                assert answer.status == 200 and answer.code is None
                seen = json.loads(answer.body)
                assert seen["SERVER_PROTOCOL"] == "HTTP/2.0" and seen["HTTP2"] == "on"
                assert seen["wsgi.url_scheme"] == conn.scheme
                assert seen["HTTP_HOST"] == "one.example" and seen["SERVER_NAME"] == "one.example"
                assert seen["HTTP_COOKIE"] == "a=1; b=2" and seen["HTTP_X_SOME"] == "thing"
                assert seen["PATH_INFO"] == "/x" and seen["QUERY_STRING"] == "y=z"
                assert "connection" not in answer.fields and "transfer-encoding" not in answer.fields, number
    with httpx.Client(trust_env=False) as http:
        seen = http.get(f"http://127.0.0.1:{site.plain}/", headers={"Host": "one.example"}).json()
    assert seen["SERVER_PROTOCOL"] == "HTTP/1.1" and "HTTP2" not in seen


def test_bodies(site, tmp_path):
    data = os.urandom(3_000_000)
    path = tmp_path / "data"
    path.write_bytes(data)
    for conn in connections(site):
        with conn:
            for fields in ([("content-length", str(len(data)))], []):
                answer = conn.request("POST", "/upload", fields, data, authority="one.example")
                if fields:
                    assert json.loads(answer.body) == {"length": len(data), "sum": sum(data) % 65521}
                else:
                    assert answer.status == 411, "of unknown length, without WSGIChunkedRequest"
            assert len(conn.request("GET", "/large", authority="one.example").body) == 8_000_000
            assert conn.request("GET", f"/file?{path}", authority="one.example").body == data
            many = [conn.open("GET", f"/file?{path}", authority="one.example") for _ in range(5)]
            for number in many:
                assert conn.answer(number).body == data
            head = conn.request("HEAD", f"/file?{path}", authority="one.example")
            assert head.status == 200 and head.body == b""


def test_curl_and_httpx(site, tmp_path):
    status, body, said = curl(site, "/a", "one.example", "--http2", "-v")
    assert status == 200 and json.loads(body)["SERVER_PROTOCOL"] == "HTTP/2.0" and "ALPN" in said
    data = os.urandom(500_000)
    (tmp_path / "data").write_bytes(data)
    command = ["curl", "-sS", "--noproxy", "*", "--http2-prior-knowledge", "-H", "Host: one.example"]
    command += ["--data-binary", f"@{tmp_path}/data", f"http://127.0.0.1:{site.plain}/upload"]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert json.loads(done.stdout)["length"] == len(data), done.stderr
    with httpx.Client(http2=True, verify=context(site.certs), trust_env=False, timeout=20) as http:
        headers, extensions = {"Host": f"one.example:{site.port}"}, {"sni_hostname": "one.example"}
        for _ in range(5):
            answer = http.get(f"https://127.0.0.1:{site.port}/", headers=headers, extensions=extensions)
            assert answer.http_version == "HTTP/2" and answer.json()["HTTP2"] == "on"
        url = f"https://127.0.0.1:{site.port}/upload"
        answer = http.post(url, content=data, headers=headers, extensions=extensions)
        assert answer.json()["length"] == len(data)


def test_not_offered(tls_site):
    """Without Protocols there is HTTP/1.1 only."""
    site = tls_site()
    status, body, _ = curl(site, "/a", "one.example", "--http2")
    assert status == 200 and json.loads(body)["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert b"505" in site_raw(site.plain, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")


def site_raw(port, data):
    from harness import raw

    return raw(port, data)


def test_other_host(tls_site):
    """A browser may ask for another host on a connection if the certificate has its name too: 421 where it must not."""
    site = tls_site(PROTOCOLS + ONE + TWO)
    with H2Conn(site.port, trusting(), name="one.example") as conn:
        assert conn.request("GET", "/", authority=f"one.example:{site.port}").status == 200
        assert conn.request("GET", "/", authority=f"two.example:{site.port}").status == 421
        assert conn.request("GET", "/", authority=f"one.example:{site.port}").status == 200


def test_too_long(tls_site):
    site = tls_site(groups=PROTOCOLS + DIRECT)
    with H2Conn(site.plain) as conn:
        assert conn.request("GET", "/" + "x" * 9000, authority="one.example").status == 414
        assert conn.request("GET", "/", [("x-long", "x" * 9000)], authority="one.example").status == 400
        assert conn.request("GET", "/", [(f"x-{n}", "x") for n in range(120)], authority="one.example").status == 400
        many = [("x-long", "x" * 4000)] * 20  # a few bytes each, once the table has it
        answer = conn.request("GET", "/", many, authority="one.example")
        assert answer.status == 431
        assert conn.request("GET", "/", authority="one.example").status == 200


SINK = "WSGIChunkedRequest On\n" + PROTOCOLS


@pytest.fixture(params=["group", "front"])
def sink(tmp_path, request):
    text = {"group": GROUP, "front": FRONT}[request.param]
    running = launch(SINK + text + 'WSGIApplicationGroup %{GLOBAL}\nWSGIScriptAlias / "SINK"\n', tmp_path / "root")
    try:
        yield running
    finally:
        finish_all([running])


def test_streaming(sink):
    """Blocks come as the application yields them."""
    with H2Conn(sink.port) as conn:
        number = conn.open("GET", "/generator?count=5")
        answer = conn.answer(number)
        assert answer.status == 200 and answer.code is None
        with httpx.Client(trust_env=False) as http:
            assert answer.body == http.get(sink.url + "/generator?count=5").content


def test_broken_off(sink):
    """An application that fails in the middle resets its stream, and nothing else."""
    with H2Conn(sink.port) as conn:
        broken = conn.request("GET", "/raise?at=middle")
        assert broken.code == h2.errors.ErrorCodes.INTERNAL_ERROR
        assert conn.request("GET", "/").code is None


def test_cancelled(sink):
    """A client may give up any stream at any time."""
    with H2Conn(sink.port) as conn:
        for path in ("/endless", "/big?size=50000000", "/file?size=50000000", "/generator?count=30000&size=300"):
            for _ in range(3):
                number = conn.open("GET", path)
                while not conn.streams[number].body:
                    conn.receive()
                conn.reset(number)
            number = conn.open("POST", "/length", body="")
            conn.data(number, b"x" * 10_000, end=False)
            conn.reset(number)
        assert conn.request("GET", "/").status == 200


def test_rapid_reset(sink):
    """Who opens streams only to give them up loses the connection, and nobody else notices (CVE-2023-44487)."""
    with H2Conn(sink.port) as other, H2Conn(sink.port) as conn, pytest.raises(OSError):
        for _ in range(100_000):
            number = conn.h2.get_next_available_stream_id()
            head = [(":method", "GET"), (":scheme", "http"), (":path", "/big?size=100000"), (":authority", "x")]
            conn.h2.send_headers(number, head, end_stream=True)
            conn.h2.reset_stream(number)
            if number % 100 == 1:
                conn.flush()
                assert other.request("GET", "/").status == 200
    with H2Conn(sink.port) as conn:
        assert conn.request("GET", "/").status == 200


def test_upload_of_unknown_length(sink):
    with H2Conn(sink.port) as conn:
        number = conn.open("POST", "/length", body="")
        for _ in range(50):
            conn.data(number, b"x" * 100_000, end=False)
        conn.data(number, b"")
        assert b"5000000" in conn.answer(number).body


def test_continue(sink):
    with H2Conn(sink.port) as conn:
        number = conn.open("POST", "/echo", [("expect", "100-continue"), ("content-length", "3")], body="")
        while not conn.streams[number].interim:
            conn.receive()
        conn.data(number, b"abc")
        answer = conn.answer(number)
        assert answer.status == 200 and answer.interim == [{":status": "100"}]


def test_access_log(tmp_path):
    log = f'LogFormat "%r|%H|%>s|%k|%b" short\nCustomLog "{tmp_path}/root/access_log" short\n'
    running = launch(SINK + log + GROUP + APPLICATION, tmp_path / "root")
    try:
        with H2Conn(running.port) as conn:
            conn.request("GET", "/big?size=5")
            conn.request("GET", "/big?size=5")
        wait_for(lambda: running.access_log.read_text().count("\n") == 2, what="two records")
        first, second = sorted(running.access_log.read_text().splitlines())  # the first may be written last
        assert first == "GET /big?size=5 HTTP/2.0|HTTP/2.0|200|0|5"
        assert second.endswith("|1|5")
    finally:
        finish_all([running])


def test_nothing_is_lost_in_restarts(sink):
    """Requests go on while processes are replaced: graceful restarts, and a script that changes."""
    stop, failed, served = threading.Event(), [], [0]

    def client():
        while not stop.is_set():
            try:
                with H2Conn(sink.port) as conn:
                    while not stop.is_set() and conn.going is None:
                        numbers = [conn.open("GET", f"/big?size={1000 + n}") for n in range(8)]
                        for n, number in enumerate(numbers):
                            answer = conn.answer(number)
                            if answer.code is not None or len(answer.body) != 1000 + n:
                                failed.append((number, answer.status, answer.code, answer.body))
                            served[0] += 1
                    for number in list(conn.streams):
                        conn.answer(number)
            except Exception as error:
                failed.append(repr(error))
                return

    clients = [threading.Thread(target=client) for _ in range(3)]
    for one in clients:
        one.start()
    try:
        for _ in range(3):
            before = served[0]
            sink.process.send_signal(signal.SIGUSR1)
            wait_for(lambda: sink.log().count("resuming normal operations") > 1, what="the restart")
            wait_for(lambda before=before: failed or served[0] > before + 300, limit=30, what="requests")
    finally:
        stop.set()
        for one in clients:
            one.join(30)
    assert not failed, failed[:5]
    assert served[0] > 500


__all__ = ["expected"]  # the fixture
MODES = {
    "embedded": APPLICATION,
    "group": GROUP + APPLICATION,
    "group, one thread": GROUP.replace("threads=5", "threads=1") + APPLICATION,
    "front": FRONT + APPLICATION,
    "interpreter": GROUP + INTERPRETER,
    "filtered": "SetOutputFilter DEFLATE\n" + GROUP + APPLICATION,
}
SECURE = """
SSLEngine on
SSLCertificateFile "{certs}/localhost.pem"
SSLCertificateKeyFile "{certs}/localhost.key"
"""


@pytest.mark.parametrize("secure", [False, True], ids=["h2c", "h2"])
@pytest.mark.parametrize("mode", MODES)
def test_answers_are_those_of_http1(mode, secure, tmp_path, expected):
    """Every request of the soak test, on one connection, is answered as over HTTP/1.1 in embedded mode."""
    text, tls = PROTOCOLS + MODES[mode], None
    if secure:
        certs = Certificates(tmp_path / "certs")
        certs.make("localhost", names=["DNS:localhost"])
        text, tls = text + SECURE.format(certs=certs.folder), trusting()
    running = launch(text, tmp_path / "root")
    found = []
    try:
        with H2Conn(running.port, tls) as conn:
            numbers = []
            for (_, data), before in zip(WHOLE, expected, strict=True):
                if data.startswith(SKIPPED):
                    continue
                head, separator, body = data.partition(b"\r\n\r\n")
                count = head.count(b"%d")
                head = head % ((7,) * count) if count else head.replace(b"%%", b"%")
                method, path, fields, body, authority = translated(head + separator + body)
                numbers.append((conn.open(method, path, fields, body, authority), data, before))
            for number, data, before in numbers:
                answer = conn.answer(number)
                now = ("cut", {}, False)
                if answer.code is None:
                    fields = {k: v for k, v in answer.fields.items() if k not in ("date", "content-length")}
                    if mode == "filtered":
                        fields.pop("vary", None)
                    now = answer.status, fields, re.sub(rb"127\.0\.0\.1(:| Port )\d+", b"HOST", answer.body)
                if now != before:
                    found.append((data[:60], before, now))
        assert not found, found
    finally:
        finish_all([running])
