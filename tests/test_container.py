"""The server as a container runs it: as process 1, on a read-only file system, logging to pipes, stopped with SIGTERM.

Namespaces come from unshare(1), which needs root; without it these tests are skipped.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from harness import COMMAND, ENVIRON, Server, alive, descendants, free_port, wait_for
from timed import Background


def namespaces():
    """Why there can be no namespaces here; "": there can."""
    if not sys.platform.startswith("linux") or not shutil.which("unshare"):
        return "unshare is not installed"
    made = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, text=True
    )
    return f"no namespaces: {made.stderr.strip()}" if made.returncode else ""


WHY_NOT = namespaces()
pytestmark = [pytest.mark.ours, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]
DEPLOY = Path(__file__).parent.parent / "deploy"

APP = """\
import os, subprocess, sys, time

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        file = environ["QUERY_STRING"]
        open(file + ".in", "w").close()
        end = time.monotonic() + 20
        while not os.path.exists(file) and time.monotonic() < end:
            time.sleep(0.02)
        body = b"slow done"
    elif path == "/orphan":
        body = subprocess.check_output(["sh", "-c", "sleep 0.05 >/dev/null 2>&1 & echo $!"])
    elif path == "/log":
        print("said on stderr", file=sys.stderr)
        body = b""
    else:
        body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


class Container(Server):
    """start-server as process 1. process is unshare, which ends with the same status; main is the server."""

    @property
    def main(self):
        """The pid of process 1 as it is seen from outside."""
        return wait_for(lambda: descendants(self.process.pid), 10, "process 1")[0]

    def send_signal(self, number):
        os.kill(self.main, number)

    def inside(self, *command):
        """The output of a command in the container."""
        entered = ["nsenter", "--target", str(self.main), "--mount", "--pid", *command]
        return subprocess.run(entered, capture_output=True, text=True, timeout=10, check=True).stdout


@pytest.fixture
def container(tmp_path, script):
    """Factory: container(options...) -> Container. setup are shell commands that prepare its mounts."""
    running = []

    def factory(*options, setup="true", server_root=None, ready=True):
        port = free_port()
        root = tmp_path / f"root{len(running)}"
        root.mkdir()
        command = [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-ec",
            f'{setup}; exec "$@"',
            "sh",
            *COMMAND,
            "start-server",
            str(script(APP)),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--log-to-terminal",
            "--server-root",
            str(server_root or root),
            *options,
        ]
        running.append(Container(command, root, port, str(tmp_path)))
        if ready:
            running[-1].wait_ready()
        return running[-1]

    yield factory
    for one in running:
        try:
            one.finish()
        finally:
            one.kill()


def states(container):
    """Pid -> state of the processes in the container."""
    lines = container.inside("ps", "-e", "-o", "pid=,stat=").splitlines()
    return {int(line.split()[0]): line.split()[1] for line in lines}


@pytest.mark.skipif(shutil.which("nsenter") is None or shutil.which("ps") is None, reason="needs nsenter and ps")
def test_orphans_are_reaped(container):
    """A process whose parent has died is process 1's; the exit status of a worker still goes to who waits for it."""
    server = container()
    for _ in range(3):
        orphan = int(server.get("/orphan").text)
        wait_for(lambda pid=orphan: pid not in states(server), 5, "the end of the orphan")
    worker = int(server.get("/").text)
    server.inside("kill", "-KILL", str(worker))
    wait_for(lambda: f"(pid {worker}) was killed by SIGKILL" in server.output(), 5, "the worker's exit in the log")
    assert server.get("/").status_code == 200
    assert not [state for state in states(server).values() if state.startswith("Z")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGWINCH])
