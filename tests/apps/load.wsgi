"""The application behind tests/load.py: says which process, generation and version of the script answered.

The version is the time stamp that the script had when it was loaded.
"""

import hashlib
import os
import time
from urllib.parse import parse_qs

VERSION = str(os.stat(__file__).st_mtime_ns)


def application(environ, start_response):
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    line = f"{os.getpid()} {environ.get('GENERATION', '-')} {VERSION} {query.get('mark', '-')}\n".encode()
    if "sleep" in query:
        time.sleep(float(query["sleep"]))
    if "stream" in query:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return stream(line, int(query["stream"]))
    rest = b"x" * int(query.get("size", 0))
    if environ["REQUEST_METHOD"] == "POST":
        rest = hashlib.sha1(environ["wsgi.input"].read()).hexdigest().encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(line) + len(rest)))])
    return [line, rest]


def stream(line, count):
    yield line
    for part in (b"0123 ", b"4567 ", b"89ab ", b"cdef ", b"fedc")[:count]:
        time.sleep(0.005)
        yield part
