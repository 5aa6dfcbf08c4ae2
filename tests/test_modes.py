"""The same application gives the same answers in every mode: one or several processes, embedded or in a process group,
behind a front process, in an interpreter of its own."""

import re

import pytest

from harness import COMMAND, ENVIRON, SINK, Server, finish_all, free_port
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

MODES = {
    "embedded": APPLICATION,
    "embedded, two processes": "StartServers 2\nServerLimit 2\n" + APPLICATION,
    "group": GROUP + APPLICATION,
    "group, two processes": GROUP.replace("threads=5", "processes=2 threads=3") + APPLICATION,
    "group, one thread": GROUP.replace("threads=5", "threads=1") + APPLICATION,
    "front": FRONT + APPLICATION,
    "front, two processes": FRONT.replace("threads=5", "processes=2 threads=3") + APPLICATION,
    "interpreter": GROUP + APPLICATION.replace("%{GLOBAL}", "own"),
    "front, interpreter": FRONT + APPLICATION.replace("%{GLOBAL}", "own"),
    "filtered": "SetOutputFilter DEFLATE\n" + GROUP + APPLICATION,
    "no dispatch": GROUP + APPLICATION + "WSGIScriptReloading Off\n",
}
# What cannot be the same: it tells of the process, or depends on requests before.
SKIPPED = (b"GET /environ", b"GET /module", b"GET /kept", b"GET /keep", b"GET /log?")


def launch(mode, root):
    root.mkdir()
    port = free_port()
    file = root / "httpd.conf"
    text = COMMON.format(root=root, port=port, sink=SINK) + MODES[mode].replace("SINK", str(SINK))
    file.write_text(text)
    running = Server([*COMMAND, "run-config", str(file)], root, port, str(root), ENVIRON)
    running.wait_ready()
    return running


def ask(running, data):
    """(status, fields without those of time and framing, body); the body is cut where a response breaks off."""
    head, separator, body = data.partition(b"\r\n\r\n")
    numbers = head.count(b"%d")
    head = head % ((7,) * numbers) if numbers else head.replace(b"%%", b"%")
    with running.conn(timeout=30) as conn:
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
    running = launch("embedded", tmp_path_factory.mktemp("modes") / "root")
    try:
        yield [ask(running, data) for _, data in WHOLE]
    finally:
        finish_all([running])


@pytest.mark.parametrize("mode", list(MODES)[1:])
def test_answers_are_those_of_embedded_mode(mode, tmp_path, expected):
    running = launch(mode, tmp_path / "root")
    try:
        different = []
        for (_, data), before in zip(WHOLE, expected, strict=True):
            if not data.startswith(SKIPPED):
                now = ask(running, data)
                if mode == "filtered":
                    now[1].pop("vary", None)
                if now != before:
                    different.append((data[:60], before, now))
        assert not different, different
    finally:
        finish_all([running])
