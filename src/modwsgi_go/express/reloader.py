"""The development monitor of --reload-on-changes: a thread of the worker process that
looks at the source of every loaded module and, when one changes, ends the process; the
supervisor starts another with the new code.

    idle --start_reloader--> watching --change--> triggered (the process ends)
                             watching --exit of the process--> idle

A file seen for the first time is only remembered. Applications register further files,
such as templates, with track_changes().
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading

INTERVAL_SECONDS = 1.0

_lock = threading.Lock()
_stop = threading.Event()
_times: dict[str, int] = {}
_files: set[str] = set()
_interval = INTERVAL_SECONDS
_thread: threading.Thread | None = None


def track_changes(path: str) -> None:
    """Watches a file besides the modules. Callable from any thread."""
    with _lock:
        _files.add(path)


def start_reloader(interval: float = INTERVAL_SECONDS) -> None:
    """Starts the monitor; when it runs already, interval can only shorten its period."""
    global _interval, _thread
    with _lock:
        _interval = min(_interval, interval)
        if _thread is not None:
            return
        _say("Starting change monitor.")
        _thread = threading.Thread(target=_monitor, name="reload-monitor", daemon=True)
        _thread.start()
    # threading joins nothing here, but a monitor that acts while the interpreter is
    # being taken down could end a process that is already stopping.
    atexit.register(_stop.set)


def _monitor() -> None:
    """Body of the thread."""
    while not _stop.wait(_interval):
        path = changed_file()
        if path is not None:
            _say(f'Change detected to "{path}".')
            _say("Triggering process restart.")
            os.kill(os.getpid(), signal.SIGTERM)
            return


def changed_file() -> str | None:
    """The first watched file that differs from when it was first seen, else None."""
    for path in _watched():
        try:
            modified = os.stat(path).st_mtime_ns
        except OSError:
            # Gone: a change if it was there before, or if it was asked for by name.
            if path in _times or path in _files:
                return path
            continue
        if _times.setdefault(path, modified) != modified:
            return path
    return None


def _watched() -> list[str]:
    """Source files of the loaded modules, and the registered ones."""
    paths = []
    # A copy: other threads import while this one looks.
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if not isinstance(path, str):
            continue
        if path.endswith((".pyc", ".pyo", ".pyd")):
            path = path[:-1]
        paths.append(path)
    with _lock:
        paths.extend(_files)
    return paths


def _say(text: str) -> None:
    """A line in the error log."""
    print(f"monitor (pid={os.getpid()}): {text}", file=sys.stderr, flush=True)
