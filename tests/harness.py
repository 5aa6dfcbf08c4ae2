"""What the end-to-end tests share: server processes, raw sockets, and waits with a limit.

The server under test is `python -m modwsgi_go` of the interpreter that runs pytest.
MODWSGI_TEST_COMMAND names another command with the same command line (the original
mod_wsgi-express, for instance); tests of behaviour that only this project promises
carry the mark `ours` and are skipped then.
"""

import contextlib
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
APPS = HERE / "apps"
SINK = APPS / "kitchen_sink.wsgi"
COMMAND = shlex.split(os.environ.get("MODWSGI_TEST_COMMAND", "")) or [sys.executable, "-m", "modwsgi_go"]
REFERENCE = "MODWSGI_TEST_COMMAND" in os.environ
# Set: a second process group in every configuration, so that requests travel from a front process.
FRONT = bool(os.environ.get("MODWSGI_TEST_FRONT"))
SECOND_GROUP = "WSGIDaemonProcess the-other-group threads=1\n"
START_LIMIT = 15.0
# Containers run the tests as root; the server asks for this word before it serves as root.
ENVIRON = {**os.environ, "MOD_WSGI_ALLOW_ROOT": "1"}
# make asan: the library that the servers under test, and not pytest itself, need loaded first.
if "MODWSGI_TEST_PRELOAD" in os.environ:
    ENVIRON["LD_PRELOAD"] = os.environ["MODWSGI_TEST_PRELOAD"]


