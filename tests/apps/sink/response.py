"""Responses: iterables, write(), generators, sizes, delays, and the rules of start_response."""

import os
import sys
import threading
import time

from .core import EVENTS, TEXT, Body, reply, route


@route("/write")
def write(environ, start_response, query):
    send = start_response("200 OK", list(TEXT))
    send(b"first ")
    send(b"")
    send(b"second ")
    return [b"third"]


@route("/generator")
def generator(environ, start_response, query):
    count, size = int(query.get("count", "3")), int(query.get("size", "6"))
    gated = "gate" in query
    start_response("200 OK", list(TEXT))

    def block(i):
        def make():
            if i and gated:
                GATE.wait(20)
                GATE.clear()
            return (b"%05d " % i).ljust(size, b".")[:size]

        return make

    return Body("generator", [block(i) for i in range(count)])


@route("/lazy")
def lazy(environ, start_response, query):
    """start_response only inside the generator, after empty blocks."""
    yield b""
    yield b""
    start_response("203 Lazy", list(TEXT))
    yield b"late"
    yield b""
    yield b"r"


@route("/close-order")
def close_order(environ, start_response, query):
    start_response("200 OK", list(TEXT))

    def blocks():
        try:
            yield b"a"
            yield b"b"
            EVENTS.append("exhausted")
        finally:
            EVENTS.append("finally")

    class Ordered:
        def __iter__(self):
            return blocks()

        def close(self):
            EVENTS.append("close")

    return Ordered()


@route("/iterable")
def iterable(environ, start_response, query):
    start_response("200 OK", list(TEXT))
    return {
        "list": [b"one", b"two"], "tuple": (b"one", b"two"), "empty-list": [], "empty-tuple": (),
        "empty-blocks": [b"", b""], "generator": (part for part in (b"one", b"two")), "dict": {b"one": 1, b"two": 2},
        "getitem": Indexed([b"one", b"two"]), "bytes-subclass": [type("B", (bytes,), {})(b"onetwo")],
    }[query["kind"]]


class Indexed:
    """The old sequence protocol: __getitem__ until IndexError."""

    def __init__(self, blocks):
        self.blocks = blocks

    def __getitem__(self, index):
        return self.blocks[index]


@route("/status")
def status(environ, start_response, query):
    headers = [] if query.get("bare") else list(TEXT)
    body = query.get("body", "").encode()
    if body and not query.get("no-length"):
        headers.append(("Content-Length", str(len(body))))
    start_response(query["status"], headers)
    return [body] if body else []


