"""TLS end to end: real handshakes by curl, openssl and httpx with server processes on a real configuration."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

import httpx
import pytest

from certificates import Certificates
from harness import COMMAND, ENVIRON, SECOND_GROUP, FRONT, Server, descendants, finish_all, free_port, parse, raw, wait_for

pytestmark = pytest.mark.ours

APP = """
import json, os

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/upload":
        data = environ["wsgi.input"].read()
        body = json.dumps({"length": len(data), "sum": sum(data) % 65521}).encode()
    elif path == "/large":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (b"%07d\\n" % n * 1000 for n in range(1000))
    elif path == "/file":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return environ["wsgi.file_wrapper"](open(environ["QUERY_STRING"], "rb"))
    else:
        adapter = start_response.__self__
        seen = {k: v for k, v in environ.items() if isinstance(v, str)}
        seen.update(pid=os.getpid(), is_https=adapter.ssl_is_https(), lookup=adapter.ssl_var_lookup("SSL_PROTOCOL"))
        body = json.dumps(seen).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.authority("root")
    made.authority("middle", by="root")
    made.host("one.example", "localhost", "alias.example")
    made.host("two.example", key="rsa")
    made.host("one.example", key="rsa", file="one-rsa")
    made.host("three.example", by="middle")
    made.client("alice")
    made.client("carol")
    made.authority("elsewhere")
    made.client("mallory", by="elsewhere")
    made.revoke("crl.pem", "carol")
    return made


CONFIG = """\
ServerName main.example
ServerRoot "{root}"
Listen 127.0.0.1:{port}
Listen 127.0.0.1:{plain}
ErrorLog "{root}/error_log"
LogLevel info
<Directory "{root}">
    Require all granted
</Directory>
{groups}
WSGIScriptAlias / "{root}/app.wsgi"
<VirtualHost *:{plain}>
    ServerName one.example
</VirtualHost>
{text}
"""

ONE = """
<VirtualHost *:@PORT@>
    ServerName one.example
    ServerAlias alias.example
    SSLEngine on
    SSLCertificateFile "@CERTS@/one.example.pem"
    SSLCertificateKeyFile "@CERTS@/one.example.key"
    @MORE@
</VirtualHost>
"""
TWO = ONE.replace("one.example", "two.example").replace("    ServerAlias alias.example\n", "").replace("@MORE@", "@MORE2@")
EMBEDDED = ""
DIRECT = "WSGIDaemonProcess app threads=4\nWSGIProcessGroup app\nWSGIApplicationGroup %{GLOBAL}\nWSGIRestrictEmbedded On"
BEHIND = DIRECT.replace("WSGIRestrictEmbedded On", SECOND_GROUP)


@pytest.fixture
def site(tmp_path, certs):
    """Factory: a server with this configuration of TLS hosts."""
    running = []

    def factory(text=ONE, more="", more2="", groups=BEHIND if FRONT else DIRECT, env=None, **files):
        root = tmp_path / f"site{len(running)}"
        root.mkdir()
        (root / "app.wsgi").write_text(APP)
        for name, content in files.items():
            (root / name).write_text(content)
        port, plain = free_port(), free_port()
        text = text.replace("@MORE@", more).replace("@MORE2@", more2).replace("@CERTS@", str(certs.folder)).replace("@PORT@", str(port)).replace("@ROOT@", str(root))
        text = text.replace("@PLAIN@", str(plain))
        file = root / "httpd.conf"
        file.write_text(CONFIG.format(root=root, port=port, plain=plain, groups=groups, text=text))
        server = Server([*COMMAND, "run-config", str(file)], root, port, str(root), {**ENVIRON, **(env or {})})
        running.append(server)
        server.plain, server.file, server.certs = plain, file, certs
        server.wait_ready()
        return server

    yield factory
    finish_all(running)


def context(certs, client=None, verify="root", version=None):
    made = ssl.create_default_context(cafile=str(certs / f"{verify}.pem"))
    if client:
        made.load_cert_chain(certs / f"{client}.pem", certs / f"{client}.key")
    if version:
        made.minimum_version = made.maximum_version = version
    return made


def get(site, path="/", name="one.example", client=None, sni=None, version=None, **kwargs):
    """One request with httpx for a host; sni: another name in the handshake."""
    with httpx.Client(verify=context(site.certs, client, version=version), trust_env=False, timeout=20) as http:
        headers = {"Host": f"{name}:{site.port}", **kwargs.pop("headers", {})}
        return http.request(kwargs.pop("method", "GET"), f"https://127.0.0.1:{site.port}{path}", headers=headers,
                            extensions={"sni_hostname": sni or name}, **kwargs)


