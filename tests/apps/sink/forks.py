"""Children and threads that an application starts."""

import json
import multiprocessing
import os
import re
import signal
import threading
import time

from .core import as_json, route


def _idle():
    time.sleep(60)


@route("/fork-terminate")
def fork_terminate(environ, start_response, query):
    """multiprocessing with the fork method; terminate() must end the child by SIGTERM at once."""
    child = multiprocessing.get_context("fork").Process(target=_idle)
    child.start()
    begin = time.monotonic()
    child.terminate()
    child.join(10)
    took, code = time.monotonic() - begin, child.exitcode
    if code is None:
        child.kill()
    return as_json(start_response, {"exitcode": code, "seconds": took})


def _square(n):
    return n * n


@route("/fork-pool")
def fork_pool(environ, start_response, query):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return as_json(start_response, pool.map(_square, range(10)))


@route("/fork-child")
def fork_child(environ, start_response, query):
    """os.fork(): the child tells its descriptors and signal dispositions through a pipe."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            links = {}
            for name in os.listdir("/proc/self/fd"):
                try:
                    links[name] = os.readlink("/proc/self/fd/" + name)
                except OSError:
                    continue
            with open("/proc/self/status") as text:
                signals = dict(re.findall(r"^(Sig\w+):\s+(\w+)$", text.read(), re.M))
            answer = {"links": links, "signals": signals, "pipe": str(writer), "sum": sum(range(100000)),
                      "threads": len(os.listdir("/proc/self/task"))}
            data = json.dumps(answer).encode()
            while data:
                data = data[os.write(writer, data):]
        finally:
            os._exit(7)
    os.close(writer)
    with open(reader, "rb") as stream:
        answer = json.loads(stream.read())
    _, code = os.waitpid(child, 0)
    answer["exit"] = os.waitstatus_to_exitcode(code)
    return as_json(start_response, answer)


@route("/fork-leave")
def fork_leave(environ, start_response, query):
    """Leaves a forked child behind for ?seconds=; it must not hold the connection or the port open."""
    child = os.fork()
    if child == 0:
        try:
            time.sleep(float(query.get("seconds", "3")))
        finally:
            os._exit(0)
    threading.Thread(target=os.waitpid, args=(child, 0), daemon=True).start()
    return as_json(start_response, {"child": child})


@route("/subprocess")
def run_subprocess(environ, start_response, query):
    import subprocess

    done = subprocess.run(["/bin/sh", "-c", "ls -l /proc/self/fd; exit 3"], capture_output=True, text=True, timeout=10)
    return as_json(start_response, {"code": done.returncode, "fds": done.stdout})


@route("/signal")
def restrict_signal(environ, start_response, query):
    """signal.signal is refused in a managed process; the worker must survive."""
    handler = lambda *_: None  # noqa: E731
    returned = signal.signal(signal.SIGTERM, handler)
    return as_json(start_response, {"same": returned is handler})


@route("/thread")
def background_thread(environ, start_response, query):
    result = []
    worker = threading.Thread(target=lambda: result.append(threading.current_thread().name))
    worker.start()
    worker.join(5)
    return as_json(start_response, len(result))


LOCAL = threading.local()


@route("/thread-local")
def thread_local(environ, start_response, query):
    LOCAL.count = getattr(LOCAL, "count", 0) + 1
    return as_json(start_response, {"count": LOCAL.count, "thread": threading.get_ident()})
