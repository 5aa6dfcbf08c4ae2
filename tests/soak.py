"""Many mixed requests, and nothing grows: memory, descriptors, Python objects and, in a debug build, references.

    python tests/soak.py [--requests 200000] [--threads 4] [--reloads 30] [--events] [--front]
                         [--application-group NAME]     (make soak)

Requests of all kinds run against one worker process: short and streamed responses, files, uploads with a length and in
chunks, errors at every point, clients that leave in the middle of head, body and response. After a tenth of them, as a
warm-up, and after each further fifth it asks the worker for its figures. Then the script is changed again and again
under load, so that processes are replaced, and the supervisor's figures are compared. Exit 1 if anything grew.
"""

import argparse
import json
import os
import random
import re
import socket
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path

from harness import APPS, Conn, descendants, finish_all, start, wait_for

# What may differ between two measurements without a leak: caches that fill slowly, buffers that stay with a slot of a
# connection, the allocator's mood. What is resident follows from the others and fragmentation. go: MB of live heap.
ALLOWED = {
    "resident": 24 << 20,
    "others' resident": 24 << 20,
    "others' descriptors": 4,
    "malloc": 3 << 20,
    "go": 2,
    "descriptors": 4,
    "blocks": 1500,
    "objects": 500,
    "references": 3000,
}
# A second group that serves requests makes a process in front of both necessary.
FRONT = """
WSGIDaemonProcess other threads=1
WSGIScriptAlias /other "{script}" process-group=other application-group=%{{GLOBAL}}
"""

HOST = b" HTTP/1.1\r\nHost: soak.test\r\n"


def get(target, *fields):
    return b"GET " + target + HOST + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def post(target, body):
    return b"POST " + target + HOST + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(target, body, size):
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"POST " + target + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


