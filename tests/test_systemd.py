"""The server under systemd: passed sockets, notifications, the watchdog, and the units in deploy/.

The service manager's part is played by the test: it holds the listening sockets and the notification
socket, and starts the command as systemd does, with descriptors from 3 on and LISTEN_PID of the very process.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from harness import COMMAND, Server, descendants, free_port, raw, wait_for

pytestmark = [pytest.mark.ours, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="systemd is of Linux")]

DEPLOY = Path(__file__).parent.parent / "deploy"

# Puts inherited descriptors (comma separated) to 3, 4 ... and becomes the command.
LAUNCH = """\
import fcntl, os, sys
fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1].split(",") if fd]
for number, fd in enumerate(fds, 3):
    os.dup2(fd, number)
    os.close(fd)
if fds:
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)))
os.execvp(sys.argv[2], sys.argv[2:])
"""

APP = """\
import os, time

NAMES = ("LISTEN_", "NOTIFY_", "WATCHDOG_")

def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(1)
    seen = [name for name in os.environ if name.startswith(NAMES)]
    body = f"{os.getpid()} {environ['SERVER_PORT']} {seen}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


def listen(port, host="127.0.0.1"):
    """A listening socket, as a socket unit holds it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(64)
    return sock


class Manager:
    """The notification socket: every message that the server sends, field by field."""

    def __init__(self, address):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.settimeout(10)
        self.sock.bind("\0" + address[1:] if address.startswith("@") else address)
        self.address = address

    def until(self, field, value):
        """All fields up to the message with this one."""
        fields = {}
        while fields.get(field) != value:
            for line in self.sock.recv(4096).decode().split("\n"):
                name, _, text = line.partition("=")
                fields[name] = text
        return fields


@pytest.fixture
def service(tmp_path, script):
    """Factory: service(sockets, names, words of the command...) -> Server, started as a unit would be."""
    running, sockets = [], []

    def factory(passed=(), names="", words=None, port=0, env=None, app=None):
        root = tmp_path / f"root{len(running)}"
        root.mkdir()
        command = [sys.executable, "-c", LAUNCH, ",".join(str(sock.fileno()) for sock in passed), *COMMAND]
        command += words or ["start-server", str(app or script(APP)), "--host", "127.0.0.1", "--port", str(port)]
        if not words:
            command += ["--server-root", str(root)]
        sockets.extend(passed)
        environ = {**os.environ, "MOD_WSGI_ALLOW_ROOT": "1", "LISTEN_FDNAMES": names, **(env or {})}
        server = Server(command, root, port, str(tmp_path), environ, [sock.fileno() for sock in passed])
        running.append(server)
        return server

    yield factory
    for server in running:
        try:
            server.finish()
        finally:
            server.kill()
    for sock in sockets:
        sock.close()


def test_passed_socket_outlives_the_server(service):
    """The command serves on the socket that it got, and a request sent while no server runs waits for the next."""
    port = free_port()
    sock = listen(port)
    first = service([sock], "web", port=port)
    assert first.get("/").text.split(" ", 1)[1] == f"{port} []"  # and no variable of systemd's reaches the application
    first.send_signal(signal.SIGUSR1)
    first.wait_log("Doing graceful restart")
    assert first.get("/").status_code == 200
    assert first.stop() == 0
    with socket.create_connection(("127.0.0.1", port), timeout=10) as waiting:
        waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        service([sock], "web", port=port)
        assert waiting.recv(4096).startswith(b"HTTP/1.1 200")


def test_socket_that_somebody_made_blocking(service):
    """All who have the socket share its mode; systemd sets it when it starts another service with the socket."""
    port = free_port()
    sock = listen(port)
    server = service([sock], "web", port=port)
    server.get("/")
    os.set_blocking(sock.fileno(), True)
    for _ in range(5):
        assert raw(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_own_socket_ends_with_the_server(service):
    """Without systemd the port is closed at once: clients are refused, they do not wait."""
    port = free_port()
    server = service(port=port)
    server.wait_ready()
    assert server.stop() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


@pytest.fixture
def configuration(tmp_path, script):
    """Factory: a configuration file with these lines and the application."""

    def factory(lines):
        path = tmp_path / "httpd.conf"
        path.write_text(
            f"{lines}\nUser #{os.getuid()}\nGroup #{os.getgid()}\nPidFile {tmp_path}/pid\nErrorLog /dev/stderr\n"
            f"WSGIDaemonProcess app threads=2\n"
            f"WSGIScriptAlias / {script(APP)} process-group=app application-group=%{{GLOBAL}}\n"
            "<Directory />\nRequire all granted\n</Directory>\n"
        )
        return path

    return factory


def test_socket_by_name(service, configuration):
    """`Listen systemd:NAME` takes every socket of that name; one that nobody asked for is reported."""
    ports = [free_port(), free_port(), free_port()]
    path = configuration("Listen systemd:web")
    server = service([listen(port) for port in ports], "web:other:web", ["run-config", str(path)])
    for port in (ports[0], ports[2]):
        assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).text.split()[1] == str(port)
    wait_for(lambda: "WSGI0332" in server.output(), 5, "the warning")
    assert f"nobody serves the socket 127.0.0.1:{ports[1]}" in server.output()


def test_name_without_socket(service, configuration):
    path = configuration("Listen systemd:web")
    server = service([listen(free_port())], "other", ["run-config", str(path)])
    assert server.process.wait(10) == 1
    assert f"AH00526: Syntax error on line 1 of {path}" in server.output()
    assert (
        "no socket named web was passed to the server" in server.output()
        and "passed were other (127.0.0.1:" in server.output()
    )


def test_inherited_variables_of_another_process(service):
    """LISTEN_PID of somebody else: said, and the port is opened as without systemd."""
    port = free_port()
    server = service(port=port, env={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    server.wait_ready()
    assert 'sockets were passed to process "1"' in server.output()
    assert server.get("/").text.endswith("[]")


@pytest.mark.parametrize("abstract", [False, True])
def test_notifications(service, tmp_path, abstract):
    """READY when requests are answered, from the process that systemd started; RELOADING and READY; STOPPING."""
    manager = Manager(f"@modwsgi-go-{os.getpid()}" if abstract else str(tmp_path / "notify"))
    port = free_port()
    server = service(port=port, env={"NOTIFY_SOCKET": manager.address})
    ready = manager.until("READY", "1")
    assert ready["MAINPID"] == str(server.process.pid)
    assert ready["STATUS"] == "Serving with 1 process"
    first = server.get("/").text.split()  # no waiting for the port
    server.send_signal(signal.SIGUSR1)
    assert int(manager.until("RELOADING", "1")["MONOTONIC_USEC"]) > 0
    manager.until("READY", "1")
    wait_for(lambda: server.get("/").text.split() != first, 10, "an answer of the new process")
    server.send_signal(signal.SIGTERM)
    manager.until("STOPPING", "1")
    assert server.process.wait(10) == 0


def test_notifications_with_an_envvars_script(service, tmp_path, script):
    """With --envvars-script the start goes through a shell: it is still the same process."""
    manager = Manager(str(tmp_path / "notify"))
    variables = tmp_path / "variables"
    variables.write_text("FRUIT=pear; export FRUIT\n")
    port = free_port()
    words = [
        "start-server",
        str(script(APP)),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--server-root",
        str(tmp_path / "env"),
        "--envvars-script",
        str(variables),
    ]
    server = service([listen(port)], "web", words, port=port, env={"NOTIFY_SOCKET": manager.address})
    assert manager.until("READY", "1")["MAINPID"] == str(server.process.pid)
    assert server.get("/").text.endswith("[]")


def test_refused_configuration_ends_the_reload(service, configuration, tmp_path):
    """systemctl reload must come back, and systemctl status tell what happened."""
    manager = Manager(str(tmp_path / "notify"))
    port = free_port()
    path = configuration(f"Listen 127.0.0.1:{port}")
    server = service((), "", ["run-config", str(path)], port=port, env={"NOTIFY_SOCKET": manager.address})
    manager.until("READY", "1")
    path.write_text(path.read_text() + "NoSuchDirective\n")
    server.send_signal(signal.SIGUSR1)
    manager.until("RELOADING", "1")
    status = manager.until("READY", "1")["STATUS"]
    assert "the old configuration" in status and "NoSuchDirective" in status
    assert server.get("/").status_code == 200


def test_watchdog(service, tmp_path):
    """The watchdog is told while a process answers; one that is frozen is replaced."""
    manager = Manager(str(tmp_path / "notify"))
    port = free_port()
    server = service(port=port, env={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1000000"})
    manager.until("READY", "1")
    manager.until("WATCHDOG", "1")
    (worker,) = descendants(server.process.pid)
    os.kill(worker, signal.SIGSTOP)
    server.wait_log(rf"WSGI0334: .*\(pid {worker}\) has not answered the supervisor")
    wait_for(lambda: descendants(server.process.pid) not in ([], [worker]), 10, "another process")
    manager.until("WATCHDOG", "1")
    assert server.get("/").status_code == 200


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is not installed")
def test_socket_activate(service, script, tmp_path):
    """systemd's own tool passes the socket, at the first connection."""
    port = free_port()
    words = [
        "start-server",
        str(script(APP)),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--server-root",
        str(tmp_path / "sa"),
    ]
    base = ["systemd-socket-activate", "--fdname=web", "-l", f"127.0.0.1:{port}"]
    server = Server(
        [*base, *[f"--setenv={name}" for name in ("MOD_WSGI_ALLOW_ROOT", "PATH")], *COMMAND, *words],
        tmp_path,
        port,
        str(tmp_path),
    )
    try:
        server.wait_ready()
        assert server.get("/").text.endswith(f" {port} []")
    finally:
        server.finish()