def test_stop_finishes_running_requests(container, tmp_path, number):
    """Stopped by any signal, process 1 answers what runs, refuses what is new, and ends with status 0."""
    server = container()
    server.get("/")
    with server.conn(timeout=10) as slow:
        slow.send(f"GET /slow?{tmp_path}/go HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_for((tmp_path / "go.in").exists, what="the request to begin")
        server.send_signal(number)

        def refused():
            try:
                socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
            except ConnectionRefusedError:
                return True
            except ConnectionResetError:  # it was in the queue when that was closed
                pass
            return False

        wait_for(refused, 5, "the port to close, while the request runs")
        (tmp_path / "go").touch()
        assert slow.response()[2] == b"slow done"
    assert server.process.wait(10) == 0


def test_stop_is_bounded(container, tmp_path):
    """--shutdown-timeout is how long SIGTERM lets requests run; then the server answers, and the status is still 0."""
    server = container("--shutdown-timeout", "1")
    server.get("/")
    slow = Background(server, f"/slow?{tmp_path}/never")
    wait_for((tmp_path / "never.in").exists, what="the request to begin")
    begin = time.monotonic()
    server.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    assert slow.status() in (200, 502)
    assert time.monotonic() - begin < 8


def test_stop_before_the_server_is_up(container, tmp_path):
    """A SIGTERM while Python is still starting is not lost: the kernel drops what process 1 has no handler for."""
    (tmp_path / "early").mkdir()
    rules = tmp_path / "early" / "rewrite.conf"
    os.mkfifo(rules)  # the command waits here for what it reads
    server = container(server_root=tmp_path / "early", ready=False)

    def opened():
        with contextlib.suppress(OSError):  # nobody reads yet
            return os.open(rules, os.O_WRONLY | os.O_NONBLOCK)

    writer = wait_for(opened, 10, "the command to read its files")
    try:
        server.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
    finally:
        os.close(writer)


def test_read_only_file_system(container):
    """Nothing is written outside of the server root, which may be a tmpfs."""
    setup = "mount --make-rprivate /; mount -t tmpfs tmpfs /mnt; mount -o remount,bind,ro /; test ! -w /usr"
    for folder in ("/tmp", "/var/tmp", "/run"):
        if os.path.ismount(folder):
            setup += f"; mount -o remount,bind,ro {folder}"
    server = container("--access-log", setup=setup, server_root="/mnt/modwsgi")
    assert server.get("/").status_code == 200
    assert server.get("/log").status_code == 200
    wait_for(lambda: "said on stderr" in server.output() and '"GET /log' in server.output(), 5, "the logs")
    server.send_signal(signal.SIGUSR1)
    wait_for(lambda: server.output().count("resuming normal operations") == 2, 10, "the restart")
    assert server.get("/").status_code == 200


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_logs_go_to_any_kind_of_stream(tmp_path, script, kind):
    """Docker gives pipes, journald sockets, which cannot be opened as /dev/stdout: they are used as they are."""
    ours, theirs = os.pipe() if kind == "pipe" else [end.detach() for end in socket.socketpair()]
    port = free_port()
    extra = tmp_path / "extra.conf"
    extra.write_text('CustomLog /dev/stdout "again %U"\n')
    process = subprocess.Popen(
        [
            *COMMAND,
            "start-server",
            str(script(APP)),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--log-to-terminal",
            "--access-log",
            "--server-root",
            str(tmp_path / "root"),
            "--include-file",
            str(extra),
        ],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=ENVIRON,
    )
    os.close(theirs)
    text = b""

    def read_until(mark):
        nonlocal text
        while mark not in text:
            block = os.read(ours, 65536)
            assert block, text
            text += block

    try:
        read_until(b"resuming normal operations")
        wait_for(lambda: answers(port), 10, "an answer")
        httpx.get(f"http://127.0.0.1:{port}/log", trust_env=False)
        read_until(b"said on stderr")
        read_until(b'"GET /log HTTP/1.1" 200')
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        if process.poll() is None:
            process.kill()
        os.close(ours)
    assert not [pid for pid in descendants(process.pid) if alive(pid)]


def answers(port):
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code == 200
    return False
