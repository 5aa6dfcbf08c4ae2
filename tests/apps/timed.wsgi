"""An application for tests of time-outs: every way to take too long, and a record of events on disk.

EVENT_LOG of the process environment names a file that gets a line for each process_stopping and atexit.
"""

import atexit
import os
import threading
import time

import mod_wsgi

HOARD = []


def record(text):
    path = os.environ.get("EVENT_LOG")
    if path:
        with open(path, "a") as file:
            file.write(f"{os.getpid()} {text}\n")


@mod_wsgi.subscribe_shutdown
def stopping(event, **details):
    record(f"stopping {details['shutdown_reason']}")


atexit.register(record, "atexit")


def patient(seconds):
    """Waits in steps, so that an exception from outside gets through."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)


def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    body = str(os.getpid())
    if path != "/":
        record(f"in {path}")
    if path == "/patient":
        patient(float(query))
    elif path == "/until":
        while not os.path.exists(query):
            time.sleep(0.02)
    elif path == "/stubborn":
        time.sleep(float(query))
    elif path == "/catches":
        try:
            patient(float(query))
        except mod_wsgi.RequestTimeout:
            record("caught")
            raise
    elif path == "/begun":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10")])
        return begun(float(query))
    elif path == "/hold-gil":
        import ctypes

        ctypes.PyDLL(None).sleep(int(query))  # PyDLL keeps the GIL while C runs
    elif path == "/wait":
        threading.Event().wait(float(query))
    elif path == "/spin":
        end = time.process_time() + float(query)
        while time.process_time() < end:
            pass
    elif path == "/hoard":
        HOARD.append(b"x" * int(query))
    elif path == "/title":
        body = open("/proc/self/cmdline", "rb").read().rstrip(b"\0").decode("latin-1")
    elif path == "/nice":
        body = str(os.nice(0))
    elif path == "/thread":
        threading.Thread(target=time.sleep, args=(float(query),), daemon=False).start()
    elif path == "/crash":
        import ctypes

        ctypes.string_at(0)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body.encode()]


def begun(seconds):
    yield b"12345"
    patient(seconds)
    yield b"67890"
