"""TLS end to end: real handshakes by curl, openssl and httpx with server processes on a real configuration."""

import json
import os
import re
import socket
import ssl

import httpx
import pytest

from harness import parse, raw, wait_for
from tls import BEHIND, DIRECT, EMBEDDED, ONE, TWO, context, curl, get, s_client

pytestmark = pytest.mark.ours


@pytest.mark.parametrize("groups", [EMBEDDED, DIRECT, BEHIND], ids=["embedded", "direct", "behind"])
def test_environ(tls_site, groups):
    running = tls_site(groups=groups)
    for _ in range(2):
        seen = get(running, "/x?y").json()
        assert seen["wsgi.url_scheme"] == "https" and seen["REQUEST_SCHEME"] == "https"
        assert seen["SERVER_PORT"] == str(running.port) and seen["SERVER_NAME"] == "one.example"
        assert "HTTPS" not in seen
        assert not [k for k in seen if k.startswith("SSL_")], "only with StdEnvVars"
        # as in mod_wsgi, only where the application runs in the process that has the connection
        expected = [0, None] if groups == BEHIND else [1, "TLSv1.3"]
        assert [seen["is_https"], seen["lookup"]] == expected
    seen = httpx.get(f"http://127.0.0.1:{running.plain}/", trust_env=False).json()
    assert seen["wsgi.url_scheme"] == "http" and seen["is_https"] == 0


def test_default_port(tls_site):
    """Without a port in Host it is the scheme's own."""
    running = tls_site()
    with httpx.Client(verify=context(running.certs), trust_env=False) as http:
        seen = http.get(
            f"https://127.0.0.1:{running.port}/",
            headers={"Host": "one.example"},
            extensions={"sni_hostname": "one.example"},
        ).json()
    assert seen["SERVER_PORT"] in ("443", str(running.port))


@pytest.mark.parametrize("groups", [EMBEDDED, DIRECT, BEHIND], ids=["embedded", "direct", "behind"])
def test_bodies(tls_site, groups, tmp_path):
    running = tls_site(groups=groups)
    data = os.urandom(3_000_000)
    answer = get(running, "/upload", method="POST", content=data).json()
    assert answer == {"length": len(data), "sum": sum(data) % 65521}
    body = get(running, "/large").content
    assert len(body) == 8_000_000 and body.endswith(b"0000999\n")
    path = tmp_path / "data"
    path.write_bytes(data)
    assert get(running, f"/file?{path}").content == data


def test_keep_alive_and_curl(tls_site):
    running = tls_site()
    with httpx.Client(verify=context(running.certs), trust_env=False) as http:
        ports = {
            http.get(
                f"https://127.0.0.1:{running.port}/",
                headers={"Host": "one.example"},
                extensions={"sni_hostname": "one.example"},
            ).json()["REMOTE_PORT"]
            for _ in range(5)
        }
    assert len(ports) == 1
    status, body, said = curl(running)
    assert status == 200 and json.loads(body)["wsgi.url_scheme"] == "https", said


def test_hosts_by_name(tls_site):
    """Each host shows its own certificate, chain included; the first one serves unknown names."""
    chain = TWO.replace("two.example", "three.example").replace(
        "@MORE2@", 'SSLCertificateChainFile "@CERTS@/middle.pem"'
    )
    running = tls_site(ONE + TWO + chain)
    for name in ("one.example", "alias.example", "two.example", "three.example"):
        assert get(running, name=name).json()["SERVER_NAME"] == name
    assert "one.example" in s_client(running, name="unknown.example").split("-----BEGIN")[0]
    assert "one.example" in s_client(running, "-noservername").split("-----BEGIN")[0]
    assert len(re.findall("BEGIN CERTIFICATE", s_client(running, "-showcerts", name="three.example"))) == 2
    assert "Verify return code: 0 (ok)" in s_client(running, name="three.example")


