"""Errors at every point of a request, wrong return values, and endless bodies."""

from .core import EVENTS, TEXT, Body, route


class Oops(Exception):
    pass


@route("/raise")
def raise_at(environ, start_response, query):
    """?at= call | iter | first | middle | close; ?kind= Oops | SystemExit | KeyboardInterrupt."""
    at = query["at"]
    kind = {"Oops": Oops, "SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt,
            "GeneratorExit": GeneratorExit}[query.get("kind", "Oops")]
    mark = query.get("mark", "boom")

    def fail():
        raise kind(mark)

    if at == "call-before-start":
        fail()
    head = [*TEXT, ("X-Application", "yes")]
    if query.get("length"):
        head.append(("Content-Length", query["length"]))
    start_response("200 OK", head)
    if at == "call":
        fail()
    if at == "first":
        return Body("raise", [fail])
    if at == "middle":
        return Body("raise", [b"begun", fail])
    if at == "iter":

        class NoIter:
            def __iter__(self):
                fail()

            def close(self):
                EVENTS.append("close raise")

        return NoIter()
    if at == "close":

        class BadClose(Body):
            def close(self):
                super().close()
                fail()

        return BadClose("raise", [b"whole"])
    raise ValueError(at)


@route("/return")
def return_wrong(environ, start_response, query):
    """Returns something that is no iterable of bytes."""
    start_response("200 OK", [*TEXT, ("X-Application", "yes")])
    return {
        "none": None, "int": 5, "str": "text", "bytes": b"text", "list-str": ["text"], "list-none": [None],
        "list-int": [1], "bytearray": [bytearray(b"text")], "memoryview": [memoryview(b"text")],
        "late-str": [b"begun", "text"],
    }[query["kind"]]


@route("/write-wrong")
def write_wrong(environ, start_response, query):
    send = start_response("200 OK", list(TEXT))
    outcome = []
    for value in ("text", bytearray(b"x"), memoryview(b"x"), 1, None):
        try:
            send(value)
            outcome.append("accepted")
        except Exception as error:
            outcome.append(type(error).__name__)
    return [",".join(outcome).encode()]


@route("/timeout-exception")
def timeout_exception(environ, start_response, query):
    import mod_wsgi

    raise mod_wsgi.RequestTimeout()


@route("/endless")
def endless(environ, start_response, query):
    """Streams until the client goes; then close() is recorded."""
    start_response("200 OK", list(TEXT))

    class Endless:
        def __iter__(self):
            while True:
                yield b"x" * 65536

        def close(self):
            EVENTS.append("close endless")

    return Endless()
