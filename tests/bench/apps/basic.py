"""The WSGI callables of the benchmark; every server serves this same file."""

import os
import time

BODY_64K = bytes(range(256)) * 256
BODY_1M = BODY_64K * 16
BLOCK = b"x" * 100
FILE = os.path.join(os.environ.get("BENCH_DATA", "/tmp"), "bench-1m.bin")


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "12")])
    return [b"Hello World!"]


def sleep(environ, start_response):
    time.sleep(0.005)
    return hello(environ, start_response)


def cpu(environ, start_response):
    end = time.thread_time() + 0.001
    while time.thread_time() < end:
        pass
    return hello(environ, start_response)


def body64k(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(BODY_64K)))])
    return [BODY_64K]


def body1m(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(BODY_1M)))])
    return [BODY_1M]


def blocks(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (BLOCK for _ in range(100))


def post(environ, start_response):
    length = str(len(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(length)))])
    return [length]


def file(environ, start_response):
    handle = open(FILE, "rb")  # noqa: SIM115 (the server closes it)
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(BODY_1M)))])
    if "wsgi.file_wrapper" in environ:
        return environ["wsgi.file_wrapper"](handle, 65536)
    return pieces(handle)


def pieces(handle):
    with handle:
        yield from iter(lambda: handle.read(65536), b"")
