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


def malloc():
    """Of glibc 2.33 on. in use: bytes that malloc has given away, what C code keeps, pymalloc's arenas included; free:
    bytes that it keeps for later."""
    try:
        function = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return None, None
    function.restype = Mallinfo
    info = function()
    return info.uordblks + info.hblkhd, info.fordblks


def resident_by_kind():
    """Resident bytes: heap, the malloc of the first thread; go, the Go heap, whose arenas are 4 MB and lie below the
    libraries; files, mapped ones; other, stacks, pymalloc's arenas, malloc's arenas of other threads."""
    sums = dict.fromkeys(("heap", "go", "files", "other"), 0)
    kind = "other"
    with open("/proc/self/smaps") as file:
        for line in file:
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                begin = int(words[0].partition("-")[0], 16)
                kind = ("heap" if words[-1] == "[heap]" else "files" if len(words) > 5 and words[5][0] == "/" else
                        "go" if len(words) < 6 and begin % (4 << 20) == 0 and begin < 0x550000000000 else "other")
            elif words[0] == "Rss:":
                sums[kind] += int(words[1]) << 10
    return sums


def measure():
    EVENTS.clear()
    for _ in range(3):
        gc.collect()
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    in_use, free = malloc()
    return {"pid": os.getpid(), "resident": resident, "resident by kind": resident_by_kind(), "malloc": in_use,
            "malloc free": free, "threads": len(os.listdir("/proc/self/task")),
            "descriptors": len(os.listdir("/proc/self/fd")), "blocks": sys.getallocatedblocks(), "ports": sum(ports), "objects": len(gc.get_objects()),
            "references": sys.gettotalrefcount() if hasattr(sys, "gettotalrefcount") else None}


ports = bytearray(65536)  # 1: a client had it


def application(environ, start_response):
    ports[int(environ["REMOTE_PORT"])] = 1
    if environ["PATH_INFO"] != "/measure":
        if len(EVENTS) > 1000:
            EVENTS.clear()
        return kitchen_sink.application(environ, start_response)
    environ.clear()
    body = json.dumps(measure()).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