BODY = bytes(range(256)) * 400
# Complete requests, with how often they come. %d: the number of the request, so that some are never the same.
WHOLE = [
    (20, get(b"/")),
    (10, get(b"/environ?n=%d", b"X-Number: %d")),
    (6, get(b"/generator?count=5")),
    (4, get(b"/write")),
    (4, get(b"/iterable?kind=generator")),
    (4, get(b"/file?size=3000")),
    (2, get(b"/file?size=300000")),
    (2, get(b"/file?kind=bytesio&size=20000")),
    (1, get(b"/file-fails")),
    (4, get(b"/headers")),
    (2, get(b"/lazy")),
    (2, get(b"/big?size=200000")),
    (2, get(b"/content-length?declared=5&body=abcdefg")),
    (2, get(b"/module")),
    (2, get(b"/log?mark=%d")),
    (2, get(b"/status?line=404%%20Nothing")),
    (2, b"HEAD /generator?count=3" + HOST + b"\r\n"),
    (2, get(b"/raise?at=call&mark=%d")),
    (2, get(b"/raise?at=first")),
    (1, get(b"/raise?at=close")),
    (2, get(b"/raise?at=middle")),
    (1, get(b"/raise?at=call&kind=SystemExit")),
    (1, get(b"/return?kind=none")),
    (1, get(b"/return?kind=list-str")),
    (1, get(b"/no-start")),
    (1, get(b"/write-wrong")),
    (1, get(b"/bad-start?case=status-int")),
    (1, get(b"/timeout-exception")),
    (1, get(b"/twice")),
    (1, get(b"/thread")),
    (1, get(b"/keep")),
    (1, get(b"/kept")),
    (6, post(b"/echo", b"some=form&with=fields")),
    (3, post(b"/length", BODY)),
    (1, post(b"/digest", BODY * 20)),
    (2, post(b"/echo?how=mixed", b"one\ntwo\nthree\nfour and more\n" * 3)),
    (2, post(b"/ignore-input", BODY[:3000])),
    (2, chunked(b"/length", BODY, 700)),
    (1, chunked(b"/digest", BODY * 20, 60000)),
    (1, get(b"/there-is-none")),
    (1, b"POST /echo" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"),
    (2, get(b"/environ", b"Cookie: " + b"c" * 3000)),
    (1, get(b"/../../etc/passwd")),
    (1, get(b"/%%zz")),
]
# Requests that break off, or are none.
BROKEN = [
    b"GET / HTTP/1.1\r\nHost",
    b"GET / HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
    post(b"/length", BODY)[:5000],
    post(b"/digest", BODY * 20)[:800_000],
    chunked(b"/length", BODY, 700)[:20_000],
    get(b"/big?size=5000000"),
    get(b"/generator?count=3000&size=300"),
    get(b"/file?size=5000000"),
    get(b"/endless"),
    b"POST /length" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
]


class Client(threading.Thread):
    """Sends its share of requests: runs of up to twenty on a connection, then one that breaks off."""

    def __init__(self, port, count, seed):
        super().__init__(daemon=True)
        self.port, self.count, self.random, self.sent, self.error = port, count, random.Random(seed), 0, None

    def run(self):
        try:
            while self.sent < self.count:
                self.connection()
                self.broken()
        except Exception as error:
            self.error = error

    def connection(self):
        weights = [weight for weight, _ in WHOLE]
        with Conn(self.port, timeout=60) as conn:
            for _ in range(self.random.randrange(1, 20)):
                data = self.random.choices(WHOLE, weights)[0][1]
                head, separator, body = data.partition(b"\r\n\r\n")
                numbers = head.count(b"%d")
                head = head % ((self.sent,) * numbers) if numbers else head.replace(b"%%", b"%")
                self.sent += 1
                try:
                    conn.send(head + separator + body)
                    status, fields, _ = conn.response(head_only=data.startswith(b"HEAD"))
                    while status == 100:
                        status, fields, _ = conn.response()
                except (EOFError, ConnectionError):
                    return  # a response that the application broke off, an error that closes
                if fields.get("connection") == "close" or status >= 400:
                    return

    def broken(self):
        self.sent += 1
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as sock:
            try:
                sock.sendall(self.random.choice(BROKEN))
                if self.random.random() < 0.5:
                    sock.settimeout(0.2)  # to some of these there is no answer
                    sock.recv(1000)
            except OSError:
                pass
            if self.random.random() < 0.5:  # a reset instead of an orderly end
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def load(running, count, threads, seed):
    clients = [Client(running.port, count // threads, seed * 100 + n) for n in range(threads)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
        if one.error:
            raise one.error
    return sum(one.sent for one in clients)


def figures(running):
    """Of the worker, when it has nothing to do."""
    time.sleep(1)  # connections that were broken off are noticed
    found = running.json("/measure")
    collections = re.findall(r"^gc \d+ @.*->(\d+) MB,", running.log(), re.M)
    found["go"] = int(collections[-1]) if collections else None
    # The server keeps a string for each port that clients had (environ.c): a block and a reference, at most 65,536.
    for key in ("blocks", "references"):
        if found[key] is not None:
            found[key] -= found["ports"]
    others = [pid for pid in descendants(running.process.pid) if pid != found["pid"]]
    if others:  # a process in front, and that of the group which makes it necessary
        found |= {f"others' {key}": value for key, value in process_figures(*others).items()}
    return found


def process_figures(*pids):
    """Sums over processes, seen from outside."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return {
        "resident": pages * os.sysconf("SC_PAGESIZE"),
        "descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
    }


def grown(before, after, allowed=ALLOWED):
    return {
        key: (before[key], after[key])
        for key, limit in allowed.items()
        if before.get(key) is not None and after.get(key) is not None and after[key] - before[key] > limit
    }


def steady(running, requests, threads):
    """One process, no reload. Returns what grew."""
    done = load(running, requests // 10, threads, 0)
    first = figures(running)
    print(f"{done:8} requests: {json.dumps(first)}", flush=True)
    last = first
    for part in range(1, 6):
        began = time.monotonic()
        count = load(running, requests * 9 // 50, threads, part)
        done += count
        last = figures(running)
        print(f"{done:8} requests: {json.dumps(last)}  {count / (time.monotonic() - began):.0f}/s", flush=True)
        if last["pid"] != first["pid"]:
            raise SystemExit("the worker was replaced:\n" + running.log()[-3000:])
    return grown(first, last)


def reloads(running, script, count, requests, threads):
    """The script changes under load; the supervisor must not grow, nor the number of processes."""
    if not count:
        return {}
    processes = len(descendants(running.process.pid))
    share = max(requests // 10 // count, 50)
    for n in range(count):
        if n == count // 3:
            first = process_figures(running.process.pid)
        before = running.json("/measure")["pid"]
        script.touch()
        load(running, share, threads, 1000 + n)
        wait_for(lambda before=before: running.json("/measure")["pid"] != before, 60, "the new process")
    last = process_figures(running.process.pid)
    wait_for(lambda: len(descendants(running.process.pid)) == processes, 60, "the end of the old processes")
    print(f"{count:8} reloads: supervisor {json.dumps(first)} -> {json.dumps(last)}", flush=True)
    return grown(first, last, {"resident": 8 << 20, "descriptors": 2})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--threads", type=int, default=4, help="clients at the same time")
    parser.add_argument("--reloads", type=int, default=30)
    parser.add_argument("--events", action="store_true", help="with subscribers of events and metrics")
    parser.add_argument("--front", action="store_true", help="with a process in front of the application's")
    parser.add_argument("--application-group", default="%{GLOBAL}", metavar="NAME", help="a sub-interpreter")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        script = Path(folder) / "soak.wsgi"
        script.write_text(
            (APPS / "soak.wsgi").read_text().replace("os.path.dirname(os.path.abspath(__file__))", repr(str(APPS)))
        )
        environ = {"GODEBUG": "gctrace=1"}  # a line for each collection
        if options.events:
            environ["SOAK_EVENTS"] = "1"
        running = start(
            script,
            "--threads",
            3,
            "--log-level",
            "crit",
            "--limit-request-body",
            1 << 30,
            "--maximum-requests",
            0,
            "--application-group",
            options.application_group,
            root=Path(folder) / "root",
            env=environ,
            config=FRONT.format(script=script) if options.front else None,
        )
        try:
            bad = steady(running, options.requests, options.threads)
            bad |= {
                f"supervisor's {key}": value
                for key, value in reloads(running, script, options.reloads, options.requests, options.threads).items()
            }
        finally:
            finish_all([running])
    for key, (before, after) in bad.items():
        print(f"grown: {key} from {before} to {after}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
