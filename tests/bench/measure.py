"""One running server, wrk against it, and what /proc says about its process tree."""

import contextlib
import http.client
import os
import re
import signal
import ssl
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ..certificates import Certificates
from ..harness import free_port
from .servers import APPS, OURS, TLS

TICK = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A server that does not start or does not answer rightly; the text says why."""


@dataclass
class Round:
    """One run of wrk."""

    rate: float
    cpu: float  # microseconds of user + system time per request
    p50: float  # milliseconds
    p99: float
    errors: int  # socket errors and time-outs
    refused: int  # answers that are not 2xx or 3xx
    rss: float  # MiB of the process tree


def tree(pid):
    """pid and all its living descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def cpu_seconds(pid):
    """User and system time of the tree, with that of children already reaped."""
    ticks = 0
    for one in tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / TICK


def rss_mib(pid):
    total = 0
    for one in tree(pid):
        try:
            found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{one}/status").read_text())
        except OSError:
            continue
        total += int(found.group(1)) if found else 0
    return total / 1024


def certificate(folder):
    """A self-signed certificate for localhost; returns the files of it and of its key."""
    certs = Certificates(folder)
    files = str(certs.make("localhost", names=["DNS:localhost"])), str(certs / "localhost.key")
    for file in files:
        os.chmod(file, 0o644)  # servers change their user
    return files


class Running:
    """A started server; use as a context manager."""

    def __init__(self, peer, scenario):
        self.peer, self.scenario, self.port = peer, scenario, free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="bench-")
        os.chmod(self.folder.name, 0o755)
        data = Path(self.folder.name)
        (data / "bench-1m.bin").write_bytes(b"0123456789abcdef" * 65536)
        module, _, call = scenario.app.partition(":")
        made = [module, call, self.port, scenario.threads, scenario.processes, data / "root"]
        if scenario.tls:
            command = TLS[peer.name](*made, certificate(data), scenario.streams > 0)
        else:
            command = peer.command(*made)
        if scenario.front and peer is OURS:
            (data / "second-group.conf").write_text("WSGIDaemonProcess another threads=1\n")
            command += ["--include-file", str(data / "second-group.conf")]
        self.log = data / "output.txt"
        env = {**os.environ, "BENCH_DATA": str(data), "PYTHONPATH": str(APPS), "PYTHONDONTWRITEBYTECODE": "1",
               "MOD_WSGI_ALLOW_ROOT": "1"}
        with open(self.log, "wb") as output:
            self.began = time.perf_counter()
            self.process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=env,
                                            cwd=APPS, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def tail(self):
        errors = Path(self.folder.name) / "root" / "error_log"
        text = (errors if errors.exists() else self.log).read_text(errors="replace").strip().splitlines()
        return " / ".join(text[-3:])[-300:]

    def first_answer(self, limit=20):
        """Polls until a right answer comes; returns the seconds since the command was started."""
        while True:
            if self.process.poll() is not None:
                raise Failed(f"ended with {self.process.returncode}: {self.tail()}")
            try:
                self.check()
                return time.perf_counter() - self.began
            except (OSError, http.client.HTTPException):
                if time.perf_counter() - self.began > limit:
                    raise Failed(f"no answer within {limit} s: {self.tail()}") from None
                time.sleep(0.002)

    def check(self):
        """One request by hand: 200, and a body of the right length."""
        if self.scenario.tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            conn = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=5, context=context)
        else:
            conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            body = b"p" * self.scenario.post
            conn.request("POST" if body else "GET", "/", body or None, {"Connection": "close", "Host": "localhost"})
            answer = conn.getresponse()
            got = len(answer.read())
        finally:
            conn.close()
        if answer.status != 200 or got != self.scenario.length:
            raise Failed(f"status {answer.status}, {got} bytes instead of {self.scenario.length}: {self.tail()}")

    def load(self, seconds):
        """One run of wrk, or h2load; returns a Round."""
        if self.scenario.streams:
            return self.load_h2(seconds)
        command = ["wrk", "-t1", f"-c{self.scenario.connections}", f"-d{seconds}s", "--latency", "--timeout", "5s"]
        for name, value in self.scenario.headers.items():
            command += ["-H", f"{name}: {value}"]
        if self.scenario.post:
            lua = Path(self.folder.name) / "post.lua"
            lua.write_text(f'wrk.method = "POST"\nwrk.body = string.rep("p", {self.scenario.post})\n')
            command += ["-s", str(lua)]
        before = cpu_seconds(self.process.pid)
        url = f"http{'s' * self.scenario.tls}://localhost:{self.port}/"
        done = subprocess.run([*command, url], capture_output=True, text=True,
                              timeout=seconds + 30)
        spent = cpu_seconds(self.process.pid) - before
        return self.parse(done.stdout + done.stderr, spent)

    def load_h2(self, seconds):
        """One run of h2load."""
        log = Path(self.folder.name) / "h2load.log"
        log.unlink(missing_ok=True)
        command = ["h2load", "-t1", f"-c{self.scenario.connections}", f"-m{self.scenario.streams}", f"-D{seconds}",
                   f"--log-file={log}"]
        for name, value in self.scenario.headers.items():
            if name not in ("Host", "Connection"):
                command += ["-H", f"{name}: {value}"]
        before = cpu_seconds(self.process.pid)
        done = subprocess.run([*command, f"https://localhost:{self.port}/"], capture_output=True, text=True,
                              timeout=seconds + 30)
        spent = cpu_seconds(self.process.pid) - before
        text = done.stdout
        rate = re.search(r"finished in [\d.]+m?s, ([\d.]+) req/s", text)
        counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
        protocol = re.search(r"Application protocol: (\S+)", text)
        if not rate or not counts or int(counts.group(2)) == 0 or not protocol or protocol.group(1) != "h2":
            raise Failed(f"h2load said: {(text + done.stderr).strip()[-200:]}")
        times = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
        total, good, _, errored, late = map(int, counts.groups())
        return Round(rate=float(rate.group(1)), cpu=spent * 1e6 / total, p50=times[len(times) // 2] / 1000,
                     p99=times[len(times) * 99 // 100] / 1000, errors=errored + late, refused=total - good,
                     rss=rss_mib(self.process.pid))

    def parse(self, text, spent):
        total = re.search(r"(\d+) requests in", text)
        rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
        if not total or not rate:
            raise Failed(f"wrk said: {text.strip()[-200:]}")
        if int(total.group(1)) == 0:
            raise Failed("no answer over keep-alive connections")
        scale = {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}

        def latency(percent):
            found = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s|m)", text)
            return float(found.group(1)) * scale[found.group(2)] if found else 0

        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        return Round(
            rate=float(rate.group(1)),
            cpu=spent * 1e6 / max(int(total.group(1)), 1),
            p50=latency(50),
            p99=latency(99),
            errors=sum(map(int, errors.groups())) if errors else 0,
            refused=int(refused.group(1)) if refused else 0,
            rss=rss_mib(self.process.pid))

    def stop(self):
        """SIGTERM, then SIGKILL for the processes of this server that are left."""
        pids = tree(self.process.pid)
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(6)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(pid) == self.process.pid:  # still one of ours, not a number used again
                    os.kill(pid, signal.SIGKILL)
        self.process.wait(5)
        self.folder.cleanup()
