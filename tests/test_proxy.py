"""Requests passed on to other servers, over real sockets: a second server of ours, one of the standard
library, and raw sockets for what a well-behaved server never sends."""

import contextlib
import http.server
import socket
import threading

import httpx
import pytest

from harness import SINK, finish_all, parse, start, wait_for

APP = """
def application(environ, start_response):
    body = ("front " + environ["PATH_INFO"]).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

BACK = """
import os, time

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/big":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return (b"x" * 65536 for _ in range(160))
    if path == "/slow":
        def parts():
            for i in range(3):
                yield b"%d\\n" % i
                end = time.monotonic() + 20
                while not os.path.exists(environ["QUERY_STRING"] + str(i)) and time.monotonic() < end:
                    time.sleep(0.01)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return parts()
    if path == "/away":
        host = environ["HTTP_HOST"]
        cookies = [("Set-Cookie", "a=1; Path=/in"), ("Set-Cookie", "b=2")]
        start_response("302 Found", [("Location", "http://" + host + "/there?q"), *cookies])
        return []
    if path == "/error":
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"the backend's page"]
    if path == "/length":
        data = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d %s" % (len(data), environ.get("HTTP_TRANSFER_ENCODING", "-").encode())]
    lines = [k + "=" + v for k, v in sorted(environ.items()) if isinstance(v, str)]
    start_response("200 OK", [("Content-Type", "text/plain"), ("Etag", '"x"')])
    return ["\\n".join(lines).encode("latin-1")]
"""


class Raw:
    """A server that gives the connection and the request's head to a function, one thread per connection."""

    def __init__(self, serve):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.serve = serve
        threading.Thread(target=self.loop, daemon=True).start()

    def loop(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(sock,), daemon=True).start()

    def one(self, sock):
        with sock, contextlib.suppress(OSError):
            sock.settimeout(20)
            head = b""
            while b"\r\n\r\n" not in head:
                block = sock.recv(65536)
                if not block:
                    return
                head += block
            self.serve(sock, head)

    def close(self):
        self.listener.close()


