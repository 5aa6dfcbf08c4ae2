"""Request bodies: every way to read wsgi.input, and its use after the request."""

import hashlib

from .core import EVENTS, as_json, reply, route


@route("/echo")
def echo(environ, start_response, query):
    """Read the body in the way that ?how= names and answer with what came, as JSON of latin-1 text."""
    stream, how, n = environ["wsgi.input"], query.get("how", "read"), int(query.get("n", "-1"))
    if how == "read":
        parts = [stream.read()]
    elif how == "read-n":
        parts = list(iter(lambda: stream.read(n), b""))
    elif how == "read-minus":
        parts = [stream.read(-1)]
    elif how == "read-zero":
        parts = [stream.read(0), stream.read()]
    elif how == "readline":
        parts = list(iter(stream.readline, b""))
    elif how == "readline-n":
        parts = list(iter(lambda: stream.readline(n), b""))
    elif how == "readlines":
        parts = stream.readlines()
    elif how == "readlines-hint":
        parts = stream.readlines(n)
        parts.append(stream.read())
    elif how == "iterate":
        parts = list(stream)
    elif how == "mixed":
        parts = [stream.read(3), stream.readline(), stream.readline(4), *stream.readlines(1), stream.read()]
    elif how == "past-end":
        length = int(environ.get("CONTENT_LENGTH") or 0)
        parts = [stream.read(length + 100), stream.read(), stream.read(5), stream.readline(), *stream.readlines()]
    else:
        raise ValueError(how)
    if any(type(part) is not bytes for part in parts):
        raise TypeError(f"not bytes: {parts!r}")
    return as_json(start_response, [part.decode("latin-1") for part in parts])


@route("/copy")
def copy(environ, start_response, query):
    """Streaming copy of the request body: the client may wait for the answer's beginning before it sends more."""
    stream = environ["wsgi.input"]
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return iter(lambda: stream.read(int(query.get("n", "65536"))), b"")


@route("/digest")
def digest(environ, start_response, query):
    stream, total, state = environ["wsgi.input"], 0, hashlib.sha256()
    for block in iter(lambda: stream.read(65536), b""):
        total += len(block)
        state.update(block)
    return reply(start_response, f"{total} {state.hexdigest()}")


@route("/length")
def length(environ, start_response, query):
    stream, total = environ["wsgi.input"], 0
    for block in iter(lambda: stream.read(65536), b""):
        total += len(block)
    return reply(start_response, str(total))


@route("/ignore-input")
def ignore_input(environ, start_response, query):
    return reply(start_response, "ignored")


@route("/input-surface")
def input_surface(environ, start_response, query):
    stream = environ["wsgi.input"]
    result = {name: hasattr(stream, name) for name in ("seek", "tell", "readinto", "fileno", "read", "close")}
    try:
        stream.read(size=1)
        result["keyword"] = "accepted"
    except TypeError:
        result["keyword"] = "TypeError"
    stream.close()
    result["after_close"] = stream.read().decode()
    return as_json(start_response, result)


KEPT = {}


@route("/keep")
def keep(environ, start_response, query):
    """Keeps the request's objects beyond its end; /kept then uses them."""
    KEPT.update(input=environ["wsgi.input"], errors=environ["wsgi.errors"], environ=environ,
                start_response=start_response)
    return reply(start_response, "kept")


@route("/kept")
def kept(environ, start_response, query):
    result = {}
    calls = {
        "read": lambda: KEPT["input"].read(), "readline": lambda: KEPT["input"].readline(),
        "start_response": lambda: KEPT["start_response"]("200 OK", []),
        "errors": lambda: (KEPT["errors"].write("too late\n"), KEPT["errors"].flush()),
    }
    for name, call in calls.items():
        try:
            call()
            result[name] = "no error"
        except Exception as error:
            result[name] = type(error).__name__
    result["path"] = KEPT["environ"]["PATH_INFO"]
    KEPT.clear()
    return as_json(start_response, result)


@route("/input-error")
def input_error(environ, start_response, query):
    """Reads a body whose client goes away; records the exception types of two reads."""
    for _ in range(2):
        try:
            environ["wsgi.input"].read()
            EVENTS.append("read ok")
        except Exception as error:
            EVENTS.append("read OSError" if isinstance(error, OSError) else "read " + type(error).__name__)
    return reply(start_response, "done")