def test_two_keys_on_one_host(tls_site):
    running = tls_site(more='SSLCertificateFile "@CERTS@/one-rsa.pem"\n    SSLCertificateKeyFile "@CERTS@/one-rsa.key"')
    for cipher, kind in (("ECDHE-RSA-AES128-GCM-SHA256", "RSA"), ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDSA")):
        said = s_client(running, "-tls1_2", "-cipher", cipher)
        assert f"Cipher is {cipher}" in said and "Verify return code: 0 (ok)" in said, kind


def test_versions_and_ciphers(tls_site):
    running = tls_site(more="SSLProtocol -all +TLSv1.2\nSSLCipherSuite ECDHE+AES256+AESGCM")
    assert "Cipher is ECDHE-ECDSA-AES256-GCM-SHA384" in s_client(running)
    assert "Protocol  : TLSv1.2" in s_client(running)
    assert "Cipher is (NONE)" in s_client(running, "-tls1_3")
    assert "Cipher is (NONE)" in s_client(running, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")
    running.wait_log(
        r"\[ssl:info\].* AH02008: TLS handshake with 127\.0\.0\.1:\d+ failed \(server one\.example:\d+\): "
    )


def test_clear_text_on_a_tls_port(tls_site):
    running = tls_site()
    head, body = raw(running.port, b"GET /x HTTP/1.1\r\nHost: one.example:%d\r\n\r\n" % running.port).split(
        b"\r\n\r\n", 1
    )
    assert head.startswith(b"HTTP/1.1 400 Bad Request") and b"Connection: close" in head
    assert f"https://one.example:{running.port}/".encode() in body
    running.wait_log(r"AH01996: 127\.0\.0\.1:\d+ speaks HTTP on an HTTPS port")
    assert raw(running.port, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert b"400" in raw(running.port, b"\x00\x01garbage\r\n\r\n")[:16]
    assert get(running).status_code == 200


@pytest.mark.parametrize(
    "more2, certificate, status",
    [
        ("", "one", 200),
        ("", "two", 421),
        ("SSLProtocol -all +TLSv1.3", "one", 421),
        ("SSLVerifyClient require\nSSLCACertificateFile @CERTS@/root.pem", "one", 421),
        ("SSLEngine off", "one", 421),
    ],
)
def test_misdirected(tls_site, more2, certificate, status):
    two = TWO.replace("/two.example", f"/{certificate}.example")
    running = tls_site(ONE + two, more2=more2)
    answer = get(running, name="two.example", sni="one.example", version=ssl.TLSVersion.TLSv1_3)
    assert answer.status_code == status
    if status == 421:
        running.wait_log("AH02032: ")
    assert get(running).status_code == 200


def test_clear_text_for_a_host_that_speaks_tls(tls_site):
    """Its first host is in clear text, so the address is; the other is not shown there."""
    mixed = "<VirtualHost *:@PORT@>\nServerName plain.example\n</VirtualHost>\n" + ONE
    running = tls_site(mixed)
    assert raw(running.port, b"GET / HTTP/1.1\r\nHost: plain.example\r\nConnection: close\r\n\r\n").startswith(
        b"HTTP/1.1 200"
    )
    assert raw(running.port, b"GET / HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n").startswith(
        b"HTTP/1.1 421"
    )


def test_strict_names(tls_site):
    running = tls_site(ONE + TWO, more="SSLStrictSNIVHostCheck on")
    made = context(running.certs)
    made.check_hostname = False
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as plain, made.wrap_socket(plain) as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n")
        status, _, body = parse(b"".join(iter(lambda: tls.recv(65536), b"")))
    assert status == 403 and b"SNI" in body
    running.wait_log("AH02033: ")
    assert get(running).status_code == 200


@pytest.mark.parametrize("groups", [DIRECT, BEHIND], ids=["direct", "behind"])
def test_client_certificates(tls_site, groups):
    more = 'SSLCACertificateFile "@CERTS@/root.pem"\nSSLVerifyClient require\nSSLOptions +StdEnvVars +ExportCertData'
    running = tls_site(more=more, groups=groups)
    seen = get(running, client="alice").json()
    assert seen["SSL_CLIENT_VERIFY"] == "SUCCESS" and seen["SSL_CLIENT_S_DN"] == "CN=alice,O=Example,C=NL"
    assert (
        seen["SSL_CLIENT_S_DN_CN"] == "alice"
        and seen["SSL_CLIENT_I_DN_CN"] == "root"
        and seen["SSL_SERVER_S_DN_CN"] == "one.example"
    )
    assert seen["SSL_CLIENT_CERT"] == (running.certs / "alice.pem").read_text()
    assert (
        seen["SSL_PROTOCOL"] == "TLSv1.3"
        and seen["SSL_CIPHER"].startswith("TLS_")
        and seen["SSL_TLS_SNI"] == "one.example"
    )
    assert "HTTPS" not in seen and seen["wsgi.url_scheme"] == "https"
    for client in (None, "mallory"):
        with pytest.raises((httpx.HTTPError, ssl.SSLError)):
            get(running, client=client)
    running.wait_log(r"AH02008: .* failed \(server one\.example:\d+\): ")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificates_of_a_section(tls_site, version):
    more = (
        'SSLCACertificateFile "@CERTS@/root.pem"\n'
        "<Location /secret>\nSSLVerifyClient require\nSSLOptions +StdEnvVars\n</Location>\n"
        "<Location /open>\nSSLOptions +StdEnvVars\n</Location>"
    )
    running = tls_site(more=more)
    assert get(running, "/open", version=version).json()["SSL_CLIENT_VERIFY"] == "NONE"
    assert get(running, "/secret", version=version).status_code == 403
    assert get(running, "/secret", client="mallory", version=version).status_code == 403
    running.wait_log("WSGI0383: access to .* failed, reason: .* not accepted: unable to get local issuer certificate")
    assert get(running, "/secret", client="alice", version=version).json()["SSL_CLIENT_S_DN_CN"] == "alice"
    seen = get(running, "/open", client="mallory", version=version).json()
    assert seen["SSL_CLIENT_VERIFY"].startswith("FAILED:") and "SSL_CLIENT_S_DN" not in seen


def test_revoked_client(tls_site):
    more = 'SSLCACertificateFile "@CERTS@/root.pem"\nSSLVerifyClient optional\n'
    more += 'SSLCARevocationFile "@CERTS@/crl.pem"\nSSLCARevocationCheck chain'
    running = tls_site(more=more)
    assert get(running, client="alice").status_code == 200
    assert get(running).status_code == 200
    with pytest.raises((httpx.HTTPError, ssl.SSLError)):
        get(running, client="carol")
    running.wait_log("certificate revoked")


def test_rules_that_look_at_the_connection(tls_site):
    more = """
    SSLCACertificateFile "@CERTS@/root.pem"
    SSLVerifyClient optional
    <Location /ssl>
        Require ssl
    </Location>
    <Location /verified>
        Require ssl-verify-client
    </Location>
    <Location /alice>
        Require expr "%{SSL_CLIENT_S_DN_CN} == 'alice'"
    </Location>
    <Location /old>
        SSLRequire %{SSL_CLIENT_S_DN_CN} in {"alice", "bob"} and %{SSL_CIPHER_USEKEYSIZE} >= 128
    </Location>
    <Location /user>
        SSLUserName SSL_CLIENT_S_DN_CN
    </Location>
    RewriteEngine On
    RewriteCond %{SSL:SSL_PROTOCOL} ^TLSv1
    RewriteCond %{HTTPS} =on
    RewriteRule ^/rewritten - [E=SEEN:%{SSL:SSL_PROTOCOL}]
    Header set X-Secure "%{SSL_PROTOCOL}s" env=HTTPS
    LogFormat "%{SSL_PROTOCOL}x %{SSL_CLIENT_S_DN_CN}x %{version}c %{HTTPS}e %{REQUEST_METHOD}x %U" tls
    CustomLog "@ROOT@/tls_log" tls
    """
    running = tls_site(more=more + 'CustomLog "@ROOT@/plain_log" tls\n')
    assert get(running, "/ssl").status_code == 200
    for path in ("/verified", "/alice", "/old"):
        assert get(running, path).status_code == 403, path
        assert get(running, path, client="alice").status_code == 200, path
    assert get(running, "/user", client="alice").json()["REMOTE_USER"] == "alice"
    assert get(running, "/rewritten", version=ssl.TLSVersion.TLSv1_2).json()["SEEN"] == "TLSv1.2"
    assert get(running, "/fast").headers["X-Secure"] == "TLSv1.3"
    wanted = {"TLSv1.3 - TLSv1.3 on GET /ssl", "TLSv1.3 alice TLSv1.3 on GET /alice", "TLSv1.3 - TLSv1.3 on GET /fast"}
    log = running.root / "tls_log"
    wait_for(lambda: wanted <= set(log.read_text().splitlines()), 5, f"lines in {log}")


def test_redirects_and_requirement_without_tls(tls_site):
    files = "<Directory @ROOT@>\nRequire all granted\n</Directory>\nAlias /static @ROOT@/static\n"
    running = tls_site(ONE + files + "<Location /only>\nSSLRequireSSL\n</Location>\nRedirect /old /new\n")
    (running.root / "static").mkdir()
    base = f"https://one.example:{running.port}"
    assert get(running, "/old").headers["Location"] == f"{base}/new"
    assert get(running, "/static").headers["Location"] == f"{base}/static/"
    assert get(running, "/only").status_code == 200
    plain = httpx.get(f"http://127.0.0.1:{running.plain}/only", trust_env=False)
    assert plain.status_code == 403
    running.wait_log("WSGI0383: access to .* failed, reason: SSL connection required")


def test_static_files(tls_site):
    running = tls_site("Alias /s @ROOT@/s\n" + ONE)
    (running.root / "s").mkdir()
    data = os.urandom(2_000_000)
    (running.root / "s" / "big.bin").write_bytes(data)
    (running.root / "s" / "small.txt").write_text("hello")
    assert get(running, "/s/big.bin").content == data
    assert get(running, "/s/big.bin", headers={"Range": "bytes=1000-1999"}).content == data[1000:2000]
    for _ in range(3):
        assert get(running, "/s/small.txt").text == "hello"


ACCESS = """
def allow_access(environ, host):
    lookup = environ["mod_ssl.var_lookup"]
    return environ["mod_ssl.is_https"]() and lookup("SSL_PROTOCOL") == "TLSv1.3" and lookup("SSL_CLIENT_CERT") is None
"""


def test_scripts_of_access_control_see_the_connection(tls_site):
    more = '<Location />\nWSGIAccessScript "@ROOT@/access.py"\n</Location>'
    running = tls_site(more=more, **{"access.py": ACCESS})
    assert get(running, version=ssl.TLSVersion.TLSv1_3).status_code == 200
    assert get(running, version=ssl.TLSVersion.TLSv1_2).status_code == 403


def test_proxies_in_front(tls_site):
    """A PROXY header comes before the handshake; what a trusted proxy says of the client and its scheme counts."""
    more = "RemoteIPProxyProtocol On\nWSGITrustedProxies 192.0.2.7\n"
    more += "WSGITrustedProxyHeaders X-Forwarded-For X-Forwarded-Proto"
    running = tls_site(more=more)

    def ask(fields):
        made = context(running.certs)
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as plain:
            plain.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 4321 443\r\n")
            with made.wrap_socket(plain, server_hostname="one.example") as tls:
                tls.sendall(b"GET / HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n" + fields + b"\r\n")
                status, _, body = parse(b"".join(iter(lambda: tls.recv(65536), b"")))
                assert status == 200
                return json.loads(body)

    seen = ask(b"")
    assert (seen["REMOTE_ADDR"], seen["REMOTE_PORT"], seen["wsgi.url_scheme"]) == ("192.0.2.7", "4321", "https")
    seen = ask(b"X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-Proto: http\r\n")
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("203.0.113.5", "http")


def test_a_section_for_clients_in_htaccess_is_closed(tls_site):
    """Nobody was asked in the handshake, so nobody can have what it wants."""
    files = "<Directory @ROOT@/s>\nAllowOverride All\nRequire all granted\n</Directory>\nAlias /s @ROOT@/s\n"
    running = tls_site(files + ONE.replace("@MORE@", 'SSLCACertificateFile "@CERTS@/root.pem"'))
    (running.root / "s").mkdir()
    (running.root / "s" / "f.txt").write_text("secret")
    assert get(running, "/s/f.txt", client="alice").text == "secret"
    (running.root / "s" / ".htaccess").write_text("SSLVerifyClient require\n")
    wait_for(lambda: get(running, "/s/f.txt", client="alice").status_code == 403, 5, "the .htaccess file to count")
