"""What the tests of process groups share: a server on a configuration of its own, background requests, and what
apps/timed.wsgi records on disk."""

import threading

import httpx

from harness import APPS, COMMAND, ENVIRON, Server, free_port, wait_for

APP = APPS / "timed.wsgi"

CONFIG = """\
ServerName localhost
ServerRoot "{root}"
Listen 127.0.0.1:{port}
ErrorLog "{root}/error_log"
LogLevel info
<Directory "{script.parent}">
    Require all granted
</Directory>
WSGIDaemonProcess app {options}
WSGIProcessGroup app
WSGIApplicationGroup %{{GLOBAL}}
{extra}
WSGIScriptAlias / "{script}" {groups}
"""


def launch(root, options, extra="", script=APP, env=None, preload=True, wrap=()):
    """A server whose process group `app` has these options of WSGIDaemonProcess; not waited for."""
    root.mkdir()
    port = free_port()
    groups = "process-group=app application-group=%{GLOBAL}" if preload else ""
    file = root / "httpd.conf"
    file.write_text(CONFIG.format(root=root, port=port, script=script, options=options, extra=extra, groups=groups))
    environ = {**ENVIRON, "EVENT_LOG": str(root / "events"), **(env or {})}
    return Server([*wrap, *COMMAND, "run-config", str(file)], root, port, str(root), environ)


class Background(threading.Thread):
    """One request on a thread of its own; answer and error are there when it is done."""

    def __init__(self, running, path):
        super().__init__(daemon=True)
        self.url, self.answer, self.error = running.url + path, None, None
        self.start()

    def run(self):
        try:
            with httpx.Client(timeout=30, trust_env=False) as client:
                self.answer = client.get(self.url)
        except httpx.HTTPError as error:
            self.error = error

    def status(self):
        self.join(30)
        assert not self.is_alive(), "no answer"
        return self.answer.status_code if self.answer is not None else repr(self.error)


def pid(running):
    return int(running.get("/").text)


def events(running):
    """The lines that the application has recorded so far."""
    path = running.root / "events"
    return path.read_text().splitlines() if path.exists() else []


def stopped(running, process, reason):
    """Waits until the process has told its subscribers why it stops."""
    line = f"{process} stopping {reason}"
    wait_for(lambda: line in events(running), 30, f"{line}: {events(running)} {running.log()[-3000:]}")


def entered(running, process, path):
    """Waits until a request for the path runs in the process."""
    wait_for(lambda: f"{process} in {path}" in events(running), 10, f"a request in {path}")


def other(running, process, limit=15):
    """Waits until another process answers; its pid."""

    def answer():
        try:
            now = int(running.get("/").text)
        except (httpx.HTTPError, ValueError):
            return None
        return now if now != process else None

    return wait_for(answer, limit, f"another process: {running.log()[-3000:]}")
