"""The same configuration and the same requests for Debian's apache2 and for us.

A case file holds cases, each a configuration, files and requests:

    === a name
    --- config
    Alias /x ${ROOT}/files              # directives, for both servers; ${ROOT} is a folder of the case's own
    --- file files/a.txt                # text up to the next ---; `--- file bin/x.cgi 0755` sets the mode,
    hello                               # `--- file a.txt.gz gzip` compresses the text
    --- requests
    GET /x/a.txt
    GET /x/a.txt
        If-None-Match: "none"           # indented: header fields
    POST /x/a.txt                       # a line `> text` is the body
        > a=1
    POST /x/a.txt
        z> a=1                          # the same, compressed with gzip
    GET /x/a.txt
        @tls one.example                # over TLS with this name in the handshake; - : with none
        @client alice                   # with this certificate of ${CERTS}, see certificates() below
        @version 1.2                    # of TLS
    GET /x/?C=N ! body: the listing is ours    # a difference that is wanted, with its reason

`!` names what may differ (status, body, or a header field) and why. The test fails as well when
nothing differs there any more, so that no excuse outlives its difference.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gzip
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from certificates import Certificates

APACHE = shutil.which("apache2") or "/usr/sbin/apache2"
MODULES = Path("/usr/lib/apache2/modules")

# Loaded in this order on the side of apache2; ours has them built in. LoadModule lines are for one
# server only because we test the others' file with run-config, too.
LOADED = """
mpm_event authn_core authn_file authn_anon authz_core authz_host authz_user authz_groupfile authz_owner
access_compat auth_basic auth_digest alias actions autoindex brotli cgid deflate dir env expires filter headers macro
mime mime_magic negotiation proxy proxy_http proxy_balancer lbmethod_byrequests slotmem_shm ratelimit remoteip rewrite
setenvif socache_shmcb ssl status unique_id userdir vhost_alias reqtimeout wsgi
""".split()  # noqa: SIM905  # easier to keep than a list of 42 literals

BASE = """\
ServerRoot ${ROOT}
ServerName localhost
DocumentRoot ${ROOT}/htdocs
TypesConfig /etc/mime.types
ServerTokens Full
<Directory />
    AllowOverride None
    Require all denied
</Directory>
<Directory ${ROOT}>
    Require all granted
