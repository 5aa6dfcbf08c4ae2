"""An application for tests of application groups: says which interpreter it runs in and what of it lasts.

EVENT_LOG of the process environment names a file that gets a line for each process_stopping, joined thread and atexit.
"""

import atexit
import builtins
import importlib
import json
import os
import sys
import threading
import time

import mod_wsgi

GROUP = mod_wsgi.application_group
LOCAL = threading.local()
STOPPING = threading.Event()
EVENT_LOG = os.environ.get("EVENT_LOG")
os.environ.setdefault("FIRST_GROUP", GROUP or "main")
builtins.loads = getattr(builtins, "loads", 0) + 1
unflushed = open(f"{EVENT_LOG}.{GROUP.replace(chr(47), chr(95))}", "a") if EVENT_LOG else None  # noqa: SIM115


def record(text):
    if EVENT_LOG:
        with open(EVENT_LOG, "a") as file:
            file.write(f"{GROUP or 'main'} {text}\n")


@mod_wsgi.subscribe_shutdown
def stopping(event, **details):
    record("stopping")
    STOPPING.set()


@mod_wsgi.subscribe_events
def seen(event, **details):
    if event == "request_finished":
        builtins.finished = getattr(builtins, "finished", 0) + 1


class Kept:
    """Says when it goes."""

    def __init__(self, name):
        self.name, self.record = name, record

    def __del__(self):
        self.record(f"{self.name} gone")


atexit.register(record, "atexit")


def slow_thread():
    STOPPING.wait(60)
    time.sleep(0.2)
    record("joined")


def hold_gil(path):
    """Keeps the GIL until the file is there; PATH.held says that it is held."""
    import ctypes

    calls = ctypes.PyDLL(None)  # PyDLL keeps the GIL while C runs
    open(path + ".held", "w").close()
    name = path.encode()
    for _ in range(2000):
        if calls.access(name, 0) == 0:
            break
        calls.usleep(5000)


def fork():
    try:
        child = os.fork()
    except RuntimeError as error:
        return str(error)
    if child == 0:
        os._exit(7)
    return f"child ended with {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}"


def executor(kind):
    """Lets others compute, started the way that is the default of this Python where there is more than one."""
    import concurrent.futures
    import math

    with getattr(concurrent.futures, kind)(2) as pool:
        return json.dumps(list(pool.map(math.factorial, range(5))))


def state(environ):
    LOCAL.count = getattr(LOCAL, "count", 0) + 1
    data = mod_wsgi.request_data()
    data["seen"] = True
    return {
        "pid": os.getpid(),
        "group": GROUP,
        "environ_group": environ["mod_wsgi.application_group"],
        "first_group": os.environ["FIRST_GROUP"],
        "loads": builtins.loads,
        "finished": getattr(builtins, "finished", 0),
        "thread": [threading.get_ident(), environ["mod_wsgi.thread_id"], LOCAL.count],
        "wrapper": environ["wsgi.file_wrapper"] is mod_wsgi.FileWrapper,
        "active": list(mod_wsgi.active_requests.values()),
        "path": sys.path,
        "argv": sys.argv,
        "interval": sys.getswitchinterval(),
        "modules": sorted(name for name in sys.modules if name.startswith("_mod_wsgi_")),
    }


def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    body = "ok"
    if path == "/state":
        body = json.dumps(state(environ))
    elif path == "/set":
        os.environ["OF_THE_APPLICATION"] = query
        sys.modules["of_the_application"] = sys
    elif path == "/get":
        body = json.dumps([os.environ.get("OF_THE_APPLICATION"), "of_the_application" in sys.modules])
    elif path == "/mark":
        open(query, "w").close()
    elif path == "/until":
        while not os.path.exists(query):
            time.sleep(0.01)
    elif path == "/print":
        print(f"printed by {GROUP}")
        print(f"complained by {GROUP}", file=sys.stderr)
        print(f"reported by {GROUP}", file=environ["wsgi.errors"])
    elif path == "/raise":
        raise ValueError(f"raised by {GROUP}")
    elif path == "/refused":
        import refusing

        body = refusing.name
    elif path == "/thread":
        threading.Thread(target=slow_thread, daemon=False).start()
    elif path == "/write":
        unflushed.write(f"written by {GROUP}\n")
    elif path == "/stdout":
        try:
            sys.stdout.write("")
        except OSError as error:
            body = str(error)
    elif path == "/hold-gil":
        hold_gil(query)
    elif path == "/import":
        body = importlib.import_module(query).__name__
    elif path == "/fork":
        body = fork()
    elif path == "/executor":
        body = executor(query)
    elif path == "/metrics":
        mod_wsgi.start_recording_metrics()
        body = json.dumps(mod_wsgi.request_metrics())
    elif path == "/keep":
        LOCAL.kept, cycle = Kept("local"), Kept("cycle")
        cycle.itself = cycle
    elif path == "/late-atexit":
        atexit.register(time.sleep, float(query))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]
