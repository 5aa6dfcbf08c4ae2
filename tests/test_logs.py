"""Access logs and error logs as they are read: every letter of the formats over real requests."""

import os
import re

import pytest

from harness import wait_for

APP = """
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
"""


def one_line(path, count=1):
    """The last of `count` lines of a log, once it is there."""
    return wait_for(
        lambda: path.exists() and (lines := path.read_text().splitlines()) and len(lines) >= count and lines[-1],
        5,
        f"line {count} of {path}",
    )


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
    config = 'SetEnv COLOUR blue\nErrorDocument 404 /file.txt\nErrorDocument 403 "closed"\n'
    config += f"Alias /file.txt {folder}/file.txt\nAlias /missing {folder}/nothing\n"
    config += f"<Directory {folder}>\nRequire all granted\n</Directory>\n"
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
    running = server(
        script(APP),
        config="""
SetEnv SEEN 1
GlobalLog "@ROOT@/global" "%v %U"
CustomLog "@ROOT@/seen" "%U" env=SEEN
CustomLog "@ROOT@/unseen" "%U" env=!SEEN
CustomLog "@ROOT@/good" "%U" "expr=%{REQUEST_STATUS} -lt 400 && %{resp:X-Shown} == '/one'"
CustomLog "@ROOT@/bad" "%U" "expr=%{REQUEST_STATUS} -ge 400 && %{REQUEST_URI} =~ m#^/gone#"
Redirect gone /gone
CustomLog "|$exec cat >> @ROOT@/piped" "piped %U"
""",
    )
    assert running.get("/one").status_code == 200
    assert one_line(running.root / "seen") == "/one"
    assert one_line(running.root / "global") == "127.0.0.1 /one"
    assert one_line(running.root / "piped") == "piped /one"
    assert running.get("/gone/x").status_code == 410
    assert running.get("/two").status_code == 200
    assert one_line(running.root / "bad") == "/gone/x"
    assert one_line(running.root / "piped", 3) == "piped /two"
    assert (running.root / "good").read_text() == "/one\n"
    assert (running.root / "bad").read_text() == "/gone/x\n"
    # SetEnv comes after the redirect, as in Apache
    assert (running.root / "unseen").read_text() == "/gone/x\n"


@pytest.mark.ours
def test_rotated_logs(server, script, tmp_path):
    """A stand-in for rotatelogs gets the file name and the size, and the lines."""
    program = tmp_path / "rotate it"
    program.write_text('#!/bin/sh\necho "$2" > "$1.size"\nexec cat > "$1.log"\n')
    program.chmod(0o755)
    running = server(
        script(APP), "--rotate-logs", "--max-log-size", "3", "--access-log", "--rotatelogs-executable", program
    )
    assert running.get("/one").status_code == 200
    base = "access_log.%Y-%m-%d-%H_%M_%S"
    assert '"GET /one HTTP/1.1" 200 5' in one_line(running.root / f"{base}.log")
    assert (running.root / f"{base}.size").read_text() == "3M\n"
    assert running.get("/error").status_code == 200
    assert "said by the application" in one_line(running.root / "error_log.%Y-%m-%d-%H_%M_%S.log", 2)


HOSTS = """
ErrorLogFormat connection "connection %{c}L from %a to %A"
ErrorLogFormat request "request %L: %{X-Ask}i %{SITE}e"
ErrorLogFormat "[%{cu}t] [%-m:%l] %v %V %L %-{c}L %k [client\\ %a] %M"
SetEnv SITE main
<VirtualHost *:@PORT@>
    ServerName main.example
    WSGIScriptAlias / @APP@
</VirtualHost>
<VirtualHost *:@PORT@>
    ServerName own.example
    ErrorLog "@ROOT@/own_error"
    ErrorLogFormat "%{u}t %P %l: %M"
    LogLevel info
    WSGIScriptAlias / @APP@
    <Location /debug>
        LogLevel wsgi:debug
    </Location>
    <Location /quiet>
        LogLevel crit
    </Location>
    Alias /secret @ROOT@
    <Location /secret>
        Require all denied
        LogLevel authz_core:debug
    </Location>
</VirtualHost>
"""

TALKER = '''
import logging, os, sys
import mod_wsgi
log = logging.getLogger("app")
log.addHandler(mod_wsgi.LogHandler())
log.setLevel(1)
log.propagate = False
print("loaded")

def application(environ, start_response):
    mark = environ["QUERY_STRING"]
    print("errors " + mark + " \\x1b[31m\\r", file=environ["wsgi.errors"])
    for level in ("critical", "error", "warning", "info", "debug"):
        getattr(log, level)(level + " " + mark)
    if "fork" in environ["PATH_INFO"]:
        pid = os.fork()
        if not pid:
            print("child " + mark, file=environ["wsgi.errors"])
            environ["wsgi.errors"].flush()
            os._exit(0)
        os.waitpid(pid, 0)
    if "raise" in environ["PATH_INFO"]:
        raise ValueError(mark)
    start_response("200 OK", [])
    return [environ["mod_wsgi.request_id"].encode(), b" ", environ["mod_wsgi.connection_id"].encode()]
'''


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """Two virtual hosts whose error logs differ in file, format and level."""
    from harness import finish_all, start

    folder = tmp_path_factory.mktemp("hosts")
    (folder / "talker.wsgi").write_text(TALKER)
    config = HOSTS.replace("@APP@", str(folder / "talker.wsgi"))
    running = start(folder / "talker.wsgi", root=folder / "root", config=config)
    running.own = running.root / "own_error"
    yield running
    finish_all([running])