def curl(site, path="/", name="one.example", *options, ca="root"):
    """One request with curl: (status, body, what it said on standard error)."""
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--cacert", str(site.certs / f"{ca}.pem"), "--resolve", f"{name}:{site.port}:127.0.0.1",
                           "-w", "\n%{http_code}", *map(str, options), f"https://{name}:{site.port}{path}"],
                          capture_output=True, text=True, timeout=60)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body, done.stderr


def s_client(site, *options, request="", name="one.example"):
    """openssl s_client: everything that it prints."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{site.port}",
                           *([] if "-noservername" in options else ["-servername", name]), "-CAfile", str(site.certs / "root.pem"),
                           *map(str, options)], input=request or "Q\n", capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.parametrize("groups", [EMBEDDED, DIRECT, BEHIND], ids=["embedded", "direct", "behind"])
def test_environ(site, groups):
    running = site(groups=groups)
    for _ in range(2):
        seen = get(running, "/x?y").json()
        assert seen["wsgi.url_scheme"] == "https" and seen["REQUEST_SCHEME"] == "https"
        assert seen["SERVER_PORT"] == str(running.port) and seen["SERVER_NAME"] == "one.example"
        assert "HTTPS" not in seen
        assert not [k for k in seen if k.startswith("SSL_")], "only with StdEnvVars"
    seen = httpx.get(f"http://127.0.0.1:{running.plain}/", trust_env=False).json()
    assert seen["wsgi.url_scheme"] == "http" and seen["is_https"] == 0


def test_default_port(site):
    """Without a port in Host it is the scheme's own."""
    running = site()
    with httpx.Client(verify=context(running.certs), trust_env=False) as http:
        seen = http.get(f"https://127.0.0.1:{running.port}/", headers={"Host": "one.example"}, extensions={"sni_hostname": "one.example"}).json()
    assert seen["SERVER_PORT"] in ("443", str(running.port))


@pytest.mark.parametrize("groups", [EMBEDDED, DIRECT, BEHIND], ids=["embedded", "direct", "behind"])
def test_bodies(site, groups, tmp_path):
    running = site(groups=groups)
    data = os.urandom(3_000_000)
    answer = get(running, "/upload", method="POST", content=data).json()
    assert answer == {"length": len(data), "sum": sum(data) % 65521}
    body = get(running, "/large").content
    assert len(body) == 8_000_000 and body.endswith(b"0000999\n")
    path = tmp_path / "data"
    path.write_bytes(data)
    assert get(running, f"/file?{path}").content == data


def test_keep_alive_and_curl(site):
    running = site()
    with httpx.Client(verify=context(running.certs), trust_env=False) as http:
        ports = {http.get(f"https://127.0.0.1:{running.port}/", headers={"Host": "one.example"}, extensions={"sni_hostname": "one.example"}).json()["REMOTE_PORT"]
                 for _ in range(5)}
    assert len(ports) == 1
    status, body, said = curl(running)
    assert status == 200 and json.loads(body)["wsgi.url_scheme"] == "https", said


def test_hosts_by_name(site):
    """Each host shows its own certificate, chain included; the first one serves unknown names."""
    chain = TWO.replace("two.example", "three.example").replace("@MORE2@", 'SSLCertificateChainFile "@CERTS@/middle.pem"')
    running = site(ONE + TWO + chain)
    for name in ("one.example", "alias.example", "two.example", "three.example"):
        assert get(running, name=name).json()["SERVER_NAME"] == name
    assert "one.example" in s_client(running, name="unknown.example").split("-----BEGIN")[0]
    assert "one.example" in s_client(running, "-noservername").split("-----BEGIN")[0]
    assert len(re.findall("BEGIN CERTIFICATE", s_client(running, "-showcerts", name="three.example"))) == 2
    assert "Verify return code: 0 (ok)" in s_client(running, name="three.example")


