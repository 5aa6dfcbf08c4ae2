"""Constant load over many keep-alive connections, and an account of every single request.

The clients are strict: nothing is asked twice, and whatever is not a complete, correct answer of
apps/load.wsgi is a failure with the exact kind:

    ok              complete and correct; `pid`, `generation` and `version` say who answered
    refused         the connection could not be made
    silent-new      end of file or reset without a byte of an answer, first request of its connection
    silent-reused   the same on a connection that had answered before
    cut             the answer broke off
    status-NNN      an answer with another status than 200
    wrong           status 200, but not this request's body
    timeout         no (complete) answer in time

`closed` is not a request: the server had closed a kept connection, without having said `Connection: close`,
before the client wanted it again. HTTP allows it; whoever sends at that moment loses a request, so tests count it.
"""

import asyncio
import hashlib
import select
import threading
import time
from collections import Counter
from typing import NamedTuple

import pytest

LIMIT = 30.0  # seconds until a request without a complete answer is a failure


class Answer(NamedTuple):
    """One request: what became of it, by whom, and when. `owner` is the pid that answered the one before it."""

    kind: str
    sent: float
    ended: float
    path: str
    owner: int | None
    pid: int | None = None
    generation: str = ""
    version: str = ""
    detail: str = ""


class Client:
    """One connection at a time, and the requests of one user on it."""

    def __init__(self, load, number):
        self.load, self.number = load, number
        self.reader = self.writer = self.owner = None
        self.count = 0

    def drop(self):
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = self.owner = None

    def hung_up(self):
        """What the kernel knows at this moment; the event loop may not have heard of it yet."""
        sock = self.writer.get_extra_info("socket")
        descriptor = sock.fileno() if sock is not None else -1  # None: TLS, and closed
        if descriptor < 0 or self.reader.at_eof() or self.reader.exception():
            return True
        poll = select.poll()
        received = 0 if self.load.tls else select.POLLIN  # session tickets are no answers
        poll.register(descriptor, received | getattr(select, "POLLRDHUP", 0))
        return bool(poll.poll(0))

    async def run(self):
        while not self.load.done:
            await self.once()
            await asyncio.sleep(self.load.pause)
        self.drop()

    def plan(self):
        """The next request: (method, path, body, expected end of the answer). Small answers, large ones, uploads,
        streams and requests that take a while, so that a change of process meets each of them."""
        self.count += 1
        mark = f"{self.number}-{self.count}"
        turn = (self.number + self.count) % 10
        base = self.load.path
        if turn == 3:
            return "GET", f"{base}?mark={mark}&size=100000", b"", b"x" * 100000
        if turn == 5:
            body = mark.encode() * 3000
            return "POST", f"{base}?mark={mark}", body, hashlib.sha1(body).hexdigest().encode()
        if turn == 7:
            return "GET", f"{base}?mark={mark}&stream=5", b"", b"0123 4567 89ab cdef fedc"
        if turn == 9:
            return "GET", f"{base}?mark={mark}&sleep=0.05", b"", b""
        return "GET", f"{base}?mark={mark}", b"", b""

    async def once(self):
        method, path, body, expected = self.plan()
        if self.writer is not None and self.hung_up():
            self.load.closed.append((time.monotonic(), self.owner))
            self.drop()
        begun = time.monotonic()

        def note(kind, detail="", answered=(None, "", "")):
            self.load.note(Answer(kind, begun, time.monotonic(), path, self.owner, *answered, detail))

        fresh = self.writer is None
        if fresh:
            try:
                self.reader, self.writer = await asyncio.wait_for(
                    asyncio.open_connection("127.0.0.1", self.load.port, ssl=self.load.tls), LIMIT)
            except (OSError, asyncio.TimeoutError) as error:
                # A handshake that breaks off had a connection.
                shaking = self.load.tls and not isinstance(error, ConnectionRefusedError)
                note("silent-new" if shaking else "refused", repr(error))
                return
        got = bytearray()
        try:
            head = f"{method} {path} HTTP/1.1\r\nHost: load.example\r\n"
            if body:
                head += f"Content-Length: {len(body)}\r\n"
            self.writer.write(head.encode() + b"\r\n" + body)
            status, fields, answer = await asyncio.wait_for(self.response(got), LIMIT)
        except (TimeoutError, asyncio.TimeoutError):
            note("timeout", f"{len(got)} bytes")
            self.drop()
            return
        except (OSError, EOFError, asyncio.IncompleteReadError, ValueError) as error:
            silent = "silent-new" if fresh else "silent-reused"
            note("cut" if got else silent, f"{error!r} {bytes(got[:200])!r}")
            self.drop()
            return
        self.judge(note, status, answer, path, expected)
        if fields.get("connection", "").lower() == "close":
            self.drop()

    def judge(self, note, status, answer, path, expected):
        if status != 200:
            note(f"status-{status}", answer[:800].decode("latin-1"))
            self.owner = None
            return
        line, _, rest = answer.partition(b"\n")
        words = line.decode("latin-1").split(" ")
        if len(words) != 4 or not path.partition("mark=")[2].startswith(words[3]) or rest != expected:
            note("wrong", answer[:800].decode("latin-1"))
            return
        self.owner, generation, version = int(words[0]), words[1], words[2]
        note("ok", "", (self.owner, generation, version))

    async def response(self, got):
        """Reads one response; `got` holds what came of it, also when it breaks off."""
        reader = self.reader

        async def until_line():
            line = await reader.readuntil(b"\n")
            got.extend(line)
            return line.rstrip(b"\r\n")

        async def exactly(count):
            try:
                block = await reader.readexactly(count)
            except asyncio.IncompleteReadError as error:
                got.extend(error.partial)
                raise
            got.extend(block)
            return block

        try:
            status = int((await until_line()).split()[1])
        except asyncio.IncompleteReadError as error:
            got.extend(error.partial)
            raise
        fields = {}
        while line := await until_line():
            name, _, value = line.decode("latin-1").partition(":")
            fields[name.lower()] = value.strip()
        if fields.get("transfer-encoding") == "chunked":
            answer = b""
            while size := int((await until_line()).partition(b";")[0], 16):
                answer += await exactly(size)
                if await until_line():
                    raise ValueError("chunk without its end")
            while await until_line():
                pass
            return status, fields, answer
        return status, fields, await exactly(int(fields["content-length"]))


