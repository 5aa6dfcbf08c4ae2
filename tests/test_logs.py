"""Access logs and error logs as they are read: every letter of the formats over real requests."""

import os
import re

import pytest

from harness import wait_for

APP = '''
import os, sys

def application(environ, start_response):
    path = environ["PATH_INFO"]
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("X-Shown", path)]
    if path == "/stream":
        start_response("200 OK", headers)
        return (b"x" * 10000 for _ in range(100))
    if path == "/flood":
        start_response("200 OK", headers)
        return (b"x" * 10000 for _ in range(10000))
    if path == "/read":
        body = environ["wsgi.input"].read()
        start_response("200 OK", headers)
        return [str(len(body)).encode()]
    if path == "/error":
        print("said by the application", file=environ["wsgi.errors"])
        start_response("200 OK", headers)
        return [environ["mod_wsgi.request_id"].encode()]
    start_response("200 OK", headers)
    return [b"hello"]
'''


def one_line(path, count=1):
    """The last of `count` lines of a log, once it is there."""
    return wait_for(lambda: path.exists() and (lines := path.read_text().splitlines()) and len(lines) >= count and lines[-1],
                    5, f"line {count} of {path}")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Factory of requests against one server per format: site(format) -> (server, log path)."""
    from harness import finish_all, start

    folder = tmp_path_factory.mktemp("logs")
    (folder / "app.wsgi").write_text(APP)
    (folder / "file.txt").write_text("a file\n")
    formats = {
        "bytes": "%b %B %I %O %S %X %k %>s",
        "names": "%m %U %q %H %V %p %{local}p %f %R %v",
        "fields": "%{X-Shown}o %{Content-Type}o %{Server}o %{X-Ask}i %{token}C %{COLOUR}e %{none}n %{none}^ti",
        "times": "%D %T %{ms}T %{us}T %{sec}t %{end:msec_frac}t %{begin:%Y}t",
        "status": "%s %>s %U %>U %f %400,404{X-Ask}i %!200{X-Ask}i",
        "process": "%P %{tid}P %a %{c}a %h %A %l %u %L",
        "line": '"%r" %>s',
    }
    config = "SetEnv COLOUR blue\nErrorDocument 404 /file.txt\nErrorDocument 403 \"closed\"\n"
    config += f'Alias /file.txt {folder}/file.txt\nAlias /missing {folder}/nothing\n'
    config += f'<Directory {folder}>\nRequire all granted\n</Directory>\n<Location /closed>\nRequire all denied\n</Location>\n'
    for name, text in formats.items():
        quoted = text.replace('"', '\\"')
        config += f'CustomLog "@ROOT@/{name}.log" "{quoted}"\n'
    running = start(folder / "app.wsgi", root=folder / "root", config=config)
    yield running
    finish_all([running])


def logged(site, name, request):
    """Sends one request and returns its line in the log."""
    path = site.root / f"{name}.log"
    before = len(path.read_text().splitlines()) if path.exists() else 0
    request()
    return one_line(path, before + 1)


def test_bytes_of_a_small_response(site):
    with site.conn() as conn:
        request = b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n"

        def ask():
            conn.send(request)
            head = conn.until(b"\r\n\r\n")
            conn.take(5)
            ask.size = len(head) + 4 + 5

        first = logged(site, "bytes", ask).split()
        assert first == ["5", "5", str(len(request)), str(ask.size), str(len(request) + ask.size), "+", "0", "200"]
        assert logged(site, "bytes", ask).split()[5:] == ["+", "1", "200"]


def test_bytes_of_a_stream_and_a_closed_connection(site):
    answer = []
    request = b"GET /stream HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
    line = logged(site, "bytes", lambda: answer.append(site.raw(request))).split()
    assert line[:4] == ["1000000", "1000000", str(len(request)), str(len(answer[0]))]
    assert line[5] == "-"


def test_bytes_of_a_large_upload(site):
    """The part of a body that the application itself receives counts too."""
    body = b"y" * 3_000_000
    head = b"POST /read HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    assert logged(site, "bytes", lambda: site.raw(head + body)).split()[2] == str(len(head) + len(body))


def test_aborted_connection_is_marked(site):
    def leave():
        import socket

        with socket.create_connection(("127.0.0.1", site.port), timeout=5) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(b"GET /flood HTTP/1.1\r\nHost: a.example\r\n\r\n")
            sock.recv(10)

    assert logged(site, "bytes", leave).split()[5] == "X"


def test_names_of_the_request(site):
    def ask():
        assert site.get("/a%20b?q=%22").status_code == 200

    port = str(site.port)
    line = logged(site, "names", ask)
    assert line.startswith(rf"GET /a b ?q=%22 HTTP/1.1 127.0.0.1 {port} {port} ")
    assert line.endswith("/app.wsgi wsgi-script 127.0.0.1")


@pytest.mark.parametrize("path", ["/x", "/stream"])
def test_fields_of_request_and_response(site, path):
    """Fields of the response are known after a long stream too, which has used its buffer many times."""
    def ask():
        site.get(path, headers={"X-Ask": "two\twords", "Cookie": "a=1; token=t2"})

    shown = logged(site, "fields", ask)
    assert re.fullmatch(rf"{path} text/plain \S.* two\\twords t2 blue - -", shown), shown


def test_fields_of_a_file(site):
    shown = logged(site, "fields", lambda: site.get("/file.txt"))
    assert re.match(r"- text/plain \S+", shown), shown


def test_times(site):
    line = logged(site, "times", lambda: site.get("/x")).split()
    assert int(line[0]) < 5_000_000 and line[1] in "01" and line[3].isdigit()
    assert abs(int(line[4]) - __import__("time").time()) < 60 and re.fullmatch(r"\d{3}", line[5]) and len(line[6]) == 4


def test_internal_redirect_to_an_error_document(site):
    line = logged(site, "status", lambda: site.get("/missing", headers={"X-Ask": "me"}))
    folder = site.root.parent
    assert line == f"404 404 /missing /file.txt {folder}/file.txt me me"


def test_process_and_addresses(site):
    line = logged(site, "process", lambda: site.get("/x")).split()
    assert line[0].isdigit() and os.path.exists(f"/proc/{line[0]}") and line[1].isdigit()
    assert line[2:] == ["127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1", "-", "-", "-"]


@pytest.mark.parametrize("request_line", [b"GET /x\x01 HTTP/1.1", b"nonsense", b"GET / HTTP/7.7"])
def test_malformed_request_line_is_logged_as_it_came(site, request_line):
    line = logged(site, "line", lambda: site.raw(request_line + b"\r\n\r\n"))
    shown = request_line.decode().replace("\x01", "\\x01")
    assert line.startswith(f'"{shown}" ') and line.split()[-1] in ("400", "505")


def test_conditional_and_global_logs(server, script):
    running = server(script(APP), config="""
SetEnv SEEN 1
GlobalLog "@ROOT@/global" "%v %U"
CustomLog "@ROOT@/seen" "%U" env=SEEN
CustomLog "@ROOT@/unseen" "%U" env=!SEEN
CustomLog "|$exec cat >> @ROOT@/piped" "piped %U"
""")
    assert running.get("/one").status_code == 200
    assert one_line(running.root / "seen") == "/one"
    assert one_line(running.root / "global") == "127.0.0.1 /one"
    assert one_line(running.root / "piped") == "piped /one"
    assert not (running.root / "unseen").read_text()
