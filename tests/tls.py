"""What the tests of TLS share: an application, hosts of a configuration, and clients."""

import socket
import ssl
import subprocess

import httpx

from harness import SECOND_GROUP

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
TWO = (
    ONE.replace("one.example", "two.example")
    .replace("    ServerAlias alias.example\n", "")
    .replace("@MORE@", "@MORE2@")
)
EMBEDDED = ""
DIRECT = (
    "WSGIDaemonProcess app threads=4\nWSGIProcessGroup app\nWSGIApplicationGroup %{GLOBAL}\nWSGIRestrictEmbedded On"
)
BEHIND = DIRECT.replace("WSGIRestrictEmbedded On", SECOND_GROUP)


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
        return http.request(
            kwargs.pop("method", "GET"),
            f"https://127.0.0.1:{site.port}{path}",
            headers=headers,
            extensions={"sni_hostname": sni or name},
            **kwargs,
        )


def curl(site, path="/", name="one.example", *options, ca="root"):
    """One request with curl: (status, body, what it said on standard error)."""
    done = subprocess.run(
        [
            "curl",
            "-sS",
            "--noproxy",
            "*",
            "--cacert",
            str(site.certs / f"{ca}.pem"),
            "--resolve",
            f"{name}:{site.port}:127.0.0.1",
            "-w",
            "\n%{http_code}",
            *map(str, options),
            f"https://{name}:{site.port}{path}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body, done.stderr


def s_client(site, *options, request="", name="one.example"):
    """openssl s_client: everything that it prints."""
    done = subprocess.run(
        [
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{site.port}",
            *([] if "-noservername" in options else ["-servername", name]),
            "-CAfile",
            str(site.certs / "root.pem"),
            *map(str, options),
        ],
        input=request or "Q\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout + done.stderr


def handshake(site, session=None, name="one.example"):
    """A request on a connection of its own: (certificate, resumed, session)."""
    made = site.context if hasattr(site, "context") else context(site.certs, version=ssl.TLSVersion.TLSv1_2)
    site.context = made
    with (
        socket.create_connection(("127.0.0.1", site.port), timeout=10) as plain,
        made.wrap_socket(plain, server_hostname=name, session=session) as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n")
        data = b""
        while block := tls.recv(65536):
            data += block
        assert data.startswith(b"HTTP/1.1 200"), data
        return tls.getpeercert(True), tls.session_reused, tls.session