class Load:
    """with Load(server, clients=32) as load: ... ; afterwards load.answers holds every request."""

    def __init__(self, running, path="/", clients=32, pause=0.02, tls=None):
        self.tls = tls  # an SSLContext, or None
        self.port, self.path, self.clients, self.pause = running.port, path, clients, pause
        self.running = running
        self.answers, self.closed, self.done, self.broken = [], [], False, None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        async def all_clients():
            await asyncio.gather(*(Client(self, n).run() for n in range(self.clients)))

        try:
            asyncio.run(all_clients())
        except BaseException as error:
            self.broken = error  # a fault of the clients themselves
            raise

    def note(self, answer):
        self.answers.append(answer)

    def __enter__(self):
        self.thread.start()
        self.more(2 * self.clients)
        return self

    def __exit__(self, *_):
        self.done = True
        self.thread.join(LIMIT + 10)
        assert not self.thread.is_alive(), "the clients do not end"
        assert self.broken is None, self.broken

    def more(self, count=100):
        """Waits until `count` further requests have ended."""
        self.wait(lambda new: len(new) >= count, f"{count} further answers")

    def wait(self, condition, what, limit=60):
        """Waits until the answers that come from now on satisfy condition(list of them)."""
        start, end = len(self.answers), time.monotonic() + limit
        while not condition(self.answers[start:]):
            assert self.broken is None, self.broken
            if time.monotonic() > end:
                pytest.fail(f"waited {limit} s in vain for {what}: {self.summary()}")
            time.sleep(0.02)

    def settled(self, condition, what, limit=60):
        """Waits until the last answers of so many that each client has several satisfy condition."""
        count = 4 * self.clients

        def enough(new):
            return len(new) >= count and condition([a for a in new[-count:] if a.kind == "ok"])

        return self.wait(enough, what, limit)

    def failures(self):
        return [a for a in self.answers if a.kind != "ok"]

    def summary(self):
        kinds = Counter(a.kind for a in self.answers)
        return f"{len(self.answers)} requests, {dict(kinds)}, {len(self.closed)} kept connections closed"

    def expect_no_loss(self):
        failed = self.failures()
        if failed or self.closed:
            detail = "\n".join(map(str, failed[:10]))
            pytest.fail(f"{self.summary()}\n{detail}\n{self.closed[:10]}")
