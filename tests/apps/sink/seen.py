"""What the application sees: environ, process, the mod_wsgi module, log streams."""

import os
import sys
import threading
import time

from .core import as_json, route

LOADED = time.time()


@route("/environ")
def dump(environ, start_response, query):
    values, types = {}, {}
    for key, value in environ.items():
        types[key] = f"{type(value).__module__}.{type(value).__qualname__}"
        values[key] = value if isinstance(value, (str, int, float, bool, tuple, list)) else repr(value)
    return as_json(start_response, {"environ": values, "types": types})


@route("/process")
def process(environ, start_response, query):
    import resource

    return as_json(start_response, {
        "pid": os.getpid(), "ppid": os.getppid(), "uid": os.getuid(), "euid": os.geteuid(), "gid": os.getgid(),
        "groups": os.getgroups(), "cwd": os.getcwd(), "executable": sys.executable, "prefix": sys.prefix,
        "loaded": LOADED, "threads": threading.active_count(), "home": os.environ.get("HOME"),
        "fds": len(os.listdir("/proc/self/fd")), "argv": sys.argv, "path": sys.path,
        "nofile": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    })


@route("/module")
def module(environ, start_response, query):
    import mod_wsgi

    return as_json(start_response, {
        "version": mod_wsgi.version, "process_group": mod_wsgi.process_group,
        "application_group": mod_wsgi.application_group, "maximum_processes": mod_wsgi.maximum_processes,
        "threads_per_process": mod_wsgi.threads_per_process,
        "wrapper_is_class": environ.get("wsgi.file_wrapper") is mod_wsgi.FileWrapper,
    })


@route("/fresh-environ")
def fresh_environ(environ, start_response, query):
    """A change to one request's environ must not be seen by the next request."""
    stale = "kitchen.mark" in environ
    environ["kitchen.mark"] = True
    environ["SERVER_NAME"] = "spoiled"
    environ.pop("wsgi.version", None)
    return as_json(start_response, {"stale": stale})


@route("/log")
def log(environ, start_response, query):
    mark = query["mark"]
    errors = environ["wsgi.errors"]
    errors.write(f"errors-write {mark}\n")
    errors.writelines([f"errors-lines {mark}\n"])
    errors.write(f"errors-part {mark} ")
    errors.write("joined\n")
    errors.write(f"errors-tail {mark}")
    errors.flush()
    print(f"print-stderr {mark}", file=sys.stderr)
    print(f"print-stdout {mark}")
    print(f"errors-unicode {mark} \u20ac", file=errors)
    return as_json(start_response, {
        "name": errors.name, "encoding": errors.encoding, "errors": errors.errors,
        "type": type(errors).__name__, "buffer": type(errors.buffer).__name__})