def test_two_keys_on_one_host(site):
    running = site(more='SSLCertificateFile "@CERTS@/one-rsa.pem"\n    SSLCertificateKeyFile "@CERTS@/one-rsa.key"')
    for cipher, kind in (("ECDHE-RSA-AES128-GCM-SHA256", "RSA"), ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDSA")):
        said = s_client(running, "-tls1_2", "-cipher", cipher)
        assert f"Cipher is {cipher}" in said and "Verify return code: 0 (ok)" in said, kind


def test_versions_and_ciphers(site):
    running = site(more="SSLProtocol -all +TLSv1.2\nSSLCipherSuite ECDHE+AES256+AESGCM")
    assert "Cipher is ECDHE-ECDSA-AES256-GCM-SHA384" in s_client(running)
    assert "Protocol  : TLSv1.2" in s_client(running)
    assert "Cipher is (NONE)" in s_client(running, "-tls1_3")
    assert "Cipher is (NONE)" in s_client(running, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")
    running.wait_log(r"\[ssl:info\].* AH02008: TLS handshake with 127\.0\.0\.1:\d+ failed \(server one\.example:\d+\): ")


def test_clear_text_on_a_tls_port(site):
    running = site()
    head, body = raw(running.port, b"GET /x HTTP/1.1\r\nHost: one.example:%d\r\n\r\n" % running.port).split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 400 Bad Request") and b"Connection: close" in head
    assert f"https://one.example:{running.port}/".encode() in body
    running.wait_log(r"AH01996: 127\.0\.0\.1:\d+ speaks HTTP on an HTTPS port")
    assert raw(running.port, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert b"400" in raw(running.port, b"\x00\x01garbage\r\n\r\n")[:16]
    assert get(running).status_code == 200


@pytest.mark.parametrize("more2, status", [
    ("", 200),
    ("SSLProtocol -all +TLSv1.3", 421),
    ("SSLVerifyClient require\nSSLCACertificateFile @CERTS@/root.pem", 421),
    ("SSLEngine off", 421),
])
def test_misdirected(site, more2, status):
    running = site(ONE + TWO, more2=more2)
    answer = get(running, name="two.example", sni="one.example", version=ssl.TLSVersion.TLSv1_3)
    assert answer.status_code == status
    if status == 421:
        running.wait_log("AH02032: ")
    assert get(running).status_code == 200


def test_clear_text_for_a_host_that_speaks_tls(site):
    """Its first host is in clear text, so the address is; the other is not shown there."""
    mixed = "<VirtualHost *:@PORT@>\nServerName plain.example\n</VirtualHost>\n" + ONE
    running = site(mixed)
    assert raw(running.port, b"GET / HTTP/1.1\r\nHost: plain.example\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert raw(running.port, b"GET / HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 421")


def test_strict_names(site):
    running = site(ONE + TWO, more="SSLStrictSNIVHostCheck on")
    made = context(running.certs)
    made.check_hostname = False
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as plain, made.wrap_socket(plain) as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n")
        status, _, body = parse(b"".join(iter(lambda: tls.recv(65536), b"")))
    assert status == 403 and b"SNI" in body
    running.wait_log("AH02033: ")
    assert get(running).status_code == 200


@pytest.mark.parametrize("groups", [DIRECT, BEHIND], ids=["direct", "behind"])
def test_client_certificates(site, groups):
    more = 'SSLCACertificateFile "@CERTS@/root.pem"\nSSLVerifyClient require\nSSLOptions +StdEnvVars +ExportCertData'
    running = site(more=more, groups=groups)
    seen = get(running, client="alice").json()
    assert seen["SSL_CLIENT_VERIFY"] == "SUCCESS" and seen["SSL_CLIENT_S_DN"] == "CN=alice,O=Example,C=NL"
    assert seen["SSL_CLIENT_S_DN_CN"] == "alice" and seen["SSL_CLIENT_I_DN_CN"] == "root" and seen["SSL_SERVER_S_DN_CN"] == "one.example"
    assert seen["SSL_CLIENT_CERT"] == (running.certs / "alice.pem").read_text()
    assert seen["SSL_PROTOCOL"] == "TLSv1.3" and seen["SSL_CIPHER"].startswith("TLS_") and seen["SSL_TLS_SNI"] == "one.example"
    assert "HTTPS" not in seen and seen["wsgi.url_scheme"] == "https"
    for client in (None, "mallory"):
        with pytest.raises((httpx.HTTPError, ssl.SSLError)):
            get(running, client=client)
    running.wait_log(r"AH02008: .* failed \(server one\.example:\d+\): ")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificates_of_a_section(site, version):
    more = ('SSLCACertificateFile "@CERTS@/root.pem"\n<Location /secret>\nSSLVerifyClient require\nSSLOptions +StdEnvVars\n</Location>\n'
            "<Location /open>\nSSLOptions +StdEnvVars\n</Location>")
    running = site(more=more)
    assert get(running, "/open", version=version).json()["SSL_CLIENT_VERIFY"] == "NONE"
    assert get(running, "/secret", version=version).status_code == 403
    assert get(running, "/secret", client="mallory", version=version).status_code == 403
    running.wait_log("WSGI0383: access to .* failed, reason: the client's certificate is not accepted: unable to get local issuer certificate")
    assert get(running, "/secret", client="alice", version=version).json()["SSL_CLIENT_S_DN_CN"] == "alice"
    seen = get(running, "/open", client="mallory", version=version).json()
    assert seen["SSL_CLIENT_VERIFY"].startswith("FAILED:") and "SSL_CLIENT_S_DN" not in seen


def test_revoked_client(site):
    more = ('SSLCACertificateFile "@CERTS@/root.pem"\nSSLVerifyClient optional\nSSLCARevocationFile "@CERTS@/crl.pem"\nSSLCARevocationCheck chain')
    running = site(more=more)
    assert get(running, client="alice").status_code == 200
    assert get(running).status_code == 200
    with pytest.raises((httpx.HTTPError, ssl.SSLError)):
        get(running, client="carol")
    running.wait_log("certificate revoked")


def test_rules_that_look_at_the_connection(site):
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
    running = site(more=more + "CustomLog \"@ROOT@/plain_log\" tls\n")
    assert get(running, "/ssl").status_code == 200
    for path in ("/verified", "/alice", "/old"):
        assert get(running, path).status_code == 403, path
        assert get(running, path, client="alice").status_code == 200, path
    assert get(running, "/user", client="alice").json()["REMOTE_USER"] == "alice"
    assert get(running, "/rewritten", version=ssl.TLSVersion.TLSv1_2).json()["SEEN"] == "TLSv1.2"
    assert get(running, "/fast").headers["X-Secure"] == "TLSv1.3"
    lines = wait_for(lambda: (found := (running.root / "tls_log").read_text().splitlines()) and "/fast" in found[-1] and found, 5, "the log")
    assert lines[0] == "TLSv1.3 - TLSv1.3 on GET /ssl" and "TLSv1.3 alice TLSv1.3 on GET /alice" in lines, lines
    assert lines[-1] == "TLSv1.3 - TLSv1.3 on GET /fast"


def test_redirects_and_requirement_without_tls(site):
    files = "<Directory @ROOT@>\nRequire all granted\n</Directory>\nAlias /static @ROOT@/static\n"
    running = site(ONE + files + "<Location /only>\nSSLRequireSSL\n</Location>\nRedirect /old /new\n")
    (running.root / "static").mkdir()
    base = f"https://one.example:{running.port}"
    assert get(running, "/old").headers["Location"] == f"{base}/new"
    assert get(running, "/static").headers["Location"] == f"{base}/static/"
    assert get(running, "/only").status_code == 200
    plain = httpx.get(f"http://127.0.0.1:{running.plain}/only", trust_env=False)
    assert plain.status_code == 403
    running.wait_log("WSGI0383: access to .* failed, reason: SSL connection required")


def test_static_files(site):
    running = site("Alias /s @ROOT@/s\n" + ONE)
    (running.root / "s").mkdir()
    data = os.urandom(2_000_000)
    (running.root / "s" / "big.bin").write_bytes(data)
    (running.root / "s" / "small.txt").write_text("hello")
    assert get(running, "/s/big.bin").content == data
    assert get(running, "/s/big.bin", headers={"Range": "bytes=1000-1999"}).content == data[1000:2000]
    for _ in range(3):
        assert get(running, "/s/small.txt").text == "hello"


def handshake(site, session=None, name="one.example"):
    """A request on a connection of its own: (certificate, resumed, session)."""
    made = site.context if hasattr(site, "context") else context(site.certs, version=ssl.TLSVersion.TLSv1_2)
    site.context = made
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as plain, made.wrap_socket(plain, server_hostname=name, session=session) as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n")
        data = b""
        while block := tls.recv(65536):
            data += block
        assert data.startswith(b"HTTP/1.1 200"), data
        return tls.getpeercert(True), tls.session_reused, tls.session


@pytest.mark.parametrize("tickets", [True, False])
def test_sessions_are_resumed_by_all_processes_and_after_a_restart(site, tickets):
    running = site(groups=DIRECT.replace("threads=4", "processes=2 threads=2"), more="" if tickets else "SSLSessionTickets off")
    _, _, session = handshake(running)
    reused = [handshake(running, session)[1] for _ in range(8)]
    assert reused == [tickets] * 8
    before = set(descendants(running.process.pid))
    running.send_signal(signal.SIGUSR1)
    wait_for(lambda: len(set(descendants(running.process.pid)) - before) >= 2, 15, "new processes")
    wait_for(lambda: not before & set(descendants(running.process.pid)), 15, "the end of the old processes")
    assert handshake(running, session)[1] is tickets


def test_graceful_restart_with_a_new_certificate(site, certs, tmp_path):
    made = Certificates(tmp_path / "changing")
    for name in ("root.pem", "root.key"):
        shutil.copy(certs / name, made / name)
    made.host("one.example")
    running = site(ONE.replace("@CERTS@", str(made.folder)))
    first, _, _ = handshake(running)
    good = (made / "one.example.pem").read_text()
    # one that does not fit the key: the old generation goes on
    shutil.copy(certs / "two.example.pem", made / "one.example.pem")
    running.send_signal(signal.SIGUSR1)
    running.wait_log("the new configuration cannot be used, going on with the old one")
    running.wait_log("does not belong to the first certificate")
    assert handshake(running)[0] == first
    (made / "one.example.pem").write_text(good)
    made.host("one.example")
    running.send_signal(signal.SIGUSR1)
    wait_for(lambda: handshake(running)[0] != first, 15, "the new certificate")


def test_no_start_with_a_broken_certificate(site, certs, tmp_path):
    file = tmp_path / "httpd.conf"
    text = ONE.replace("@CERTS@", str(certs.folder)).replace("@MORE@", "SSLCertificateKeyFile /nowhere/key.pem").replace("@PORT@", "8443")
    text = text.replace(f'    SSLCertificateKeyFile "{certs.folder}/one.example.key"\n', "")
    file.write_text(f"ServerName x\nListen 127.0.0.1:8443\n{text}")
    for command in ("run-config", "check"):
        done = subprocess.run([*COMMAND, command, str(file)], capture_output=True, text=True, timeout=60, env=ENVIRON)
        assert done.returncode != 0 and "/nowhere/key.pem: no such file or directory" in done.stdout + done.stderr, command


def memory(pid, needle):
    """Whether the memory of a process contains the bytes."""
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in open(f"/proc/{pid}/maps"):
            first, last = (int(x, 16) for x in line.split()[0].split("-"))
            if "rw" not in line.split()[1]:
                continue
            try:
                mem.seek(first)
                if needle in mem.read(last - first):
                    return True
            except (OSError, ValueError, OverflowError):
                continue
    return False


@pytest.mark.skipif(os.geteuid() != 0, reason="other users' keys need root")
@pytest.mark.direct
@pytest.mark.parametrize("mode, direct", [(0o600, False), (0o644, True)])
def test_who_has_the_key(open_folder, certs, mode, direct):
    """Of a key that User cannot read, the process of the application has nothing; a front process terminates TLS."""
    import pwd

    from harness import interpreter_for

    account = pwd.getpwnam("www-data")
    python = interpreter_for(account)
    for name in ("one.example.pem", "one.example.key"):
        shutil.copy(certs / name, open_folder / name)
        os.chmod(open_folder / name, mode if name.endswith("key") else 0o644)
    (open_folder / "app.wsgi").write_text(APP)
    port = free_port()
    file = open_folder / "httpd.conf"
    text = ONE.replace("@CERTS@", str(open_folder)).replace("@MORE@", "").replace("@PORT@", str(port))
    file.write_text(CONFIG.format(root=open_folder, port=port, plain=free_port(), groups=DIRECT + "\nUser www-data\nGroup www-data", text=text))
    import harness

    env = {**ENVIRON, "PYTHONPATH": harness.package_folder()}
    running = Server([python, "-m", "modwsgi_go", "run-config", str(file)], open_folder, port, "/", env)
    running.certs = certs
    try:
        running.wait_ready()
        seen = get(running).json()
        children = descendants(running.process.pid)
        assert len(children) == (1 if direct else 2)
        assert os.stat(f"/proc/{seen['pid']}").st_uid == account.pw_uid
        key = (open_folder / "one.example.key").read_bytes().splitlines()[1]
        holders = [pid for pid in children if memory(pid, key)]
        assert holders and (seen["pid"] in holders) is direct
        for pid in [running.process.pid, *children]:
            assert b"PRIVATE KEY" not in open(f"/proc/{pid}/cmdline", "rb").read() + open(f"/proc/{pid}/environ", "rb").read()
            names = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
            assert not [n for n in names if n.endswith(".key")]
        assert "PRIVATE KEY" not in running.log()
    finally:
        finish_all([running])