</Directory>
"""

# Header fields that must be alike. Date, Server, Connection, Keep-Alive and Content-Length of
# generated pages differ by nature.
FIELDS = ["content-type", "content-encoding", "content-language", "content-location", "content-range", "location",
          "etag", "last-modified", "accept-ranges", "allow", "vary", "www-authenticate", "cache-control", "expires",
          "set-cookie", "tcn", "alternates", "refresh", "content-disposition", "content-md5"]


GZIP = -1  # in place of a file's mode: compressed


@dataclass
class Ask:
    """One request and what is known to differ."""

    method: str
    target: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    differs: dict[str, str] = field(default_factory=dict)
    tls: dict[str, str] = field(default_factory=dict)
    version: str = "HTTP/1.1"

    def __str__(self) -> str:
        words = [f"{k}: {v}" for k, v in self.headers] + [f"@{k} {v}" for k, v in self.tls.items()]
        return " ".join([self.method, self.target, *words])


@dataclass
class Case:
    """One configuration with its files and requests."""

    name: str
    config: str = ""
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    asks: list[Ask] = field(default_factory=list)


def read(path: Path) -> list[Case]:
    """The cases of a file; errors name its line."""
    cases: list[Case] = []
    target: list[str] = []
    part = ""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.startswith("=== "):
            cases.append(Case(f"{path.stem}: {line[4:].strip()}"))
            part = ""
        elif line.startswith("--- "):
            part, _, rest = line[4:].strip().partition(" ")
            if part == "file":
                words = rest.split()
                target = []
                mode = GZIP if words[1:] == ["gzip"] else int(words[1], 8) if len(words) > 1 else 0o644
                cases[-1].files[words[0]] = (target, mode)  # type: ignore
            elif part not in ("config", "requests"):
                raise ValueError(f"{path}:{number}: {line}")
        elif part == "config":
            cases[-1].config += line + "\n"
        elif part == "file":
            target.append(line + "\n")
        elif part == "requests":
            if line.strip() and not line.startswith("#"):
                request(cases[-1], line, f"{path}:{number}")
        elif line.strip() and not line.startswith("#"):
            raise ValueError(f"{path}:{number}: outside of a case: {line}")
    for case in cases:
        case.files = {name: ("".join(lines), mode) for name, (lines, mode) in case.files.items()}
    return cases


def request(case: Case, line: str, where: str) -> None:
    """Adds what one line of a requests part says."""
    if line[0].isspace():
        text = line.strip()
        if text.startswith(("> ", "z> ")):
            body = text.partition(" ")[2].encode() + b"\n"
            case.asks[-1].body += gzip.compress(body) if text[0] == "z" else body
        elif text[0] == "@":
            name, _, value = text[1:].partition(" ")
            case.asks[-1].tls[name] = value
        else:
            name, found, value = text.partition(":")
            if not found:
                raise ValueError(f"{where}: not a header field: {text}")
            case.asks[-1].headers.append((name, value.strip()))
        return
    line, _, excuse = line.partition(" ! ")
    words = line.split()
    ask = Ask(words[0], words[1], version=words[2] if len(words) > 2 else "HTTP/1.1")
    if excuse:
        names, found, reason = excuse.partition(":")
        if not found or not reason.strip():
            raise ValueError(f"{where}: a difference needs its reason after a colon")
        ask.differs = {name.strip().lower(): reason.strip() for name in names.split(",")}
    case.asks.append(ask)


@dataclass
class Answer:
    """What a server said, reduced to what must be alike."""

    status: int
    headers: dict[str, str]
    body: bytes
    generated: bool  # an error page or the like, whose text is each server's own

    def get(self, name: str) -> object:
        if name == "status":
            return self.status
        if name == "body":
            return None if self.generated else self.body
        value = self.headers.get(name)
        if value and name == "allow":  # apache2 sorts it differently from start to start
            return ",".join(sorted(value.replace(" ", "").split(",")))
        if value and name == "vary":
            return value.replace(" ", "")
        if self.generated and name == "content-type" and value and value.startswith("text/html"):
            return "text/html"
        return value


class Pair:
    """Both servers, started with one case's configuration and one folder of files.

    root is new, empty and reachable for the user that apache2 changes to (see public_folder).
    """

    def __init__(self, case: Case, root: Path, ours: list[str], environ: dict[str, str], port) -> None:
        self.case, self.root = case, root
        self.sides: dict[str, tuple[int, subprocess.Popen, Path]] = {}
        self.write(root / "site")  # the same path for both: two copies would differ in mtimes
        try:
            for attempt in (1, 2, 3):  # a port that was free may be taken until the server wants it
                for name in ("apache", "ours"):
                    if name not in self.sides:
                        self.start(name, ours, environ, port(), attempt)
                late = [name for name in list(self.sides) if not self.listens(name)]
                if not late:
                    return
                for name in late:
                    text = self.report()
                    _, process, _ = self.sides[name]
                    if process.poll() is None or attempt == 3 or "ddress already in use" not in text:
                        raise RuntimeError(f"{name} did not start:\n{text}")
                    del self.sides[name]
        except BaseException:
            self.stop()
            raise

    def start(self, name: str, ours: list[str], environ: dict[str, str], port: int, attempt: int) -> None:
        """Starts one server without waiting for it."""
        root, run = self.root / "site", self.root / f"{name}{attempt}"
        run.mkdir()
        text = BASE + f"Listen 127.0.0.1:{port}\nPidFile {run}/pid\nErrorLog {run}/error.log\n"
        if name == "apache":
            text += f"Mutex file:{run}\nScriptSock {run}/cgisock\nDefaultRuntimeDir {run}\n"
            text = "".join(f"LoadModule {m}_module {MODULES}/mod_{m}.so\n" for m in LOADED
                           if (MODULES / f"mod_{m}.so").exists()) + text
            if os.geteuid() == 0:  # which apache2 refuses to stay
                text += "User www-data\nGroup www-data\n"
        text += self.case.config
        config = run / "httpd.conf"
        if "${CERTS}" in text:
            text = text.replace("${CERTS}", str(certificates().folder))
        config.write_text(text.replace("${ROOT}", str(root)).replace("${PORT}", str(port)))
        command = [APACHE, "-f", str(config), "-DFOREGROUND"] if name == "apache" else [*ours, str(config)]
        with (run / "output").open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                       env=environ, cwd="/", start_new_session=True)
        self.sides[name] = port, process, run

    def listens(self, name: str) -> bool:
        """Waits until the server takes connections; False if it ends instead or takes a minute."""
        port, process, _ = self.sides[name]
        end = time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return process.poll() is None
            except OSError:
                time.sleep(0.02)
        return False

    def write(self, root: Path) -> None:
        (root / "htdocs").mkdir(parents=True)
        past = time.time() - 100_000  # no file is younger than the requests: weak validators would come and go
        for name, (text, mode) in self.case.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            content = text.replace("${ROOT}", str(root)).encode()
            path.write_bytes(gzip.compress(content) if mode == GZIP else content)
            path.chmod(0o644 if mode == GZIP else mode)
            os.utime(path, (past, past))
        for folder, _, _ in os.walk(root):
            os.chmod(folder, 0o755)  # whatever the umask
            os.utime(folder, (past, past))

    def ask(self, ask: Ask) -> tuple[Answer, Answer]:
        """The answers of apache2 and ours."""
        first, second = (self.answer(ask, self.sides[name][0]) for name in ("apache", "ours"))
        return first, second

    def answer(self, ask: Ask, port: int) -> Answer:
        try:
            with socket.create_connection(("127.0.0.1", port), 20) as sock:
                if not ask.tls:
                    return self.exchange(ask, port, sock)
                with secure(ask, sock) as wrapped:
                    return self.exchange(ask, port, wrapped)
        except (ssl.SSLError, ConnectionResetError):  # of TLS 1.3 the client sees a refusal when it reads
            return Answer(0, {}, b"", True)

    def exchange(self, ask: Ask, port: int, sock: socket.socket) -> Answer:
        """One request on a connection."""
        lines = [f"{ask.method} {ask.target} {ask.version}"]
        if not any(name.lower() == "host" for name, _ in ask.headers) and ask.version != "HTTP/1.0":
            lines.append("Host: localhost")
        lines += [f"{name}: {value.replace('${PORT}', str(port))}" for name, value in ask.headers]
        if ask.body:
            lines.append(f"Content-Length: {len(ask.body)}")
        lines.append("Connection: close")
        sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + ask.body)
        response = http.client.HTTPResponse(sock, method=ask.method)
        response.begin()
        body = response.read()
        headers: dict[str, str] = {}
        for name, value in response.getheaders():
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        for name in ("location", "content-location", "refresh"):
            if name in headers:
                headers[name] = headers[name].replace(f":{port}", ":PORT")
        if "www-authenticate" in headers:
            value = re.sub(r'nonce="[^"]*"', 'nonce="N"', headers["www-authenticate"])
            headers["www-authenticate"] = re.sub(r'opaque="[^"]*", ', "", value)  # optional, any text will do
        for name in ("expires",):
            if name in headers:
                headers[name] = re.sub(r":\d\d GMT", ":SS GMT", headers[name])
        status = response.status
        if headers.get("content-encoding") == "gzip" and "content-range" not in headers:
            with contextlib.suppress(OSError, EOFError):  # else it is a file that is only called so
                body = gzip.decompress(body)
        generated = status >= 300 and b"<html" in body[:300].lower() and b"mine" not in body[:300]
        generated |= status >= 300 and ask.method == "HEAD"
        body = body.replace(f":{port}".encode(), b":PORT").replace(f'"{port}"'.encode(), b'"PORT"')
        return Answer(status, headers, body, generated)

    def report(self) -> str:
        """The end of what both servers have said and logged."""
        out = []
        for name, (_, _, run) in self.sides.items():
            for file in ("output", "error.log"):
                path = run / file
                if path.exists():
                    out.append(f"--- {name} {file}\n{path.read_text(errors='replace')[-3000:]}")
        return "\n".join(out)

    def stop(self) -> None:
        """Ends both servers with all their processes."""
        for _, process, _ in self.sides.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for name, (_, process, _) in self.sides.items():
            with contextlib.suppress(subprocess.TimeoutExpired):
                # a child of apache2 with mod_wsgi takes ten seconds to end
                process.wait(1 if name == "apache" else 15)
            with contextlib.suppress(ProcessLookupError):  # its own group, see start
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@functools.cache
def certificates() -> Certificates:
    """Authorities, hosts and clients; made once, kept until the end of the tests."""
    made = Certificates(tempfile.mkdtemp(prefix="modwsgi-certificates-"))
    atexit.register(shutil.rmtree, made.folder, True)
    made.authority("root")
    for name in ("one.example", "two.example", "three.example"):
        made.host(name, key="rsa" if name == "two.example" else "ec")
    made.client("alice", subject="/C=DE/O=Some, Company/OU=First/OU=Second/CN=alice",
                names=["email:alice@example.com", "DNS:a.example"])
    made.client("carol")
    made.authority("elsewhere")
    made.client("mallory", by="elsewhere")
    made.revoke("crl.pem", "carol")
    return made


def secure(ask: Ask, sock: socket.socket) -> ssl.SSLSocket:
    """The handshake that a request asks for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[ask.tls.get("version", "1.3")]
    context.minimum_version = context.maximum_version = version
    if "cipher" in ask.tls:
        context.set_ciphers(ask.tls["cipher"])
    if "client" in ask.tls:
        stem = certificates().folder / ask.tls["client"]
        context.load_cert_chain(f"{stem}.pem", f"{stem}.key")
    name = ask.tls.get("tls", "-")
    return context.wrap_socket(sock, server_hostname=None if name == "-" else name)


