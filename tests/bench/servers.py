"""How each server is installed and started: one thread count, one process count, keep-alive, no access log.

Peers live in .bench/venv beside the project (ignored by git), built with the interpreter
that runs the benchmark. The original mod_wsgi changes to the user nobody when root
starts it, so where nobody cannot read that interpreter it gets the system's python3.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ..harness import free_port

APPS = Path(__file__).parent / "apps"
FOLDER = Path(__file__).resolve().parents[2] / ".bench"
VENV = FOLDER / "venv"
ORIGINAL = FOLDER / "venv-mod_wsgi"
FRAMEWORKS = ["flask", "django"]


@dataclass(frozen=True)
class Peer:
    """A server: command(module, callable, port, threads, processes, root) gives its argument list."""

    name: str
    package: str
    command: object
    one_thread: bool = False
    venv: Path = VENV


def python(*code):
    return [str(VENV / "bin" / "python"), "-c", *code]


def script(module):
    return str(APPS / f"{module}.py")


def ours(module, call, port, threads, processes, root):
    more = ["--processes", str(processes)] if processes > 1 else []
    return [sys.executable, "-m", "modwsgi_go", "start-server", script(module), "--callable-object", call, "--host",
            "127.0.0.1", "--port", str(port), "--threads", str(threads), "--server-root", str(root),
            "--working-directory", str(APPS), *more]


def original(mode):
    def command(module, call, port, threads, processes, root):
        more = ["--processes", str(processes)] if processes > 1 else []
        more += ["--embedded-mode"] if mode == "embedded" else []
        more += ["--user", "nobody", "--group", "nogroup"] if os.geteuid() == 0 else []
        return [str(ORIGINAL / "bin" / "mod_wsgi-express"), "start-server", script(module), "--callable-object", call,
                "--host", "127.0.0.1", "--port", str(port), "--threads", str(threads), "--server-root", str(root),
                "--max-clients", "1100", "--working-directory", str(APPS), "--locale", "C.UTF-8", *more]

    return command


def fastwsgi(module, call, port, threads, processes, root):
    code = f"import fastwsgi, {module} as m; fastwsgi.run(wsgi_app=m.{call}, host='127.0.0.1', port={port})"
    if processes > 1:
        code = f"import os; [os.fork() or 0 for _ in range({processes - 1})]; " + code
    return python(code)


def bjoern(module, call, port, threads, processes, root):
    code = (f"import bjoern, os, {module} as m; bjoern.listen(m.{call}, '127.0.0.1', {port}); "
            f"parent = os.getpid(); [os.getpid() == parent and os.fork() for _ in range({processes - 1})]; "
            "bjoern.run()")
    return python(code)


def granian(module, call, port, threads, processes, root):
    return [str(VENV / "bin" / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
            "--workers", str(processes), "--blocking-threads", str(threads), "--no-ws", "--no-log", f"{module}:{call}"]


def gunicorn(module, call, port, threads, processes, root):
    return [str(VENV / "bin" / "gunicorn"), "-k", "gthread", "-b", f"127.0.0.1:{port}", "-w", str(processes),
            "--threads", str(threads), "--worker-connections", "2000", "--log-level", "error", f"{module}:{call}"]


def uwsgi(module, call, port, threads, processes, root):
    own = VENV / "bin" / "uwsgi"
    found = [str(own)] if own.exists() else ["uwsgi", "--plugin", "python3", "--virtualenv", str(VENV)]
    return [*found, "--http11-socket", f"127.0.0.1:{port}", "--module", module, "--callable", call, "--master",
            "--processes", str(processes), "--threads", str(threads), "--enable-threads", "--disable-logging",
            "--die-on-term", "--pythonpath", str(APPS), "--listen", "100"]


def waitress(module, call, port, threads, processes, root):
    return [str(VENV / "bin" / "waitress-serve"), "--listen", f"127.0.0.1:{port}", "--threads", str(threads),
            "--connection-limit", "2000", f"{module}:{call}"]


def express_tls(plain):
    """mod_wsgi-express, ours or the original, with HTTPS on the port."""
    def command(module, call, port, threads, processes, root, files, http2):
        more = ["--http2"] if http2 else []
        return [*plain(module, call, free_port(), threads, processes, root), "--https-port", str(port), "--server-name",
                "localhost", "--allow-localhost", "--ssl-certificate-file", files[0],
                "--ssl-certificate-key-file", files[1], *more]

    return command


def granian_tls(module, call, port, threads, processes, root, files, http2):
    return [*granian(module, call, port, threads, processes, root), "--ssl-certificate", files[0],
            "--ssl-keyfile", files[1], "--http", "auto" if http2 else "1"]


def gunicorn_tls(module, call, port, threads, processes, root, files, http2):
    return [*gunicorn(module, call, port, threads, processes, root), "--certfile", files[0], "--keyfile", files[1]]


OURS = Peer("modwsgi-go", "", ours)
# Those that speak TLS; the names of those that speak HTTP/2.
TLS = {
    "modwsgi-go": express_tls(ours),
    "granian": granian_tls,
    "gunicorn": gunicorn_tls,
    "mod_wsgi-embedded": express_tls(original("embedded")),
    "mod_wsgi-daemon": express_tls(original("daemon")),
}
HTTP2 = {"modwsgi-go", "granian", "mod_wsgi-embedded", "mod_wsgi-daemon"}
PEERS = [
    Peer("fastwsgi", "fastwsgi", fastwsgi, one_thread=True),
    Peer("bjoern", "bjoern", bjoern, one_thread=True),
    Peer("granian", "granian", granian),
    Peer("uwsgi", "uwsgi", uwsgi),
    Peer("gunicorn", "gunicorn", gunicorn),
    Peer("waitress", "waitress", waitress),
    Peer("mod_wsgi-embedded", "mod_wsgi", original("embedded"), venv=ORIGINAL),
    Peer("mod_wsgi-daemon", "mod_wsgi", original("daemon"), venv=ORIGINAL),
]
SERVERS = [OURS, *PEERS]
DEBIAN = {"wrk": "wrk", "h2load": "nghttp2-client", "apxs": "apache2-dev", "apache2": "apache2"}


def readable_by_nobody(executable):
    """Whether another user can run this interpreter (root only; else it does not matter)."""
    if os.geteuid() != 0:
        return True
    try:
        done = subprocess.run([executable, "-c", "import math, sys; sys.exit(sys.base_prefix != sys.argv[1])",
                               sys.base_prefix], user="nobody", group="nogroup", extra_groups=[], cwd="/",
                              capture_output=True, timeout=20)
    except (OSError, KeyError, LookupError):
        return False
    return done.returncode == 0


def interpreter(venv):
    if venv == ORIGINAL and not readable_by_nobody(sys.executable) and os.path.exists("/usr/bin/python3"):
        return "/usr/bin/python3"
    return sys.executable


def install(wanted, say):
    """Installs what is missing; returns {name: reason} of the servers that cannot be had."""
    missing = {}
    absent = [package for command, package in DEBIAN.items() if not shutil.which(command)]
    needed = [package for package in absent
              if package in ("wrk", "nghttp2-client") or any(peer.venv == ORIGINAL for peer in wanted)]
    if needed and shutil.which("apt-get") and os.geteuid() == 0:
        more = ["python3-dev", "python3-venv"] if "apache2-dev" in needed else []
        say(f"installing {' '.join(needed + more)}")
        subprocess.run("apt-get update -qq; apt-get install -y -qq --no-install-recommends " + " ".join(needed + more),
                       shell=True, capture_output=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    for peer in wanted:
        if not peer.package:
            continue
        if not (peer.venv / "bin" / "python").exists():
            command = [interpreter(peer.venv), "-m", "venv", str(peer.venv)]
            made = subprocess.run(command, capture_output=True, text=True)
            if made.returncode:
                missing[peer.name] = last_line(made)
                continue
        got = pip(peer.venv, peer.package, *FRAMEWORKS, say=say)
        if got:
            missing[peer.name] = got
    return missing


def pip(venv, *packages, say):
    """Installs packages that are not there yet; returns "" or why it failed."""
    have = subprocess.run([str(venv / "bin" / "python"), "-m", "pip", "list", "--format=freeze",
                           "--disable-pip-version-check"], capture_output=True, text=True).stdout.lower()
    names = {line.split("==")[0].replace("_", "-") for line in have.splitlines()}
    lack = [package for package in packages if package.replace("_", "-") not in names]
    if not lack:
        return ""
    say(f"installing {' '.join(lack)} into {venv.name}")
    # No cache: a wheel of mod_wsgi made for another interpreter of the same version names that one's libpython.
    done = subprocess.run([str(venv / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check",
                           "--no-cache-dir", *lack], capture_output=True, text=True)
    return last_line(done) if done.returncode else ""


def last_line(done):
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else f"exit code {done.returncode}"