def test_releases_side_by_side(service, script, tmp_path):
    """Two servers with the same socket: the new one serves before the old one stops, and no request is lost."""
    port = free_port()
    sock = listen(port)
    old = service([sock], "web", port=port, app=script("RELEASE = 1\n" + APP, "old.wsgi"))
    first = old.get("/").text.split()[0]
    failures, seen, done = [], [], threading.Event()

    def client():
        while not done.is_set():
            answer = raw(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", timeout=20)
            if not answer.startswith(b"HTTP/1.1 200"):
                failures.append(answer)
            else:
                seen.append(answer.partition(b"\r\n\r\n")[2].decode().split()[0])

    threads = [threading.Thread(target=client, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        manager = Manager(str(tmp_path / "notify"))
        environ = {"NOTIFY_SOCKET": manager.address}
        new = service([sock], "web", port=port, app=script("RELEASE = 2\n" + APP, "new.wsgi"), env=environ)
        manager.until("READY", "1")
        assert old.stop() == 0
        count = len(seen)
        wait_for(lambda: len(seen) > count + 50, 10, "further answers")
    finally:
        done.set()
        for thread in threads:
            thread.join(10)
    assert failures == []
    assert first not in seen[count + 5 :]
    assert new.process.poll() is None


def unit_files():
    return sorted(DEPLOY.glob("systemd/*.s*"))


def test_there_are_units():
    assert [path.name for path in unit_files()] == [
        "modwsgi-go-release.socket",
        "modwsgi-go-release@.service",
        "modwsgi-go.service",
        "modwsgi-go.socket",
        "modwsgi-go@.service",
        "modwsgi-go@.socket",
    ]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("path", unit_files(), ids=lambda path: path.name)
def test_units_are_valid(tmp_path, path):
    """systemd-analyze has nothing to say about our units, once the paths in them exist."""
    for unit in unit_files():
        text = re.sub(r"^(ExecStart|ExecReload|ExecStartPre)=\S+", r"\1=/bin/true", unit.read_text(), flags=re.M)
        (tmp_path / unit.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / path.name)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    # What other units of the machine are like is not of interest.
    said = [line for line in (found.stderr + found.stdout).splitlines() if "modwsgi" in line]
    assert said == []
    assert found.returncode == 0
