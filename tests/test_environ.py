"""The environ that an application sees (PEP 3333, RFC 3875, and the keys of mod_wsgi)."""

import json
import time

import pytest

from harness import SINK, Conn, finish_all, start


@pytest.fixture
def dump(sink):
    """Sends a request head as raw bytes and returns (environ, types)."""

    def send(target="/environ", *lines, method="GET", version="HTTP/1.1", host="Host: example.test"):
        head = "\r\n".join([f"{method} {target} {version}", *([host] if host else []), *lines, "", ""])
        with Conn(sink.port) as conn:
            conn.send(head.encode("latin-1"))
            status, _, body = conn.response()
        assert status == 200, body
        answer = json.loads(body)
        return answer["environ"], answer["types"]

    return send


def test_cgi_keys(dump, sink):
    environ, types = dump("/environ?a=1&b=%20x")
    expected = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/environ", "QUERY_STRING": "a=1&b=%20x",
        "REQUEST_URI": "/environ?a=1&b=%20x", "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_PORT": str(sink.port),
        "SERVER_ADDR": "127.0.0.1", "REMOTE_ADDR": "127.0.0.1", "REQUEST_SCHEME": "http",
        "HTTP_HOST": "example.test",
    }
    assert {key: environ.get(key) for key in expected} == expected
    assert environ["REMOTE_PORT"].isdigit()
    assert environ["SERVER_SOFTWARE"] and environ["SERVER_NAME"]
    assert all(types[key] == "builtins.str" for key in environ if "." not in key)


def test_wsgi_keys(dump):
    environ, types = dump()
    assert environ["wsgi.version"] == [1, 0] and types["wsgi.version"] == "builtins.tuple"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.multithread"] is True
    assert environ["wsgi.multiprocess"] is False
    assert environ["wsgi.run_once"] is False
    assert environ["wsgi.input_terminated"] is True
    assert types["wsgi.input"] == "mod_wsgi.Input"
    assert types["wsgi.errors"] == "_io.TextIOWrapper"
    assert types["wsgi.file_wrapper"] == "builtins.type"


def test_mod_wsgi_keys(dump, sink):
    before = time.time()
    environ, types = dump()
    after = time.time()
    assert types["mod_wsgi.version"] == "builtins.tuple" and len(environ["mod_wsgi.version"]) == 3
    assert environ["mod_wsgi.process_group"] == f"127.0.0.1:{sink.port}"
    assert environ["mod_wsgi.application_group"] == ""
    assert types["mod_wsgi.callable_object"] == "builtins.str"
    assert environ["mod_wsgi.listener_port"] == str(sink.port)
    assert environ["mod_wsgi.server_pid"].isdigit()
    assert types["mod_wsgi.thread_id"] == "builtins.int"
    for key in ("request_start", "queue_start", "daemon_start", "application_start"):
        assert types["mod_wsgi." + key] == "builtins.float"
        assert before - 1 <= environ["mod_wsgi." + key] <= after + 1
    assert environ["mod_wsgi.request_start"] <= environ["mod_wsgi.application_start"]


def test_absent_keys(dump):
    environ, _ = dump("/environ", "Proxy: http://evil.test", "Content-Type: text/x", "Content-Length: 0")
    for key in ("HTTPS", "PATH", "GATEWAY_INTERFACE", "PATH_TRANSLATED", "REMOTE_HOST", "REMOTE_USER", "AUTH_TYPE",
                "HTTP_PROXY", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "SERVER_SIGNATURE"):
        assert key not in environ
    assert not [key for key in environ if key.startswith(("mod_wsgi.x-", "mod_ssl."))]
    assert environ["CONTENT_TYPE"] == "text/x" and environ["CONTENT_LENGTH"] == "0"


def test_no_content_keys_without_headers(dump):
    environ, _ = dump()
    assert "CONTENT_TYPE" not in environ and "CONTENT_LENGTH" not in environ


def test_header_mapping(dump):
    environ, _ = dump(
        "/environ", "X-Some-Thing: value", "x-lower:  padded \t", "Accept: a", "Accept: b", "X-Empty:",
        "X-Latin: caf\xe9", "Cookie: a=1", "X_Under: no", "X.Dot: no", "Transfer-Encodingx: y")
    assert environ["HTTP_X_SOME_THING"] == "value"
    assert environ["HTTP_X_LOWER"] == "padded"
    assert environ["HTTP_ACCEPT"] == "a, b"
    assert environ["HTTP_X_EMPTY"] == ""
    assert environ["HTTP_X_LATIN"] == "caf\xe9"
    assert environ["HTTP_COOKIE"] == "a=1"
    assert not [key for key in environ if "UNDER" in key or "DOT" in key]


