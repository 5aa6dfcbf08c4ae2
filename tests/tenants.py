"""What the tests of several tenants on one server share: throw-away users, an application that runs the code it is sent
(as a tenant would write it), and the server.

Changing users needs root. The front runs as a third user, so that neither tenant is the server's own.
"""

import contextlib
import grp
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import httpx
import pytest

from harness import ENVIRON, REFERENCE, Server, free_port, interpreter_for, package_folder

ROLES = ("front", "one", "two")

# Source that says who answers.
WHO = "result = [environ['mod_wsgi.process_group'], os.getpid()]"

# The body of a request is Python source that sets `result`, which comes back as JSON.
PROBE = """\
import json, os, sys
print("loaded by", os.getuid(), file=sys.stderr)
def application(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    source = environ["wsgi.input"].read(length).decode() or "result = os.getpid()"
    scope = {"environ": environ, "os": os, "sys": sys}
    exec(source, scope)
    body = json.dumps(scope["result"], default=str).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"""

# Runs statements and says what became of each: "ok", or the name of the exception.
TRY = """\
def attempt(function):
    try:
        function()
        return "ok"
    except Exception as error:
        return type(error).__name__
"""


@contextlib.contextmanager
def accounts():
    """The users of ROLES by role, made for the test and removed after it."""
    if os.geteuid() != 0:
        pytest.skip("needs root to change users")
    if REFERENCE:
        pytest.skip("the reference is run without root")
    if not shutil.which("useradd"):
        pytest.skip("needs useradd to make throw-away users")
    names = {role: f"mwt{os.getpid() % 100000}{role}" for role in ROLES}
    made = []
    try:
        for name in names.values():
            done = subprocess.run(
                ["useradd", "--system", "--no-create-home", "--user-group", "--home-dir", f"/home/{name}", name],
                capture_output=True,
                text=True,
            )
            if done.returncode:
                pytest.skip(f"cannot make a throw-away user: {done.stderr.strip()}")
            made.append(name)
        yield {role: pwd.getpwnam(name) for role, name in names.items()}
    finally:
        for name in made:
            subprocess.run(["userdel", name], capture_output=True)


class Site:
    """A folder with what each tenant has: its own script, which only it can read, and its own log."""

    def __init__(self, users):
        self.users = users
        self.python = interpreter_for(users["front"])  # first: it may skip the test
        self.folder = Path(tempfile.mkdtemp(prefix="modwsgi-tenants-"))
        os.chmod(self.folder, 0o755)
        self.logs = self.folder / "logs"
        self.logs.mkdir(mode=0o700)
        self.file = self.folder / "httpd.conf"
        self.port = free_port()
        self.server = None
        for role in ("one", "two"):
            self.home(role).mkdir(mode=0o711)
            os.chown(self.home(role), users[role].pw_uid, users[role].pw_gid)
            self.script(role)

    def home(self, role):
        return self.folder / role

    def script(self, role, source=PROBE, name="app.wsgi"):
        """A script that its tenant alone can read."""
        path = self.home(role) / name
        path.write_text(source)
        os.chown(path, self.users[role].pw_uid, self.users[role].pw_gid)
        os.chmod(path, 0o600)
        return path

    def host(self, role, options="", extra=""):
        """A virtual host with a process group of the tenant's name."""
        user = self.users[role].pw_name
        return f"""\
<VirtualHost *:{self.port}>
    ServerName {role}.test
    ErrorLog {self.logs}/{role}.log
    LogLevel info
    WSGIDaemonProcess {role} user={user} group={grp.getgrgid(self.users[role].pw_gid).gr_name} {options}
    WSGIProcessGroup {role}
    WSGIApplicationGroup %{{GLOBAL}}
    {extra}
    WSGIScriptAlias / {self.home(role)}/app.wsgi
</VirtualHost>
"""

    def write(self, *hosts, main="", prefix=True):
        """The configuration file, of these virtual hosts."""
        front = self.users["front"]
        sockets = self.folder / "run"
        sockets.mkdir(mode=0o711, exist_ok=True)
        self.file.write_text(
            f"""\
ServerRoot {self.folder}
ServerName main.test
Listen 127.0.0.1:{self.port}
User {front.pw_name}
Group {grp.getgrgid(front.pw_gid).gr_name}
ErrorLog {self.logs}/main.log
LogLevel info
{f"WSGISocketPrefix {sockets}/wsgi" if prefix else ""}
<Directory {self.folder}>
    Require all granted
</Directory>
{main}
"""
            + "".join(hosts)
        )

    def start(self, *hosts, ready=True, **options):
        """Runs a server on the configuration."""
        self.write(*(hosts or (self.host("one"), self.host("two"))), **options)
        environ = {name: value for name, value in ENVIRON.items() if name != "MOD_WSGI_ALLOW_ROOT"}
        self.server = Server(
            [self.python, "-m", "modwsgi_go", "run-config", str(self.file)],
            self.folder,
            self.port,
            "/",
            {**environ, "PYTHONPATH": package_folder(), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.server.error_log = self.logs / "main.log"
        if ready:
            self.server.wait_ready()
        return self.server

    def ask(self, role, source="", path="/", **options):
        """The answer of a tenant's application to some source."""
        return self.server.post(path, source.encode(), headers={"Host": f"{role}.test"}, **options)

    def run(self, role, source, **options):
        """What the source leaves in `result` in the tenant's process."""
        answer = self.ask(role, source, **options)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}\n{self.log(role)[-3000:]}"
        return json.loads(answer.text)

    def attempts(self, role, **tries):
        """By name, what became of each expression in the tenant's process."""
        lines = [TRY, "import socket, ctypes, signal", "result = {}"]
        lines += [f"result[{name!r}] = attempt(lambda: {code})" for name, code in tries.items()]
        return self.run(role, "\n".join(lines))

    def pid(self, role):
        return self.run(role, "result = os.getpid()")

    def log(self, role):
        path = self.logs / f"{role}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def sockets(self):
        return sorted(path.name for path in (self.folder / "run").iterdir())

    def finish(self):
        try:
            if self.server:
                self.server.finish()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def site(users):
    place = Site(users)
    try:
        yield place
    finally:
        place.finish()


def kept_asking(place, role, stop, failures):
    """Asks until the event is set; every answer but 200 is a failure."""
    with httpx.Client(base_url=place.server.url, timeout=20, trust_env=False) as client:
        while not stop.is_set():
            try:
                answer = client.get("/", headers={"Host": f"{role}.test"})
                if answer.status_code != 200:
                    failures.append((role, answer.status_code, answer.text[:200]))
            except httpx.HTTPError as error:
                failures.append((role, repr(error)))


def json_of(answer):
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
    return answer.json()
