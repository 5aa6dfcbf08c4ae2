"""The same application gives the same answers in every mode: one or several processes, embedded or in a process group,
behind a front process, in an interpreter of its own, with a GIL of its own or none, with one thread or several."""

import re
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import COMMAND, ENVIRON, SINK, Conn, Server, finish_all, free_port
from soak import WHOLE

pytestmark = pytest.mark.ours

COMMON = """\
ServerName localhost
ServerRoot "{root}"
Listen 127.0.0.1:{port}
ErrorLog "{root}/error_log"
<Directory "{sink.parent}">
    Require all granted
</Directory>
WSGIPassAuthorization On
WSGIChunkedRequest On
LimitRequestBody 0
"""
APPLICATION = 'WSGIApplicationGroup %{GLOBAL}\nWSGIScriptAlias / "SINK"\n'
GROUP = "WSGIDaemonProcess sink threads=5\nWSGIProcessGroup sink\n"
# Another group makes a front process necessary.
FRONT = GROUP + "WSGIDaemonProcess other threads=1\nWSGIScriptAlias /other SINK process-group=other\n"

INTERPRETER = APPLICATION.replace("%{GLOBAL}", "own")
ONE_THREAD = GROUP.replace("threads=5", "threads=1")

MODES = {
    "embedded": APPLICATION,
    "embedded, one thread": "ThreadsPerChild 1\n" + APPLICATION,
    "embedded, interpreter": INTERPRETER,
    "embedded, two processes": "StartServers 2\nServerLimit 2\n" + APPLICATION,
    "group": GROUP + APPLICATION,
    "group, two processes": GROUP.replace("threads=5", "processes=2 threads=3") + APPLICATION,
    "group, one thread": ONE_THREAD + APPLICATION,
    "front": FRONT + APPLICATION,
    "front, two processes": FRONT.replace("threads=5", "processes=2 threads=3") + APPLICATION,
    "interpreter": GROUP + INTERPRETER,
    "interpreter, one thread": ONE_THREAD + INTERPRETER,
    "front, interpreter": FRONT + INTERPRETER,
    "filtered": "SetOutputFilter DEFLATE\n" + GROUP + APPLICATION,
    "no dispatch": GROUP + APPLICATION + "WSGIScriptReloading Off\n",
}
# Modes that some Pythons have.
OWN_GIL = "WSGIPerInterpreterGIL On\n"
NO_GIL = "WSGIFreeThreading On\n"
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
if sys.version_info >= (3, 12):
    MODES |= {
        "own GIL": OWN_GIL + GROUP + INTERPRETER,
        "own GIL, one thread": OWN_GIL + ONE_THREAD + INTERPRETER,
        "own GIL, embedded": OWN_GIL + INTERPRETER,
    }
if FREE_THREADED:
    MODES |= {
        "no GIL": NO_GIL + GROUP + APPLICATION,
        "no GIL, one thread": NO_GIL + ONE_THREAD + APPLICATION,
        "no GIL, embedded": NO_GIL + APPLICATION,
        "no GIL, interpreter": NO_GIL + GROUP + INTERPRETER,
        "no GIL, front": NO_GIL + FRONT + APPLICATION,
    }
# What cannot be the same: it tells of the process, or depends on requests before.
SKIPPED = (b"GET /environ", b"GET /module", b"GET /kept", b"GET /keep", b"GET /log?")


def launch(configuration, root):
    root.mkdir()
    port = free_port()
    file = root / "httpd.conf"
    file.write_text(COMMON.format(root=root, port=port, sink=SINK) + configuration.replace("SINK", str(SINK)))
    running = Server([*COMMAND, "run-config", str(file)], root, port, str(root), ENVIRON)
    running.wait_ready()
    return running


def ask(running, data, port=None):
    """(status, fields without those of time and framing, body); the body is cut where a response breaks off."""
    head, separator, body = data.partition(b"\r\n\r\n")
    numbers = head.count(b"%d")
    head = head % ((7,) * numbers) if numbers else head.replace(b"%%", b"%")
    with Conn(port or running.port, timeout=30) as conn:
        conn.send(head + separator + body)
        try:
            status, fields, answer = conn.response(head_only=data.startswith(b"HEAD"))
            while status == 100:
                status, fields, answer = conn.response()
        except EOFError:
            return "cut", {}, conn.buffer[-3:] == b"\r\n0"
    for name in ("date", "connection", "keep-alive", "transfer-encoding", "content-length"):
        fields.pop(name, None)
    answer = re.sub(rb"127\.0\.0\.1(:| Port )\d+", b"HOST", answer)
    return status, fields, answer


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    running = launch(MODES["embedded"], tmp_path_factory.mktemp("modes") / "root")
    try:
        yield [ask(running, data) for _, data in WHOLE]
    finally:
        finish_all([running])


@pytest.mark.parametrize("mode", list(MODES)[1:])
def test_answers_are_those_of_embedded_mode(mode, tmp_path, expected):
    running = launch(MODES[mode], tmp_path / "root")
    try:
        assert not (different := differences(running, expected, filtered=mode == "filtered")), different
    finally:
        finish_all([running])


def differences(running, expected, port=None, filtered=False):
    """What is answered otherwise than in embedded mode."""
    found = []
    for (_, data), before in zip(WHOLE, expected, strict=True):
        if not data.startswith(SKIPPED):
            now = ask(running, data, port)
            if filtered:
                now[1].pop("vary", None)
            if now != before:
                found.append((data[:60], before, now))
    return found


# Two applications of one process, in application groups of their own.
TWO = """\
Listen 127.0.0.1:{port}
<VirtualHost *:{port}>
    WSGIScriptAlias / "SINK" application-group=second
</VirtualHost>
"""
PAIRS = {"shared GIL": ""}
if sys.version_info >= (3, 12):
    PAIRS["own GIL"] = OWN_GIL
if FREE_THREADED:
    PAIRS["no GIL"] = NO_GIL


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("place", ["embedded", "group"])
def test_two_applications_at_the_same_time(kind, place, tmp_path, expected):
    """Each has its own interpreter in the same process, and both serve at once."""
    port = free_port()
    group = GROUP if place == "group" else "ThreadsPerChild 5\n"
    running = launch(PAIRS[kind] + group + APPLICATION + TWO.format(port=port), tmp_path / "root")
    try:
        pids = set()
        for one in (running.port, port):
            with Conn(one, timeout=30) as conn:
                conn.send(b"GET /process HTTP/1.1\r\nHost: soak.test\r\n\r\n")
                pids.add(conn.response()[2])
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(differences, running, expected, one) for one in (running.port, port) * 2]
        for job in jobs:
            assert not job.result(), job.result()
        assert "WSGI0174: [script" in running.log()
    finally:
        finish_all([running])