def records(path, mark):
    """The lines with the mark, once one of them is there."""
    def found():
        return path.exists() and [line for line in path.read_text().splitlines() if mark in line]

    return wait_for(found, 5, f"{mark} in {path}")


@pytest.mark.ours
def test_error_log_format(hosts):
    with hosts.conn() as conn:
        for number in range(2):
            conn.send(b"GET /x?fmt%d HTTP/1.1\r\nHost: Main.example:80\r\nX-Ask: me\r\n\r\n" % number)
            request_id, connection_id = conn.response()[2].decode().split()
            text = hosts.log()
            port = conn.sock.getsockname()[1]
            stamp = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\]"
            assert re.search(
                rf"^{stamp} \[wsgi:error\] main\.example Main\.example {request_id} {connection_id} {number} "
                rf"\[client 127\.0\.0\.1:{port}\] \[script /.*\.wsgi\] errors fmt{number} \\x1b\[31m\\r$",
                text, re.M,
            ), text
            assert len(re.findall(rf"^request {request_id}: me main$", text, re.M)) == 1, text
            line = rf"^connection {connection_id} from 127.0.0.1:{port} to 127.0.0.1:{hosts.port}$"
            assert len(re.findall(line, text, re.M)) == 1


@pytest.mark.ours
def test_error_log_of_a_host_has_the_messages_of_its_requests(hosts):
    host = {"Host": "own.example"}
    hosts.get("/x?at-host", headers=host)
    lines = records(hosts.own, "at-host")
    form = r"\w{3} \w{3} \d\d \d\d:\d\d:\d\d\.\d{6} \d{4} \d+ error: \[script /.*\.wsgi\] errors at-host"
    assert re.match(form, lines[0]), lines
    assert [line.split("] ")[1].split()[0] for line in lines] == ["errors", "critical", "error", "warning", "info"]
    hosts.get("/raise?in-host", headers=host)
    assert any("ValueError" in line for line in records(hosts.own, "in-host"))
    hosts.get("/fork?in-child", headers=host)
    wait_for(lambda: any("child" in line for line in records(hosts.own, "in-child")), 5, "the child's line")
    assert "-host" not in hosts.log() and "in-child" not in hosts.log()


@pytest.mark.ours
def test_log_level_of_a_directory(hosts):
    host = {"Host": "own.example"}
    hosts.get("/debug?at-debug", headers=host)
    assert len(records(hosts.own, "at-debug")) == 6
    hosts.get("/quiet?at-quiet", headers=host)
    assert ["critical" in line for line in records(hosts.own, "at-quiet")] == [True]


@pytest.mark.ours
def test_messages_of_the_server_go_to_the_host(hosts):
    assert hosts.get("/secret/x", headers={"Host": "own.example"}).status_code == 403
    assert hosts.get("/nothing/../../x", headers={"Host": "own.example"}).status_code in (200, 400)
    assert hosts.log().count("loaded") == 1


@pytest.mark.ours
def test_default_error_log_format_has_client_and_referer(server, script):
    running = server(script(TALKER))
    with running.conn() as conn:
        conn.send(b"GET /?default HTTP/1.1\r\nHost: x\r\nReferer: http://from.example/\r\n\r\n")
        conn.response()
        port = conn.sock.getsockname()[1]
    running.wait_log(
        r"^\[\w{3} \w{3} \d\d \d\d:\d\d:\d\d\.\d{6} \d{4}\] \[wsgi:error\] \[pid \d+:tid \d+\] "
        rf"\[remote 127\.0\.0\.1:{port}\] \[script /.*\.wsgi\] error default, referer: http://from\.example/$"
    )


@pytest.mark.direct
def test_access_log_names_the_error_log_record(site):
    answer = []
    with_id = logged(site, "process", lambda: answer.append(site.get("/error").text))
    assert with_id.split()[-1] == answer[0]