def wait_for(condition, limit=10.0, what="condition", every=0.02):
    """Polls until condition() is true and returns its value; fails the test after `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"waited {limit} s in vain for {what}")
        time.sleep(every)


def free_port():
    """A port below the ephemeral ones, which clients take between this look and the server's bind."""
    for _ in range(50):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def alive(pid):
    """True while a thread of the process is no zombie: the first may be one before the others, which keep its files."""

    def living(thread):
        try:
            return (thread / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    try:
        return any(living(thread) for thread in Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return False


def descendants(pid):
    """Pids of all live processes below pid, found by walking /proc."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents.setdefault(int(fields[1]), []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        children = parents.get(queue.pop(), [])
        found += children
        queue += children
    return found


def raw(port, data, timeout=5.0, half_close=False):
    """Sends bytes on a new connection and returns everything up to the server's close.

    A server that keeps the connection open for `timeout` seconds of silence raises TimeoutError, so
    requests need `Connection: close` or an error that closes. A reset counts as a close.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as sock:
        try:
            sock.sendall(data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        received = b""
        while True:
            try:
                block = sock.recv(65536)
            except ConnectionResetError:
                return received
            if not block:
                return received
            received += block


def package_folder():
    import modwsgi_go

    return os.path.dirname(os.path.dirname(modwsgi_go.__file__))


def interpreter_for(account):
    """An interpreter that this account can run with our library: the tests' own may lie in root's home folder."""
    said = ""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            subprocess.run(
                [python, "-c", "import math, socket, json; from modwsgi_go._gocore import _gocore"],
                user=account.pw_uid, group=account.pw_gid, extra_groups=[], capture_output=True, text=True,
                timeout=20, cwd="/", check=True,
                env={"PATH": "/usr/bin", "PYTHONPATH": package_folder(), "PYTHONDONTWRITEBYTECODE": "1"})
            return python
        except OSError as error:
            said = str(error)
        except subprocess.CalledProcessError as error:
            said = error.stderr.strip()[-200:]
    pytest.skip(f"user {account.pw_name} cannot run an interpreter with this library: {said}")


class Conn:
    """One raw keep-alive connection with a minimal response reader."""

    def __init__(self, port, timeout=5.0):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def fill(self):
        block = self.sock.recv(65536)
        if not block:
            raise EOFError("server closed the connection")
        self.buffer += block

    def until(self, mark):
        while mark not in self.buffer:
            self.fill()
        head, _, self.buffer = self.buffer.partition(mark)
        return head

    def take(self, count):
        while len(self.buffer) < count:
            self.fill()
        part, self.buffer = self.buffer[:count], self.buffer[count:]
        return part

    def response(self, head_only=False):
        """Reads one response: (status, headers as dict of lower-case names, body)."""
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if head_only or status < 200 or status in (204, 304):
            return status, headers, b""
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size = int(self.until(b"\r\n").split(b";")[0], 16)
                if size == 0:
                    while self.until(b"\r\n"):
                        pass
                    return status, headers, body
                body += self.take(size)
                assert self.take(2) == b"\r\n"
        if "content-length" in headers:
            return status, headers, self.take(int(headers["content-length"]))
        body = self.buffer
        while True:
            block = self.sock.recv(65536)
            if not block:
                return status, headers, body
            body += block

    def closed(self):
        """True when the server has closed: end of file or a reset, with nothing unread before it."""
        try:
            return not self.buffer and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True


def parse(response):
    """Splits the bytes of one response into (status, [(lower-case name, value)], raw body)."""
    head, _, body = response.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = [(line.partition(":")[0].lower(), line.partition(":")[2].strip()) for line in lines[1:]]
    return int(lines[0].split()[1]), fields, body


class Server:
    """A running server: its process, address, folders and logs."""

    started = []  # those of the running test and its fixtures: conftest.py shows their logs when it fails

    def __init__(self, command, root, port, cwd, env=None, pass_fds=()):
        self.root, self.port = Path(root), port
        self.url = f"http://127.0.0.1:{port}"
        self.error_log = self.root / "error_log"
        self.access_log = self.root / "access_log"
        self.output_path = self.root / "test-output.txt"
        self.output_file = open(self.output_path, "wb")  # noqa: SIM115
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output_file, cwd=cwd,
                                        stderr=subprocess.STDOUT, env=env or ENVIRON, start_new_session=True,
                                        pass_fds=pass_fds)
        import httpx  # here, so that tests without a server do not need it

        self.client = httpx.Client(base_url=self.url, timeout=10, trust_env=False)
        self.expected = 0
        self.started.append(self)

    def wait_ready(self, *others):
        """Waits until the port is open, and other ports if the test uses them."""

        def ready():
            if self.process.poll() is not None:
                pytest.fail(f"server ended with {self.process.returncode} at start:\n{self.report()}")
            try:
                for port in (self.port, *others):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return True
            except OSError:
                return False

        wait_for(ready, START_LIMIT, "the port to open", every=0.01)

    def request(self, method, path, **kwargs):
        return self.client.request(method, path, **kwargs)

    def get(self, path, **kwargs):
        return self.client.get(path, **kwargs)

    def post(self, path, content=b"", **kwargs):
        return self.client.post(path, content=content, **kwargs)

    def json(self, path, **kwargs):
        answer = self.get(path, **kwargs)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def raw(self, data, **kwargs):
        return raw(self.port, data, **kwargs)

    def conn(self, **kwargs):
        return Conn(self.port, **kwargs)

    def events(self):
        return self.json("/events")

    def worker(self):
        """Pid of the process that runs the application."""
        return self.json("/process")["pid"]

    def output(self):
        return self.output_path.read_text(errors="replace") if self.output_path.exists() else ""

    def log(self):
        return self.error_log.read_text(errors="replace") if self.error_log.exists() else ""

    def wait_log(self, pattern, limit=5.0):
        """Waits for a match of the regular expression in the error log and returns it."""
        return wait_for(lambda: re.search(pattern, self.log(), re.M), limit,
                        f"{pattern!r} in the error log:\n{self.log()[-2000:]}")

    def report(self):
        return f"--- output\n{self.output()[-4000:]}\n--- error log\n{self.log()[-6000:]}"

    def send_signal(self, number):
        os.kill(self.process.pid, number)

    def stop(self, number=signal.SIGTERM, limit=12.0):
        """Sends the signal, waits for the end and returns the exit code."""
        self.client.close()
        if self.process.poll() is None:
            self.send_signal(number)
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"server did not end within {limit} s of signal {number}\n{self.report()}")

    def kill(self):
        """Ends the whole tree without mercy (cleaning up after a failed test)."""
        pids = [self.process.pid, *descendants(self.process.pid)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)

    def finish(self):
        """End of the test: SIGTERM must give exit 0 and leave no process behind, unless the test stopped it itself."""
        try:
            if self.process.returncode is None:
                tree = descendants(self.process.pid)
                code = self.stop()
                assert code == self.expected, f"exit code {code}\n{self.report()}"
                wait_for(lambda: not [pid for pid in tree if alive(pid)], 5, "the end of all server processes")
        finally:
            self.client.close()
            self.kill()
            self.output_file.close()


def start(app, *args, root, config=None, cwd=None, env=None, port=None, ready=True, base=COMMAND, pass_fds=()):
    """Starts `start-server` for a script (None: no script) and waits until the port is open."""
    port = port or free_port()
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    command = [*base, "start-server"]
    if app is not None:
        command.append(str(app))
    command += ["--host", "127.0.0.1", "--port", str(port), "--server-root", str(root)]
    if FRONT and "--embedded-mode" not in args:
        config = (config or "") + "\n" + SECOND_GROUP
    if config is not None:
        extra = root / "test-include.conf"
        extra.write_text(config.replace("@PORT@", str(port)).replace("@ROOT@", str(root)))
        command += ["--include-file", str(extra)]
    server = Server([*command, *map(str, args)], root, port, cwd or str(root),
                    {**ENVIRON, **(env or {})}, pass_fds)
    if ready:
        try:
            server.wait_ready()
        except BaseException:
            server.kill()
            raise
    return server


def finish_all(running):
    failures = []
    for one in running:
        try:
            one.finish()
        except (AssertionError, pytest.fail.Exception) as error:
            failures.append(str(error))
    if failures:
        pytest.fail("\n".join(failures))
