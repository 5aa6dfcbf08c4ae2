"""Faults of processes behind the front: what the client gets, what the log says, and that the others go on.

A second process group makes the server's own processes accept and pass requests on."""

import os
import re
import resource
import signal
import time
from pathlib import Path

import pytest

from harness import alive, wait_for
from timed import Background, entered, events, other, pid, stopped

pytestmark = [pytest.mark.ours, pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")]

FRONT = "WSGIDaemonProcess other threads=1\n"


def halted(process):
    """True when no thread of the process runs any more after SIGSTOP."""
    states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{process}/task").glob("*/stat")]
    return set(states) == {"T"}


def test_killed_process(timed):
    """Its requests get 502, others and the connection of the client do not notice."""
    running = timed("threads=3", FRONT)
    first = pid(running)
    with running.conn(timeout=20) as conn:
        conn.send(b"GET /stubborn?25 HTTP/1.1\r\nHost: x\r\n\r\n")
        entered(running, first, "/stubborn")
        os.kill(first, signal.SIGKILL)
        assert conn.response()[0] == 502
        conn.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        status, _, body = conn.response()
        assert status == 200 and int(body) != first, "the same connection goes on"
    running.wait_log(rf"WSGI0146: process {first} of process group 'app' ended while it had the request 'GET /stubborn")
    running.wait_log(rf"process 'app' \(pid {first}\) was killed by SIGKILL")


def test_crash(timed):
    running = timed("threads=2", FRONT)
    first = pid(running)
    assert running.get("/crash").status_code == 502
    running.wait_log(rf"process 'app' \(pid {first}\) was killed by SIGSEGV")
    assert re.search(r'timed.wsgi", line \d+ in application', running.log()), "the Python stacks"
    other(running, first)


def test_stopped_process_runs_into_socket_timeout(timed):
    running = timed("threads=2 socket-timeout=1", FRONT)
    first = pid(running)
    os.kill(first, signal.SIGSTOP)
    try:
        wait_for(lambda: halted(first), 10, "all threads to stop")
        assert running.get("/", timeout=20).status_code == 504
    finally:
        os.kill(first, signal.SIGCONT)
    assert "WSGI0145" in running.log()
    wait_for(lambda: running.get("/").status_code == 200, 10, "an answer of the process that goes on")


def test_stopped_process_and_a_new_front(timed):
    """The front cannot tell it from one that starts; the supervisor can: socket-timeout counts, not connect-timeout."""
    running = timed("threads=2 connect-timeout=1 socket-timeout=3", FRONT)
    first = pid(running)
    front = int(running.wait_log(r"server process \(pid (\d+)\) is ready")[1])
    running.client.close()
    os.kill(first, signal.SIGSTOP)
    try:
        wait_for(lambda: halted(first), 10, "all threads to stop")
        os.kill(front, signal.SIGKILL)
        wait_for(lambda: running.log().count("server process") >= 4, 15, "the next front")
        assert Background(running, "/").status() == 504
    finally:
        os.kill(first, signal.SIGCONT)
    assert "WSGI0145" in running.log() and "WSGI0116" not in running.log()


def test_process_without_descriptors_is_reached_later(timed):
    """A new front cannot connect to a process that has no descriptor left; its requests wait until there is one."""
    running = timed("threads=2", FRONT)
    first = pid(running)
    front = int(running.wait_log(r"server process \(pid (\d+)\) is ready")[1])
    running.client.close()
    limits = resource.prlimit(first, resource.RLIMIT_NOFILE)
    resource.prlimit(first, resource.RLIMIT_NOFILE, (3, limits[1]))
    os.kill(front, signal.SIGKILL)
    wait_for(lambda: running.log().count("server process") >= 4, 15, "the next front")
    waiting = Background(running, "/")
    running.wait_log("WSGI0370: connections cannot be accepted", 10)
    assert waiting.is_alive()
    resource.prlimit(first, resource.RLIMIT_NOFILE, limits)
    assert waiting.status() == 200
    assert running.log().count("WSGI0370") == 1
    assert int(waiting.answer.text) == first


def test_missing_socket(timed):
    """503 at once: waiting would not mend it."""
    running = timed("threads=2", FRONT)
    first = pid(running)
    names = {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()}
    sockets = [Path(name) for name in names if f".{running.process.pid}." in name and name.endswith(".sock")]
    assert len(sockets) == 2, names
    for path in sockets:
        path.unlink()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: running.get("/").status_code == 503, 10, "503")
    assert "WSGI0116" in running.log() or "WSGI0117" in running.log()


def test_queue_timeout(timed, tmp_path):
    running = timed("threads=1 queue-timeout=1", FRONT)
    first = pid(running)
    go = tmp_path / "go"
    slow = Background(running, f"/until?{go}")
    entered(running, first, "/until")
    assert running.get("/", timeout=20).status_code == 504
    go.touch()
    assert slow.status() == 200
    assert "WSGI0084" in running.log()


def test_request_timeout(timed):
    running = timed("threads=1 request-timeout=1 graceful-timeout=1 shutdown-timeout=1", FRONT)
    first = pid(running)
    stuck = Background(running, "/stubborn?25")
    other(running, first)
    assert stuck.status() in (502, 504)
    stopped(running, first, "request_timeout")


def test_interrupted_request_gets_504_and_the_process_lives(timed):
    running = timed("threads=1 request-timeout=1 interrupt-timeout=5", FRONT)
    first = pid(running)
    assert running.get("/catches?20", timeout=20).status_code == 504
    assert pid(running) == first
    assert f"{first} caught" in events(running)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_process_that_is_told_to_go_finishes(timed, number):
    running = timed("threads=3 shutdown-timeout=10", FRONT)
    first = pid(running)
    slow = Background(running, "/patient?1")
    entered(running, first, "/patient")
    os.kill(first, number)
    assert slow.status() == 200
    assert slow.answer.text == str(first)
    wait_for(lambda: not alive(first), 15, "the end of the process")
    assert pid(running) != first


def test_killed_front_takes_no_application_with_it(timed):
    """The front dies: its connections are lost, the processes behind it stay, the next front reaches them."""
    running = timed("threads=2", FRONT)
    first = pid(running)
    front = int(running.wait_log(r"server process \(pid (\d+)\) is ready")[1])
    running.client.close()
    os.kill(front, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{front}").exists(), 10, "the end of the front")
    end = time.monotonic() + 15
    while time.monotonic() < end:
        with running.conn(timeout=15) as conn:
            conn.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                assert int(conn.response()[2]) == first
                break
            except (EOFError, OSError):
                continue
    running.wait_log(rf"server process \(pid {front}\) was killed by SIGKILL")
    assert alive(first)