@route("/headers")
def headers(environ, start_response, query):
    start_response("200 OK", [
        ("Content-Type", "text/plain; charset=utf-8"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/"),
        ("X-One", "1"), ("x-lower", "kept"), ("X-Latin", "caf\xe9"), ("X-Empty", ""), ("Content-Length", "2")])
    return [b"ok"]


@route("/content-length")
def content_length(environ, start_response, query):
    """?declared=N and ?blocks=a,b,c: a Content-Length that may disagree with the body."""
    start_response("200 OK", [*TEXT, ("Content-Length", query["declared"])])
    return Body("content-length", [part.encode() for part in query["blocks"].split(",")])


@route("/www-authenticate")
def www_authenticate(environ, start_response, query):
    start_response("401 Unauthorized", [*TEXT, ("WWW-Authenticate", 'Basic realm="a"'),
                                        ("WWW-Authenticate", 'Digest realm="b"')])
    return [b"who?"]


@route("/big")
def big(environ, start_response, query):
    size, mode = int(query.get("size", "1048576")), query.get("mode", "one")
    block = bytes(range(256)) * 256
    head = list(TEXT)
    if mode != "chunked":
        head.append(("Content-Length", str(size)))
    start_response("200 OK", head)
    if mode == "one":
        return [(block * (size // len(block) + 1))[:size]]
    full, rest = divmod(size, len(block))
    return Body("big", [block] * full + [block[:rest]])


@route("/sleep")
def sleep(environ, start_response, query):
    time.sleep(float(query.get("seconds", "0.1")))
    return reply(start_response, "slept")


@route("/spin")
def spin(environ, start_response, query):
    end = time.monotonic() + float(query.get("seconds", "0.1"))
    while time.monotonic() < end:
        pass
    return reply(start_response, "spun")


GATE = threading.Event()


@route("/wait")
def wait(environ, start_response, query):
    """Blocks until GET /open arrives: proves that two requests run at once."""
    EVENTS.append("waiting")
    opened = GATE.wait(10)
    GATE.clear()
    return reply(start_response, "opened" if opened else "timed out")


@route("/until")
def until(environ, start_response, query):
    """Blocks until the file is there; FILE.in says that the request has begun."""
    with open(query["file"] + ".in", "w"):
        pass
    end = time.monotonic() + 20
    while not os.path.exists(query["file"]) and time.monotonic() < end:
        time.sleep(0.02)
    return reply(start_response, "done")


@route("/open")
def open_gate(environ, start_response, query):
    GATE.set()
    return reply(start_response, "ok")


class ListSubclass(list):
    pass


BAD_CALLS = {
    "status-bytes": (b"200 OK", []), "status-int": (200, []), "status-none": (None, []),
    "status-short": ("20", []), "status-long": ("2000", []), "status-no-space": ("200OK", []),
    "status-letters": ("abc", []), "status-newline": ("200 O\nK", []), "status-unicode": ("200 \u20ac", []),
    "headers-tuple": ("200 OK", ()), "headers-dict": ("200 OK", {}), "headers-none": ("200 OK", None),
    "pair-list": ("200 OK", [["X-A", "1"]]), "pair-three": ("200 OK", [("X-A", "1", "2")]),
    "pair-string": ("200 OK", ["X-A"]), "name-bytes": ("200 OK", [(b"X-A", "1")]),
    "name-empty": ("200 OK", [("", "1")]), "name-space": ("200 OK", [("X A", "1")]),
    "name-newline": ("200 OK", [("X-A\r\nX-B", "1")]), "name-unicode": ("200 OK", [("X-\u20ac", "1")]),
    "value-bytes": ("200 OK", [("X-A", b"1")]), "value-int": ("200 OK", [("X-A", 1)]),
    "value-none": ("200 OK", [("X-A", None)]), "value-newline": ("200 OK", [("X-A", "1\nX-B: 2")]),
    "value-return": ("200 OK", [("X-A", "1\rX-B: 2")]), "value-unicode": ("200 OK", [("X-A", "\u20ac")]),
    "exc-info-wrong": ("200 OK", [], "text"), "no-arguments": (), "one-argument": ("200 OK",),
}


@route("/bad-start")
def bad_start(environ, start_response, query):
    """Makes the wrong call that ?case= names, then answers properly with the type of the exception."""
    try:
        start_response(*BAD_CALLS[query["case"]])
        outcome = "accepted"
    except Exception as error:
        outcome = type(error).__name__
    return reply(start_response, outcome)


@route("/good-start")
def good_start(environ, start_response, query):
    case = query["case"]
    head = list(TEXT)
    if case == "list-subclass":
        start_response("200 OK", ListSubclass(head))
    elif case == "bare-status":
        start_response("200", head)
    elif case == "unknown-code":
        start_response("299 Odd But Fine", head)
    elif case == "empty-reason":
        start_response("200 ", head)
    elif case == "exc-info-none":
        start_response("200 OK", head, None)
    else:
        raise ValueError(case)
    return [b"fine"]


@route("/twice")
def twice(environ, start_response, query):
    """Calls start_response again: plain, or with exc_info, before or after the head is committed."""
    send = start_response("200 OK", [("Content-Type", "text/plain"), ("X-First", "1")])
    if query.get("after"):
        send(b"begun")
    info = None
    if query.get("exc_info"):
        try:
            raise KeyError("inner")
        except KeyError:
            info = sys.exc_info()
        odd = query.get("odd")
        info = {None: info, "none": (None, None, None), "type": (int, 5, None), "value": (KeyError, "text", None),
                "traceback": (KeyError, KeyError("x"), 5)}[odd]
    try:
        if info is None:
            start_response("202 Second", [("Content-Type", "text/plain"), ("X-Second", "1")])
        else:
            start_response("500 Second", [("Content-Type", "text/plain"), ("X-Second", "1")], info)
        EVENTS.append("second accepted")
    except Exception as error:
        EVENTS.append("second " + type(error).__name__)
        if query.get("raise"):
            raise
    finally:
        info = None
    return [b"|rest"]


@route("/no-start")
def no_start(environ, start_response, query):
    return [b"x"] if query.get("body") else []