@pytest.mark.ours
def test_bad_formats_are_refused(tmp_path):
    import subprocess

    from harness import COMMAND, ENVIRON

    for line, hint in (("ErrorLogFormat none", "%M"), ('ErrorLogFormat "%M %q"', "%q"), ('LogFormat "%Q"', "%Q")):
        (tmp_path / "bad.conf").write_text(f"Listen 8000\n{line}\n")
        answer = subprocess.run([*COMMAND, "check", tmp_path / "bad.conf"], capture_output=True, text=True, timeout=30,
                                env=ENVIRON)
        assert answer.returncode == 1 and hint in answer.stdout and "bad.conf:2: error" in answer.stdout


@pytest.mark.ours
@pytest.mark.parametrize("zone", [
    pytest.param("Asia/Kolkata", marks=pytest.mark.skipif(not os.path.exists("/usr/share/zoneinfo/Asia/Kolkata"),
                                                          reason="needs tzdata")),
    "IST-5:30",  # POSIX: west of Greenwich counts
    "IST-5:30XST-5:30,M3.5.0,M10.5.0/3",
])
def test_one_time_zone(server, script, tmp_path, zone):
    """The server's: of the access log, records of Go and of Python, whatever an application does to its process."""
    log = tmp_path / "access"
    app = script("""
import os, time, sys
os.environ["TZ"] = "America/New_York"
time.tzset()

def application(environ, start_response):
    print("said by the application", file=environ["wsgi.errors"])
    start_response("200 OK", [])
    return [time.strftime("%z").encode()]
""")
    running = server(app, "--log-to-terminal", env={"TZ": zone}, config=f"""
ErrorLogFormat "[%{{cuz}}t] [%{{%z %Z}}t] %M"
CustomLog "{log}" "%t %{{%z %Z}}t"
<Location /closed>
    Require all denied
</Location>
""")
    assert running.get("/").text in ("-0400", "-0500")
    assert running.get("/closed").status_code == 403
    for record in ("said by the application", "AH01630"):
        line = wait_for(lambda word=record: next((x for x in running.output().splitlines() if word in x), None))
        assert re.search(r" \+0530\] \[\+0530 (IST|XST)\] ", line), line
    assert re.search(r" \+0530\] \+0530 (IST|XST)$", one_line(log))


@pytest.mark.ours
def test_time_to_the_first_byte(server, script, tmp_path):
    """In microseconds, where LogIOTrackTTFB says so; of streams, files and the server's own pages."""
    log = tmp_path / "access"
    (tmp_path / "file.txt").write_text("text")
    app = script("""
import time

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first" * 10000
    if environ["PATH_INFO"].endswith("/slow"):
        time.sleep(0.7)
    yield b"last"
""")
    running = server(app, config=f"""
Alias /file "{tmp_path}/file.txt"
<Directory "{tmp_path}">
    Require all granted
</Directory>
LogIOTrackTTFB On
<Location /off>
    LogIOTrackTTFB Off
</Location>
CustomLog "{log}" "%U %^FB %D"
""")
    paths = ["/slow", "/quick", "/file", "/file", "/off/slow", "/missing"]
    for path in paths:
        running.get(path)
    wait_for(lambda: log.exists() and len(log.read_text().splitlines()) == len(paths))
    lines = [line.split() for line in log.read_text().splitlines()]
    assert [line[0] for line in lines] == paths
    for path, first, total in lines:
        assert (first == "-") if path == "/off/slow" else (0 < int(first) <= int(total)), (path, first, total)
    slow = lines[0]
    assert int(slow[1]) < int(slow[2]) - 500_000  # the first block did not wait for the last one


@pytest.mark.ours
@pytest.mark.parametrize("merged", [False, True])
def test_trailers(server, script, tmp_path, merged):
    """Fields behind a chunked body, not seen by applications among those of the head; logs with MergeTrailers On do."""
    log = tmp_path / "access"
    app = script("""
def application(environ, start_response):
    body = environ["wsgi.input"].read() if environ["PATH_INFO"] != "/unread" else b""
    start_response("200 OK", [])
    return [body + str(environ.get("HTTP_X_SUM")).encode()]
""")
    line = f'CustomLog "{log}" "%U %{{x-sum}}^ti %{{X-None}}^ti %{{x-sum}}^to (%{{x-sum}}i) (%{{X-Both}}i)"'
    running = server(app, config=f"WSGIChunkedRequest On\nMergeTrailers {'On' if merged else 'Off'}\n{line}\n")
    for path in (b"/read", b"/unread"):
        with running.conn() as conn:
            head = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nX-Both: 1\r\n\r\n" % path
            tail = b"3\r\nabc\r\n0\r\nX-Sum:  12 3 \r\nX-Both: 2\r\n\r\n"
            conn.send(head + tail + b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
            _, _, body = conn.response()
            assert body.endswith(b"None")
            conn.response()
    wait_for(lambda: log.exists() and len(log.read_text().splitlines()) == 4)
    fields = "(12 3) (1, 2)" if merged else "(-) (1)"
    after = "/next - - - (-) (-)"
    assert log.read_text().splitlines() == [f"/read 12 3 - - {fields}", after, f"/unread 12 3 - - {fields}", after]