@contextlib.contextmanager
def public_folder() -> Iterator[Path]:
    """A new folder that every user may enter, removed afterwards.

    Not pytest's: its parents are closed to others and get cleaned up by other runs.
    """
    root = Path(tempfile.mkdtemp(prefix="modwsgi-pairs-")).resolve()
    try:
        root.chmod(0o755)
        if os.geteuid() == 0:
            closed = [str(folder) for folder in root.parents if not folder.stat().st_mode & 0o001]
            if closed:
                raise RuntimeError(f"apache2 runs as www-data, which cannot enter {closed}; set TMPDIR")
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def compare(ask: Ask, apache: Answer, ours: Answer) -> list[str]:
    """What differs and should not, and excuses that are none; in words."""
    names = ["status", "body", *FIELDS, *sorted(n for n in {*apache.headers, *ours.headers} if n.startswith("x-"))]
    out = []
    for name in names:
        a, b = apache.get(name), ours.get(name)
        if a != b and name not in ask.differs:
            if isinstance(a, bytes) and isinstance(b, bytes):  # only the lines that differ
                one, two = a.splitlines(), b.splitlines()
                a, b = [x for x in one if x not in two] or a, [x for x in two if x not in one] or b
            out.append(f"{name}: apache2 {a!r}, ours {b!r}")
        if a == b and name in ask.differs:
            out.append(f"{name}: no difference any more, but one is excused: {ask.differs[name]}")
    return out
