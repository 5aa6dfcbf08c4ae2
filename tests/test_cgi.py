"""CGI programs over real sockets: answers, bodies, time-outs, errors, and what must never be shown."""

import os

import httpx
import pytest

from harness import alive, parse, wait_for

GROUP = """
WSGIProcessGroup "127.0.0.1:@PORT@"
WSGIApplicationGroup %{GLOBAL}
CGIScriptTimeout 2
"""

PROGRAMS = {
    "hello.cgi": "printf 'Content-Type: text/plain\\n\\nhello %s' \"$QUERY_STRING\"",
    "env.cgi": "printf 'Content-Type: text/plain\\n\\n'; env",
    "cat.cgi": "printf 'Content-Type: application/octet-stream\\n\\n'; cat",
    "status.cgi": "printf 'Status: 418 Odd\\nContent-Type: text/plain\\nX-Own: yes\\n\\nbody of its own'",
    "away.cgi": "printf 'Location: http://other.test/\\n\\n'",
    "local.cgi": "printf 'Location: /hello.cgi?inside\\n\\n'",
    "toapp.cgi": "printf 'Location: /app/inside\\n\\n'",
    "empty.cgi": "echo gone >&2",
    "silent.cgi": "echo $$ > pid; exec sleep 60",
    "slow.cgi": "printf 'Content-Type: text/plain\\n\\n'; for i in 1 2 3; do echo $i; "
    "until [ -e seen$i ]; do sleep 0.02; done; done",
    "big.cgi": "printf 'Content-Type: application/octet-stream\\n\\n'; head -c 5000000 /dev/zero",
    "length.cgi": "printf 'Content-Type: text/plain\\nContent-Length: 5\\n\\n12345'",
    "fds.cgi": "printf 'Content-Type: text/plain\\n\\n'; ls -l /proc/$$/fd",
    "nph-raw.cgi": "printf 'HTTP/1.1 200 Mine\\r\\nX-Raw: 1\\r\\nConnection: close\\r\\n\\r\\nraw'",
    "secret.cgi": "echo the source",
}

APP = """
def application(environ, start_response):
    body = ("app " + environ["PATH_INFO"]).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    from harness import finish_all, start

    folder = tmp_path_factory.mktemp("cgi")
    docs = folder / "docs"
    (docs / "off").mkdir(parents=True)
    (folder / "bin").mkdir()
    for name, text in PROGRAMS.items():
        for path in (docs / name, docs / "off" / name, folder / "bin" / name):
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
    (docs / "app.wsgi").write_text(APP)
    config = f"""{GROUP}
DocumentRoot "{docs}"
ScriptAlias /bin/ "{folder}/bin/"
Alias /plain/ "{folder}/bin/"
WSGIScriptAlias /app "{docs}/app.wsgi"
AddHandler cgi-script .cgi
ErrorDocument 404 /cat.cgi
SetEnv FROM_CONFIG yes
<Directory "{docs}">
    Require all granted
    Options +ExecCGI
</Directory>
<Directory "{docs}/off">
    Options -ExecCGI
</Directory>
<Directory "{folder}/bin">
    Require all granted
