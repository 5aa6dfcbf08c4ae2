"""Requests under constant load while processes are restarted, replaced, killed and reconfigured: none is lost.

A few rounds of each here; MODWSGI_PROOF=1 (`make proof`) has a hundred restarts, a hundred changes of the script,
twenty killed processes and twenty changed configurations. Kept connections that the server closes count as loss too.
"""

import os
import re
import signal
import ssl
import time
from collections import Counter

import httpx
import pytest

from certificates import Certificates
from harness import APPS, finish_all, wait_for
from load import Load
from timed import launch

pytestmark = pytest.mark.ours

FULL = os.environ.get("MODWSGI_PROOF", "") not in ("", "0")
RESTARTS, TOUCHES, KILLS, RELOADS = (100, 100, 20, 20) if FULL else (5, 5, 3, 3)
PROCESSES = 2

TLS = """\
SSLEngine on
SSLCertificateFile "{folder}/load.pem"
SSLCertificateKeyFile "{folder}/load.key"
"""
# One process group: its processes accept from the clients. With a second one front processes pass requests on.
SETUPS = {
    "direct": "",
    "front": "WSGIDaemonProcess other processes=1 threads=1\n",
    "tls": TLS,
    "tls front": TLS + "WSGIDaemonProcess other processes=1 threads=1\n",
}

COMMON = """\
KeepAliveTimeout 100
SetEnv GENERATION 0
"""


@pytest.fixture(params=SETUPS)
def site(request, tmp_path):
    """A running server with two processes, and its script, which may be changed."""
    script = tmp_path / "load.wsgi"
    script.write_text((APPS / "load.wsgi").read_text())
    tls = "tls" in request.param
    if tls:
        Certificates(tmp_path).make("load")
    extra = COMMON + SETUPS[request.param].replace("{folder}", str(tmp_path))
    running = launch(tmp_path / "root", f"processes={PROCESSES} threads=3", extra, script=script)
    running.script = script
    running.tls = None
    if tls:
        running.tls = ssl.create_default_context()
        running.tls.check_hostname, running.tls.verify_mode = False, ssl.CERT_NONE
        running.client = httpx.Client(base_url=f"https://127.0.0.1:{running.port}", verify=running.tls, trust_env=False)
    try:
        running.wait_ready()
        yield running
    finally:
        finish_all([running])


def pids(answers):
    return {a.pid for a in answers}


def replaced(load, old, what):
    """Waits until all clients are answered by processes other than the old ones; their pids."""
    load.settled(lambda last: last and pids(last).isdisjoint(old), what)
    return pids(load.answers[-load.clients :]) - {None}


def serving(load):
    load.settled(lambda last: len(pids(last)) == PROCESSES, "answers of all processes")
    return pids(load.answers[-4 * load.clients :]) - {None}


def report(what, rounds, load, begun):
    print(f"\n{what}: {rounds} rounds in {time.monotonic() - begun:.0f} s: {load.summary()}")


def test_graceful_restarts(site):
    begun = time.monotonic()
    with Load(site, tls=site.tls) as load:
        now = pids(load.answers) - {None}
        for turn in range(RESTARTS):
            site.send_signal(signal.SIGUSR1)
            now = replaced(load, now, f"the processes of restart {turn + 1}")
    report("graceful restarts", RESTARTS, load, begun)
    load.expect_no_loss()
    assert site.log().count("Doing graceful restart") == RESTARTS


def test_restarts_that_overtake_each_other(site):
    """A restart is asked for while the one before is under way."""
    with Load(site, tls=site.tls) as load:
        old = pids(load.answers) - {None}
        for _ in range(RESTARTS):
            site.send_signal(signal.SIGUSR1)
            load.more(20)
        replaced(load, old, "new processes")
    load.expect_no_loss()


def test_touched_scripts(site):
    """After each change all processes are replaced by ones that have the new version."""
    begun = time.monotonic()
    with Load(site, tls=site.tls) as load:
        for turn in range(TOUCHES):
            stamp = time.time_ns() + turn * 1_000_000_000
            os.utime(site.script, ns=(stamp, stamp))
            load.settled(lambda last, want=str(stamp): last and {a.version for a in last} == {want},
                         f"the version of change {turn + 1}")
    report("changed scripts", TOUCHES, load, begun)
    load.expect_no_loss()
    assert "script_reload" in site.log() or "script changed" in site.log()


def test_killed_processes(site):
    """Lost are at most the requests that the killed process had; waiting connections go to the others."""
    begun = time.monotonic()
    kills = {}
    with Load(site, tls=site.tls) as load:
        for turn in range(KILLS):
            victim = min(serving(load))
            before = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            # Its sockets are closed when its last thread has ended, and only then is it gone for its parent.
            wait_for(lambda victim=victim: not os.path.exists(f"/proc/{victim}"), 10, "the end", every=0.002)
            kills[victim] = (before, time.monotonic())
            load.settled(lambda last, v=victim: v not in pids(last) and len(pids(last)) == PROCESSES,
                         f"the successor of kill {turn + 1}")
    lost = Counter()
    for failure in load.failures():
        assert failure.kind in ("silent-new", "silent-reused", "cut", "status-502"), failure
        at = [pid for pid, (begin, end) in kills.items() if failure.sent <= end and failure.ended >= begin]
        assert at, f"not while a process was killed: {failure}"
        named = re.search(r"n(\d+) 0 \d+ \d+-\d+", failure.detail)  # the first line of an answer that was cut later
        assert not named or int(named[1]) in at, f"the answer of another process: {failure}"
        lost[at[0]] += 1
    report("killed processes", KILLS, load, begun)
    print(f"lost with each killed process: {list(lost.values())}")
    assert all(count <= load.clients for count in lost.values())
    assert all(any(begin <= at for begin, _ in kills.values()) for at, _ in load.closed)
    assert len(load.closed) <= KILLS * load.clients


def test_changed_configurations(site):
    """The configuration changes with each restart: a header, a variable, one process more, another group."""
    begun = time.monotonic()
    file = site.root / "httpd.conf"
    original = file.read_text()
    with Load(site, tls=site.tls) as load:
        for turn in range(1, RELOADS + 1):
            text = original.replace("GENERATION 0", f"GENERATION {turn}")
            text += f"Header set X-Generation {turn}\n"
            if turn % 2:
                text = text.replace(f"processes={PROCESSES}", f"processes={PROCESSES + 1}")
            if turn % 3 == 0:  # a group without request threads: it comes and goes beside the others
                text += "WSGIDaemonProcess service threads=0\n"
            file.write_text(text)
            site.send_signal(signal.SIGUSR1)
            load.settled(lambda last, want=str(turn): last and {a.generation for a in last} == {want},
                         f"the configuration of reload {turn}")
            assert site.get("/").headers["x-generation"] == str(turn)
    report("changed configurations", RELOADS, load, begun)
    load.expect_no_loss()
