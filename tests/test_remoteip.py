"""mod_remoteip and mod_unique_id: who the client is, and which request it is, to the application, rules and logs."""

import json

import httpx
import pytest

from harness import wait_for

pytestmark = pytest.mark.ours

SHOW = """
import json
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    if environ["PATH_INFO"] == "/log":
        print("a line", file=environ["wsgi.errors"])
    return [json.dumps({k: v for k, v in environ.items() if isinstance(v, str)}).encode()]
"""
CONFIG = """
LoadModule unique_id_module modules/mod_unique_id.so
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
RemoteIPTrustedProxy 203.0.113.0/24
RemoteIPProxiesHeader X-Via
<Location /only>
    Require ip 192.0.2.0/24
</Location>
ErrorLogFormat "%a %{c}a %M"
CustomLog "@ROOT@/who" "%a %{c}a %h %{UNIQUE_ID}e"
ErrorDocument 403 /page
"""


@pytest.fixture
def site(server, script):
    return server(script(SHOW), config=CONFIG)


def last(path, count):
    def lines():
        found = path.read_text().splitlines() if path.exists() else []
        return len(found) >= count and found

    return wait_for(lines, 5, f"{count} lines in {path}")[-1]


def test_address_reaches_application_and_logs(site):
    seen = site.json("/log", headers={"X-Forwarded-For": "1.2.3.4, 192.0.2.9, 203.0.113.5", "X-Via": "forged"})
    assert seen["REMOTE_ADDR"] == "192.0.2.9"
    assert seen["HTTP_X_FORWARDED_FOR"] == "1.2.3.4"
    assert seen["HTTP_X_VIA"] == "203.0.113.5"
    assert last(site.root / "who", 1) == f"192.0.2.9 127.0.0.1 192.0.2.9 {seen['UNIQUE_ID']}"
    port = seen["REMOTE_PORT"]
    site.wait_log(rf"^192\.0\.2\.9:{port} 127\.0\.0\.1:{port} \[script .*\] a line$")


def test_field_that_was_used_up_is_gone(site):
    seen = site.json("/", headers={"X-Forwarded-For": "192.0.2.9"})
    assert "HTTP_X_FORWARDED_FOR" not in seen and "HTTP_X_VIA" not in seen


def test_field_without_address_changes_nothing(site):
    seen = site.json("/", headers={"X-Forwarded-For": "unknown"})
    assert (seen["REMOTE_ADDR"], seen["HTTP_X_FORWARDED_FOR"]) == ("127.0.0.1", "unknown")


@pytest.mark.parametrize("client, status", [("192.0.2.1", 200), ("198.51.100.1", 403), (None, 403)])
def test_access_rules_see_the_client(site, client, status):
    assert site.get("/only", headers={"X-Forwarded-For": client} if client else {}).status_code == status


def test_unique_id(site):
    seen = [site.json("/")["UNIQUE_ID"] for _ in range(5)]
    assert len(set(seen)) == 5 and all(len(text) == 24 for text in seen)
    page = json.loads(site.get("/only").text)
    assert page["UNIQUE_ID"] == page["REDIRECT_UNIQUE_ID"]


def test_no_unique_id_without_the_module(server, script):
    assert "UNIQUE_ID" not in server(script(SHOW)).json("/")


V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes([192, 0, 2, 7, 127, 0, 0, 1]) + b"\x12\x34\x00\x50"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def proxied(server, script):
    return server(script(SHOW), config='RemoteIPProxyProtocol On\nCustomLog "@ROOT@/who" "%a %k"\n')


@pytest.mark.parametrize("header, address", [
    (b"PROXY TCP4 192.0.2.7 127.0.0.1 4660 80\r\n", ("192.0.2.7", "4660")),
    (b"PROXY TCP6 2001:db8::7 ::1 4660 80\r\n", ("2001:db8::7", "4660")),
    (V2, ("192.0.2.7", "4660")),
    (b"PROXY UNKNOWN\r\n", ("127.0.0.1", None)),
])  # fmt: skip
def test_proxy_header(proxied, header, address):
    with proxied.conn() as conn:
        for part in (header[:5], header[5:], GET):
            conn.send(part)
        for _ in range(2):  # it holds for the connection
            seen = json.loads(conn.response()[2])
            assert seen["REMOTE_ADDR"] == address[0]
            assert seen["REMOTE_PORT"] == (address[1] or str(conn.sock.getsockname()[1]))
            conn.send(GET)
        conn.response()
    assert last(proxied.root / "who", 3).startswith(address[0])


def test_connection_without_proxy_header_is_closed(proxied):
    assert proxied.raw(GET) == b""
    proxied.wait_log(r"\[remoteip:error\] .*does not begin with a PROXY header; connection of 127\.0\.0\.1")


def test_exceptions_begin_with_http(server, script):
    running = server(script(SHOW), config="RemoteIPProxyProtocol On\nRemoteIPProxyProtocolExceptions 127.0.0.0/8\n")
    assert running.json("/")["REMOTE_ADDR"] == "127.0.0.1"
    assert running.raw(V2 + GET).startswith(b"HTTP/1.1 400 ")


def test_client_is_known_after_a_reload(proxied, tmp_path):
    """A connection that goes to the successor takes its PROXY header along."""
    with proxied.conn() as conn:
        conn.send(V2 + GET)
        before = json.loads(conn.response()[2])
        (tmp_path / "app.wsgi").write_text(SHOW + "\n# changed\n")

        def replaced():
            conn.send(GET)
            seen = json.loads(conn.response()[2])
            assert seen["REMOTE_ADDR"] == "192.0.2.7"
            return seen["mod_wsgi.server_pid"] != before["mod_wsgi.server_pid"]

        wait_for(replaced, 10, "another process")


@pytest.mark.parametrize(("proxy", "address"), [("127.0.0.1", "192.0.2.9"), ("10.0.0.1", "")])
def test_proxy_on_a_unix_socket(server, script, proxy, address):
    """It counts as 127.0.0.1: who may connect is a matter of the socket's permissions."""
    lines = f"Listen unix:@ROOT@/sock\nRemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy {proxy}\n"
    running = server(script(SHOW), config=lines)
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(running.root / "sock")), trust_env=False) as client:
        seen = client.get("http://x/", headers={"X-Forwarded-For": "192.0.2.9"}).json()
    assert seen.get("REMOTE_ADDR", "") == address
    assert ("HTTP_X_FORWARDED_FOR" in seen) is (address == "")