def test_underscore_cannot_shadow_a_header(dump):
    environ, _ = dump("/environ", "X-User: real", "X_User: forged")
    assert environ["HTTP_X_USER"] == "real"


def test_authorization_is_passed_by_express(dump):
    environ, _ = dump("/environ", "Authorization: Basic YTpi")
    assert environ["HTTP_AUTHORIZATION"] == "Basic YTpi"


@pytest.mark.parametrize(("target", "path_info"), [
    ("/environ/a%20b", "/environ/a b"),
    ("/environ/%C3%A9", "/environ/\xc3\xa9"),
    ("/environ//x///y", "/environ/x/y"),
    ("/environ/a/../b", "/environ/b"),
    ("/environ/./b", "/environ/b"),
    ("/environ/%41;p=1", "/environ/A;p=1"),
    ("/environ/a+b", "/environ/a+b"),
    ("/environ/%25", "/environ/%"),
])
def test_path_info_is_decoded(dump, target, path_info):
    environ, _ = dump(target + "?q=%41")
    assert environ["PATH_INFO"] == path_info
    assert environ["REQUEST_URI"] == target + "?q=%41"
    assert environ["QUERY_STRING"] == "q=%41"


def test_http_10_without_host(dump):
    environ, _ = dump(version="HTTP/1.0", host=None)
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert "HTTP_HOST" not in environ


def test_environ_is_fresh(sink):
    for _ in range(4):
        assert sink.json("/fresh-environ") == {"stale": False}
    assert sink.json("/environ")["environ"]["SERVER_NAME"] != "spoiled"


def test_header_values_do_not_leak_between_requests(sink):
    """Two requests on one connection: what only the first one carried must not reach the second."""
    with sink.conn() as conn:
        conn.send(b"GET /environ?one HTTP/1.1\r\nHost: first.test\r\nX-Only: 1\r\nCookie: secret\r\n\r\n")
        conn.response()
        conn.send(b"GET /environ HTTP/1.1\r\nHost: second.test\r\n\r\n")
        _, _, body = conn.response()
    assert b"first.test" not in body and b"HTTP_X_ONLY" not in body and b"secret" not in body and b'"one"' not in body


def test_mount_point(server):
    running = server(None, "--mount-point", "/app", "--entry-point", SINK)
    environ = running.json("/app/environ/x")["environ"]
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/app", "/environ/x")
    assert running.get("/elsewhere").status_code == 404


def test_options_that_change_the_environ(server):
    running = server(SINK, "--threads", "1", "--processes", "2", "--setenv", "KITCHEN", "sink",
                     "--passenv", "MODWSGI_TEST_PASSED", env={"MODWSGI_TEST_PASSED": "through"})
    environ = running.json("/environ")["environ"]
    assert environ["wsgi.multithread"] is False
    assert environ["wsgi.multiprocess"] is True
    assert environ["KITCHEN"] == "sink"
    assert environ["MODWSGI_TEST_PASSED"] == "through"


def test_module_and_process(server):
    running = server(SINK, "--threads", "3")
    module = running.json("/module")
    assert module["process_group"] == f"127.0.0.1:{running.port}"
    assert module["application_group"] == ""
    assert (module["maximum_processes"], module["threads_per_process"]) == (1, 3)
    assert module["wrapper_is_class"] is True
    assert running.json("/process")["argv"] == ["mod_wsgi"]


def test_working_directory_and_python_path(server, tmp_path):
    (tmp_path / "lib").mkdir()
    running = server(SINK, "--working-directory", str(tmp_path), "--python-path", str(tmp_path / "lib"))
    process = running.json("/process")
    assert process["cwd"] == str(tmp_path)
    assert str(tmp_path / "lib") in process["path"]


