"""The kitchen sink for tests/soak.py, with /measure: what must not grow with the number of requests."""

import ctypes
import gc
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import kitchen_sink  # noqa: E402
from sink.core import EVENTS  # noqa: E402

if os.environ.get("SOAK_EVENTS"):
    import mod_wsgi

    seen = {}

    @mod_wsgi.subscribe_events
    def watch(name, **data):
        seen[name] = seen.get(name, 0) + 1

    mod_wsgi.start_recording_metrics()


class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]


def in_use():
    """Bytes that malloc has given away: what C code keeps, pymalloc's arenas included. None without glibc 2.33."""
    try:
        function = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return None
    function.restype = Mallinfo
    info = function()
    return info.uordblks + info.hblkhd


def measure():
    EVENTS.clear()
    for _ in range(3):
        gc.collect()
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    return {"pid": os.getpid(), "resident": resident, "descriptors": len(os.listdir("/proc/self/fd")),
            "malloc": in_use(), "blocks": sys.getallocatedblocks(), "objects": len(gc.get_objects()),
            "references": sys.gettotalrefcount() if hasattr(sys, "gettotalrefcount") else None}


def application(environ, start_response):
    if environ["PATH_INFO"] != "/measure":
        if len(EVENTS) > 1000:
            EVENTS.clear()
        return kitchen_sink.application(environ, start_response)
    environ.clear()
    body = json.dumps(measure()).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