def echo(sock, head):
    """A tunnel after 101: what comes goes back in upper case; without Upgrade an ordinary answer."""
    if b"\r\nUpgrade: websocket\r\n" not in head:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
        return
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: abc\r\n\r\n"
    )
    rest = head.partition(b"\r\n\r\n")[2]
    while True:
        if rest:
            sock.sendall(rest.upper())
        if b"bye" in rest:
            return
        rest = sock.recv(65536)
        if not rest:
            return


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("proxy")
    for name, source in (("front.wsgi", APP), ("back.wsgi", BACK)):
        (folder / name).write_text(source)
    gone = threading.Event()

    def wait_for_end(sock, head):
        while sock.recv(1000):
            pass
        gone.set()

    def unread(sock, head):
        sock.sendall(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch")

    raws = {"bad": Raw(lambda sock, head: sock.sendall(b"nonsense\r\n\r\n")),
            "cut": Raw(lambda sock, head: sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")),
            "silent": Raw(wait_for_end), "echo": Raw(echo), "unread": Raw(unread)}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = free.getsockname()[1]
    back = start(folder / "back.wsgi", root=folder / "back")
    lines = [f"ProxyPass /{name}/ http://127.0.0.1:{one.port}/ timeout=1" for name, one in raws.items()]
    config = f"""
ProxyPass /back/no !
ProxyPass /back/ {back.url}/ upgrade=websocket
ProxyPassReverse /back/ {back.url}/
ProxyPassReverseCookiePath /in /back
ProxyPass /ws/ http://127.0.0.1:{raws["echo"].port}/ upgrade=websocket timeout=20
ProxyPass /closed/ http://127.0.0.1:{closed}/
ProxyPass /denied/ {back.url}/denied/
ProxyPass /own-pages/ {back.url}/
{chr(10).join(lines)}
<Location /rule/>
    RewriteEngine On
    RewriteRule ([^/]*)$ {back.url}/ruled/$1 [P]
</Location>
<Proxy balancer://both>
    BalancerMember http://127.0.0.1:{closed}
    BalancerMember {back.url}
</Proxy>
ProxyPass /both/ balancer://both/
<Proxy "{back.url}/denied/">
    Require all denied
</Proxy>
<Location /own-pages/>
    ProxyErrorOverride On
    ErrorDocument 404 "our page"
</Location>
<Location /back/>
    RequestHeader set X-Added here
    Header set X-Front yes
</Location>
"""
    running = start(folder / "front.wsgi", root=folder / "front", config=config)
    running.back, running.raws, running.gone = back, raws, gone
    yield running
    finish_all([running, back])
    for one in raws.values():
        one.close()


def environ(answer):
    assert answer.status_code == 200, answer.text
    return dict(line.split("=", 1) for line in answer.text.splitlines())


def test_fields(site):
    got = environ(
        site.get(
            "/back/some%20path?a=b&c", headers={"X-Forwarded-For": "203.0.113.9", "Connection": "X-Hop", "X-Hop": "1"}
        )
    )
    assert got["PATH_INFO"] == "/some path"
    assert got["QUERY_STRING"] == "a=b&c"
    assert got["HTTP_X_FORWARDED_FOR"] == "203.0.113.9, 127.0.0.1"
    assert got["HTTP_X_FORWARDED_HOST"] == f"127.0.0.1:{site.port}"
    assert got["HTTP_HOST"] == f"127.0.0.1:{site.back.port}"
    assert got["HTTP_X_ADDED"] == "here"
    assert "HTTP_X_HOP" not in got
    answer = site.get("/back/x")
    assert answer.headers["x-front"] == "yes"
    assert answer.headers["etag"] == '"x"'
    assert site.get("/back/no/x").text == "front /back/no/x"
    assert site.get("/other").text == "front /other"


def test_rule(site):
    assert environ(site.get("/rule/x?y"))["REQUEST_URI"] == "/ruled/x?y"


def test_bodies(site):
    data = b"0123456789abcdef" * 100_000
    assert site.post("/back/length", content=data).text.split()[0] == str(len(data))
    assert site.post(
        "/back/length", content=(data[i : i + 100_000] for i in range(0, len(data), 100_000))
    ).text.split()[0] == str(len(data))
    assert site.post("/back/length").text.split()[0] == "0"
    answer = site.get("/back/big")
    assert len(answer.content) == 160 * 65536
    head = site.request("HEAD", "/back/big")
    assert head.status_code == 200 and not head.content


def test_expect(site):
    with site.conn() as c:
        c.send(b"POST /back/length HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert c.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        c.send(b"12345")
        assert c.response()[2].split()[0] == b"5"
        c.send(b"GET /back/x HTTP/1.1\r\nHost: x\r\n\r\n")  # the connection goes on
        assert c.response()[0] == 200


def test_refused_before_the_body(site):
    with site.conn() as c:
        c.send(b"POST /unread/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\nstart")
        status, _, body = c.response()
        assert (status, body) == (413, b"much")


def test_streaming(site, tmp_path):
    """Every block arrives before the next is made."""
    seen = []
    with site.client.stream("GET", f"/back/slow?{tmp_path}/seen") as answer:
        for line in answer.iter_lines():
            seen.append(line)
            (tmp_path / f"seen{line}").touch()
    assert seen == ["0", "1", "2"]


def test_reverse(site):
    answer = site.get("/back/away", follow_redirects=False)
    assert answer.headers["location"] == f"{site.url}/back/there?q"
    assert answer.headers.get_list("set-cookie") == ["a=1; Path=/back", "b=2"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/bad/", 502),
        ("/silent/", 504),
        ("/closed/", 503),
        ("/closed/again", 503),
        ("/denied/x", 403),
        ("/back/error", 404),
    ],
)
def test_statuses(site, path, status):
    assert site.get(path).status_code == status
    assert site.get("/back/x").status_code == 200


def test_error_pages(site):
    assert site.get("/back/error").text == "the backend's page"
    answer = site.get("/own-pages/error")
    assert (answer.status_code, answer.text) == (404, "our page")


def test_cut_answer(site):
    """A short body must not look complete."""
    with pytest.raises(httpx.RemoteProtocolError):
        site.get("/cut/")


def test_client_leaves(site):
    site.gone.clear()
    with socket.create_connection(("127.0.0.1", site.port)) as sock:
        sock.sendall(b"GET /silent/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert site.gone.wait(10)


def test_upgrade(site):
    fields = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    head = b"GET /ws/ HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n"
    with site.conn() as c:
        c.send(head + b"early ")
        lines = c.until(b"\r\n\r\n").split(b"\r\n")
        assert lines[0].startswith(b"HTTP/1.1 101 ")
        assert b"Sec-WebSocket-Accept: abc" in lines
        assert b"Upgrade: websocket" in lines
        assert c.take(6) == b"EARLY "
        c.send(b"x" * 200_000)
        assert c.take(200_000) == b"X" * 200_000
        c.send(b"bye")
        assert c.take(3) == b"BYE"
        assert c.closed()
    status, _, body = parse(
        site.raw(head.replace(b"/ws/", b"/echo/").replace(b"Upgrade\r\n", b"Upgrade, close\r\n", 1))
    )
    assert (status, body) == (200, b"plain")  # without upgrade= the field is dropped


def test_balancer(site):
    for _ in range(4):
        assert environ(site.get("/both/x"))["PATH_INFO"] == "/x"
    assert "another member" in site.log()


def test_access_log_has_the_size(site):
    site.get("/back/x?logged")
    wait_for(lambda: "x?logged" in site.access_log.read_text() if site.access_log.exists() else True, 5, "the line")


def test_standard_library(server, script, tmp_path):
    """A backend that speaks HTTP/1.0 and closes."""
    (tmp_path / "file.txt").write_text("hello")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as back:
        threading.Thread(target=back.serve_forever, daemon=True).start()
        front = server(SINK, config=f"ProxyPass /f/ http://127.0.0.1:{back.server_address[1]}/")
        for _ in range(3):
            assert front.get("/f/file.txt").text == "hello"
        assert front.get("/f/none").status_code == 404
        back.shutdown()


@pytest.mark.ours
def test_express(server, script):
    """--proxy-mount-point and --proxy-virtual-host."""
    back = server(script(BACK, "back.wsgi"))
    front = server(
        script(APP, "front.wsgi"),
        "--proxy-mount-point",
        "/sub",
        back.url,
        "--proxy-mount-point",
        "/sub/deep/",
        f"{back.url}/d/",
        "--proxy-virtual-host",
        "other.test",
        f"{back.url}/",
        "--proxy-timeout",
        "5",
    )
    got = environ(front.get("/sub/x"))
    assert got["PATH_INFO"] == "/x"
    assert got["HTTP_X_FORWARDED_PREFIX"] == "/sub"
    assert got["HTTP_X_FORWARDED_PORT"] == str(front.port)
    assert environ(front.get("/sub/deep/x"))["PATH_INFO"] == "/d/x"
    answer = front.get("/sub?q=1", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (302, f"{front.url}/sub/?q=1")
    assert front.get("/other").text == "front /other"
    got = environ(front.get("/sub/x", headers={"Host": "other.test"}))
    assert got["PATH_INFO"] == "/sub/x"
    assert got["HTTP_X_FORWARDED_HOST"] == "other.test"
    assert "HTTP_X_FORWARDED_PREFIX" not in got
    assert front.get("/sub/away", follow_redirects=False).headers["location"] == f"{front.url}/sub/there?q"


@pytest.mark.ours
def test_trailers_of_the_other_server(server, script, tmp_path):
    """They go into the access log; clients do not get them."""
    def serve(sock, _head):
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                     b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n")

    back, log = Raw(serve), tmp_path / "access"
    running = server(script(APP), config=f"""
ProxyPass "/back" "http://127.0.0.1:{back.port}/"
CustomLog "{log}" "%U %{{X-Sum}}^to %{{X-Other}}^to"
""")
    response = running.get("/back/")
    assert (response.status_code, response.text) == (200, "abc")
    assert "x-sum" not in response.headers
    running.get("/none")
    wait_for(lambda: log.exists() and len(log.read_text().splitlines()) == 2)
    assert log.read_text().splitlines() == ["/back/ 1, 2 -", "/none - -"]