@pytest.mark.parametrize(("sent", "expected"), [
    ({"X-Forwarded-For": "10.1.2.3"}, {"REMOTE_ADDR": "10.1.2.3"}),
    ({"X-Forwarded-Proto": "https"}, {"wsgi.url_scheme": "https"}),
    ({"X-Forwarded-Host": "front.test"}, {"HTTP_HOST": "front.test"}),
    ({"X-Forwarded-Port": "8443"}, {"SERVER_PORT": "8443"}),
    ({"X-Real-IP": "10.9.9.9"}, {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_REAL_IP": None}),
])
def test_trusted_proxy_headers(proxied, sent, expected):
    environ = proxied.json("/environ", headers=sent)["environ"]
    assert {key: environ.get(key) for key in expected} == expected


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    options = []
    for name in ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"):
        options += ["--trust-proxy-header", name]
    running = start(SINK, *options, root=tmp_path_factory.mktemp("proxied"))
    yield running
    finish_all([running])


def test_untrusted_peer_loses_proxy_headers(server):
    running = server(SINK, "--trust-proxy-header", "X-Forwarded-For", "--trust-proxy", "10.0.0.0/8")
    environ = running.json("/environ", headers={"X-Forwarded-For": "10.1.2.3"})["environ"]
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert "HTTP_X_FORWARDED_FOR" not in environ



def test_a_kept_connection_sees_what_a_fresh_one_sees(sink):
    """Requests that repeat, and that differ in one thing from the one before, on one connection.

    The server keeps the environ of a connection's last request and replaces what is new.
    """
    plain = ["Host: a.test", "User-Agent: one", "X-A: 1", "Cookie: c=1"]
    steps = [
        ("GET", "/environ", "HTTP/1.1", plain), ("GET", "/environ", "HTTP/1.1", plain),
        ("GET", "/environ", "HTTP/1.1", plain), ("GET", "/environ?q=1", "HTTP/1.1", plain),
        ("GET", "/environ", "HTTP/1.1", plain), ("GET", "/environ/x%20y?", "HTTP/1.1", plain),
        ("GET", "/environ/longer/path", "HTTP/1.1", plain), ("POST", "/environ", "HTTP/1.1", plain),
        ("GET", "/environ", "HTTP/1.1", plain), ("DELETE", "/environ", "HTTP/1.1", plain),
        ("GET", "/environ", "HTTP/1.0", [*plain, "Connection: keep-alive"]),
        ("GET", "/environ", "HTTP/1.1", [*plain, "Connection: keep-alive"]),
        ("GET", "/environ", "HTTP/1.1", [*plain[:3], "Cookie: c=2"]),
        ("GET", "/environ", "HTTP/1.1", plain), ("GET", "/environ", "HTTP/1.1", plain[:3]),
        ("GET", "/environ", "HTTP/1.1", ["Host: b.test:81", *plain[1:]]),
        ("GET", "/environ", "HTTP/1.1", ["Host: b.test:81", *plain[1:]]),
        ("GET", "/environ", "HTTP/1.1", plain), ("GET", "http://c.test/environ", "HTTP/1.1", plain),
        ("GET", "/environ", "HTTP/1.1", plain), ("GET", "/environ", "HTTP/1.1", plain),
    ]
    new = {"REMOTE_PORT", "mod_wsgi.connection_id", "mod_wsgi.request_id", "mod_wsgi.request_start",
           "mod_wsgi.queue_start", "mod_wsgi.daemon_start", "mod_wsgi.application_start",
           "mod_wsgi.thread_id", "wsgi.input"}  # the last two are the thread's

    def ask(conn, step):
        method, target, version, lines = step
        conn.send("\r\n".join([f"{method} {target} {version}", *lines, "", ""]).encode())
        return json.loads(conn.response()[2])["environ"]

    ids, ports = set(), set()
    with sink.conn() as kept:
        for number, step in enumerate(steps):
            seen = ask(kept, step)
            with sink.conn() as other:
                fresh = ask(other, step)
            assert {k: v for k, v in seen.items() if k not in new} == \
                {k: v for k, v in fresh.items() if k not in new}, (number, step)
            assert seen["mod_wsgi.request_id"] == f"{seen['mod_wsgi.connection_id']}-{number + 1:x}"
            ids.add(seen["mod_wsgi.connection_id"])
            ports.add(seen["REMOTE_PORT"])
    assert len(ids) == len(ports) == 1


def test_server_name_is_in_lower_case(dump):
    environ, _ = dump(host="Host: Example.TEST:99")
    assert environ["SERVER_NAME"] == "example.test" and environ["HTTP_HOST"] == "Example.TEST:99"


@pytest.mark.ours
@pytest.mark.parametrize("path", ["/environ/x", "/environ/x//y", "/environ/%41"])
@pytest.mark.parametrize(("lines", "scheme"), [
    ("SetEnv HTTPS on", "https"), ("SetEnv HTTPS 1", "https"), ("SetEnv HTTPS off", "http"), ("", "http"),
    ("SetEnvIf X-Scheme https HTTPS=on", "https"),
    ("SetEnv HTTPS on\nSetEnvIf X-Scheme https HTTPS=off", "https")])  # SetEnv comes last
def test_scheme_of_a_variable(server, path, lines, scheme):
    """The variable HTTPS decides wsgi.url_scheme, and is not passed on."""
    running = server(SINK, config=f'<Location "/">\n{lines}\n</Location>\n')
    environ = running.json(path, headers={"X-Scheme": "https"})["environ"]
    assert environ["wsgi.url_scheme"] == scheme and "HTTPS" not in environ