</Directory>
"""
    running = start(docs / "app.wsgi", "--mount-point", "/main", root=folder / "root", config=config)
    running.docs = docs
    yield running
    finish_all([running])


def test_answers(site):
    answer = site.get("/hello.cgi?world")
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (200, "hello world", "text/plain")
    assert site.get("/bin/hello.cgi?x").text == "hello x"
    answer = site.get("/status.cgi")
    assert (answer.status_code, answer.text, answer.headers["x-own"]) == (418, "body of its own", "yes")
    answer = site.get("/away.cgi")
    assert (answer.status_code, answer.headers["location"]) == (302, "http://other.test/")
    assert site.get("/local.cgi").text == "hello inside"
    assert site.get("/length.cgi").text == "12345"
    assert len(site.get("/big.cgi").content) == 5_000_000
    with site.conn() as conn:
        for n in range(3):
            conn.send(f"GET /hello.cgi?{n} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert conn.response()[2] == f"hello {n}".encode()


def test_a_local_redirect_to_an_application_goes_through_the_client(site):
    answer = site.get("/toapp.cgi")
    assert answer.status_code == 302
    assert answer.headers["location"] == f"{site.url}/app/inside"


def test_head(site):
    raw = site.raw(b"HEAD /hello.cgi?x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    status, _, body = parse(raw)
    assert (status, body) == (200, b"")


def test_environment(site):
    text = site.get(
        "/env.cgi/a%20b/c?x=y", headers={"X-Test": "1", "Proxy": "http://evil.test", "Authorization": "Basic eA=="}
    ).text
    seen = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert seen["SCRIPT_NAME"] == "/env.cgi"
    assert seen["PATH_INFO"] == "/a b/c"
    assert seen["PATH_TRANSLATED"] == f"{site.docs}/a b/c"
    assert seen["QUERY_STRING"] == "x=y"
    assert seen["SERVER_PORT"] == str(site.port)
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert seen["HTTP_X_TEST"] == "1"
    assert seen["FROM_CONFIG"] == "yes"
    assert seen["GATEWAY_INTERFACE"] == "CGI/1.1"
    assert "HTTP_PROXY" not in seen and "HTTP_AUTHORIZATION" not in seen
    assert not [name for name in seen if name.startswith("MOD_WSGI")], "the server's own environment stays with it"


@pytest.mark.parametrize("size", [0, 10, 200_000, 3_000_000])
def test_bodies(site, size):
    body = os.urandom(size)
    answer = httpx.post(site.url + "/cat.cgi", content=body, timeout=30)
    assert (answer.status_code, answer.content == body) == (200, True)


def test_chunked_body_and_expect(site):
    def blocks():
        for n in range(50):
            yield str(n).encode() * 1000

    answer = httpx.post(site.url + "/cat.cgi", content=blocks(), timeout=30)
    assert answer.content == b"".join(blocks())
    with site.conn() as conn:
        conn.send(b"POST /cat.cgi HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert conn.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        conn.send(b"abc")
        assert conn.response()[2] == b"abc"


def test_a_client_that_waits_is_let_go_on_before_the_answer_begins(site):
    """However fast the program's first words are: behind them no 100 (Continue) can come."""
    for _ in range(30):
        with site.conn() as conn:
            conn.send(b"POST /cat.cgi HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            assert conn.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
            conn.send(b"12345")
            assert conn.response()[2] == b"12345"


def test_output_comes_as_it_is_written(site):
    """The program makes no line before the one above it has been seen."""
    with httpx.stream("GET", site.url + "/slow.cgi") as answer:
        seen = []
        for line in answer.iter_lines():
            seen.append(line)
            (site.docs / f"seen{line}").touch()
    assert seen == ["1", "2", "3"]


def test_errors(site):
    assert site.get("/empty.cgi").status_code == 500
    site.wait_log("stderr from .*/empty.cgi: gone")
    site.wait_log("end of script output before headers: empty.cgi")


def test_a_silent_program_times_out_and_ends(site):
    (site.docs / "pid").unlink(missing_ok=True)
    assert site.get("/silent.cgi", timeout=20).status_code == 504
    pid = int((site.docs / "pid").read_text())
    wait_for(lambda: not alive(pid), 5, "the end of the program")


def test_a_client_that_leaves_ends_the_program(site):
    (site.docs / "pid").unlink(missing_ok=True)
    with site.conn() as conn:
        conn.send(b"GET /silent.cgi HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: (site.docs / "pid").exists() and (site.docs / "pid").read_text().strip(), 5, "the program")
    pid = int((site.docs / "pid").read_text())
    wait_for(lambda: not alive(pid), 8, "the end of the program")


def test_the_source_is_never_shown(site):
    for path in ("/off/secret.cgi", "/plain/secret.cgi", "/off/secret.cgi/x"):
        answer = site.get(path)
        assert answer.status_code == 403
        assert "source" not in answer.text
    (site.docs / "plain.cgi").write_text("#!/bin/sh\necho the source\n")
    answer = site.get("/plain.cgi")
    assert answer.status_code == 403 and "source" not in answer.text


def test_error_document_by_a_program(site):
    answer = site.get("/no/such/file")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/octet-stream"


def test_descriptors_of_the_server_stay_with_it(site):
    lines = [line for line in site.get("/fds.cgi").text.splitlines() if "->" in line]
    numbers = sorted(int(line.split("->")[0].split()[-1]) for line in lines)
    assert [n for n in numbers if n > 2 and n != 10 and n != 255] == [], lines  # shells keep the script at 10 or 255


def test_nph(site):
    raw = site.raw(b"GET /nph-raw.cgi HTTP/1.1\r\nHost: x\r\n\r\n")
    assert raw == b"HTTP/1.1 200 Mine\r\nX-Raw: 1\r\nConnection: close\r\n\r\nraw"
