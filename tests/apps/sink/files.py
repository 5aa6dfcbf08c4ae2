"""wsgi.file_wrapper over files, parts of files and things that are no files."""

import io
import tempfile

from .core import EVENTS, TEXT, as_json, route

PATTERN = bytes(range(256)) * 4096


@route("/file")
def file(environ, start_response, query):
    """wsgi.file_wrapper over a real file: ?offset= seeks, ?length= declares, ?kind=bytesio|no-fileno|raw."""
    size, offset = int(query.get("size", len(PATTERN))), int(query.get("offset", "0"))
    kind = query.get("kind", "file")
    data = (PATTERN * (size // len(PATTERN) + 1))[:size]
    if kind == "bytesio":
        handle = io.BytesIO(data)
    else:
        handle = tempfile.TemporaryFile(buffering=0 if kind == "raw" else -1)  # noqa: SIM115 (the server closes it)
        handle.write(data)
        handle.flush()
    handle.seek(offset)
    head = [("Content-Type", "application/octet-stream")]
    if "length" in query:
        head.append(("Content-Length", query["length"]))
    if kind == "written":
        start_response("200 OK", head)(b"prefix|")
    else:
        start_response("200 OK", head)
    wrapped = environ["wsgi.file_wrapper"](Tracked(handle) if kind == "tracked" else handle, 8192)
    EVENTS.append(f"wrapped {type(wrapped).__name__}")
    return wrapped


class Tracked:
    """A file object without fileno() that records its close()."""

    def __init__(self, handle):
        self.handle = handle

    def read(self, size=-1):
        return self.handle.read(size)

    def close(self):
        self.handle.close()
        EVENTS.append("file closed")


class TrackedFile(io.FileIO):
    def close(self):
        if not self.closed:
            EVENTS.append("file closed")
        super().close()


@route("/file-close")
def file_close(environ, start_response, query):
    start_response("200 OK", list(TEXT))
    handle = TrackedFile(__file__, "r")
    return environ["wsgi.file_wrapper"](handle)


@route("/file-fails")
def file_fails(environ, start_response, query):
    """The wrapper's own surface, without a response from it."""
    wrapper, result = environ["wsgi.file_wrapper"], {}
    made = wrapper(io.BytesIO(b"abcdef"), 4)
    result["blocks"] = [block.decode() for block in made]
    result["blksize"] = made.blksize
    made.close()
    for name, call in {"after_close": lambda: next(iter(made)), "negative": lambda: wrapper(io.BytesIO(), -1)}.items():
        try:
            call()
            result[name] = "no error"
        except Exception as error:
            result[name] = type(error).__name__
    return as_json(start_response, result)
