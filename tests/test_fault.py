"""Faults from outside: no descriptors, a full queue, full disks, clients that stop, processes that are stopped or
killed, and what requests, the log and the server's standard error see of it. Time-outs are in test_timeouts.py,
constant load in test_proof.py; docs/processes.md lists them all."""

import os
import resource
import signal
import time
from pathlib import Path

import pytest

from harness import alive, wait_for
from load import Load
from timed import Background, entered, other, pid, stopped

pytestmark = [pytest.mark.ours, pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")]

KEEP = "KeepAliveTimeout 100\nMaxKeepAliveRequests 0"
ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

LOGGING = """\
import sys

def application(environ, start_response):
    print("said by the application", file=environ["wsgi.errors"])
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def ticks(process):
    """CPU time of a process in hundredths of a second."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


# --- descriptors and queues


def test_descriptors_run_out(timed):
    """Connections wait in the queue until others are closed; the process does not spin; one line in the log."""
    running = timed("threads=2", KEEP)
    first = pid(running)
    running.client.close()
    top = max(int(name) for name in os.listdir(f"/proc/{first}/fd"))
    resource.prlimit(first, resource.RLIMIT_NOFILE, (top + 6, top + 6))
    conns = [running.conn(timeout=20) for _ in range(30)]
    try:
        running.wait_log("WSGI0370: connections cannot be accepted: too many open files")
        for conn in conns:
            conn.send(ASK)
        assert int(conns[0].response()[2]) == first
        before = ticks(first)
        time.sleep(1)
        assert ticks(first) - before <= 20, "it waits, and does not try again and again"
        for conn in conns[1:]:  # in the order of the queue
            conns[0].sock.close()
            conns.pop(0)
            assert int(conn.response()[2]) == first
    finally:
        for conn in conns:
            conn.sock.close()
    assert running.log().count("WSGI0370") == 1, "one line for the whole episode"
    assert f"the limit is {top + 6}, see ulimit -n" in running.log()


def test_sibling_accepts_for_one_without_descriptors(timed):
    running = timed("threads=2 processes=2", KEEP)
    wait_for(lambda: running.log().count("is ready after") == 2, 15, "both processes")
    first = pid(running)
    running.client.close()
    resource.prlimit(first, resource.RLIMIT_NOFILE, (3, 3))
    conns = [running.conn(timeout=20) for _ in range(20)]
    try:
        for conn in conns:
            conn.send(ASK)
        assert {int(conn.response()[2]) for conn in conns} - {first}, "somebody answers each of them"
    finally:
        for conn in conns:
            conn.sock.close()


def test_more_connections_than_the_supervisor_has_descriptors(timed):
    """300 kept connections go over to new processes through a supervisor that may hold 256 descriptors."""
    running = timed("threads=2 processes=3", KEEP, wrap=["sh", "-c", 'ulimit -n 256; exec "$@"', "sh"])
    wait_for(lambda: running.log().count("is ready after") == 3, 15, "all processes")
    old = {pid(running)}
    conns = [running.conn(timeout=20) for _ in range(300)]
    try:
        for conn in conns:
            conn.send(ASK)
            old.add(int(conn.response()[2]))
        running.send_signal(signal.SIGUSR1)
        wait_for(lambda: pid(running) not in old, 15, "a new process")
        for conn in conns:
            conn.send(ASK)
        new = {int(conn.response()[2]) for conn in conns}
        wait_for(lambda: not any(map(alive, old)), 15, "the end of the old processes")
    finally:
        for conn in conns:
            conn.sock.close()
    assert "SIGKILL" not in running.log() and "handed a connection over and nobody" not in running.log()
    assert new - old


def test_restart_at_once_with_more_connections_than_descriptors(timed):
    """What the supervisor cannot hold until the new processes are there is closed, and does not hold up the restart."""
    running = timed("threads=2 shutdown-timeout=30", KEEP, wrap=["sh", "-c", 'ulimit -n 256; exec "$@"', "sh"])
    first = pid(running)
    conns = [running.conn(timeout=20) for _ in range(150)]
    try:
        for conn in conns:
            conn.send(ASK)
            conn.response()
        running.send_signal(signal.SIGHUP)
        wait_for(lambda: not alive(first), 15, "the end of the old process")
        kept = 0
        for conn in conns:
            try:
                conn.send(ASK)
                kept += conn.response()[0] == 200
            except (EOFError, OSError):
                pass
    finally:
        for conn in conns:
            conn.sock.close()
    assert kept >= 60, "as many as there is room for"
    assert "exited with code 0" in running.log() and "SIGKILL" not in running.log()


def test_full_backlog(timed):
    """More connections than the queue takes while nobody accepts: the kernel makes them wait, all are served."""
    running = timed("threads=2 listen-backlog=5", "ListenBackLog 5")
    first = pid(running)
    os.kill(first, signal.SIGSTOP)
    try:
        waiting = [Background(running, "/") for _ in range(20)]
        time.sleep(0.5)  # nothing tells from outside that they wait
    finally:
        os.kill(first, signal.SIGCONT)
    assert [one.status() for one in waiting] == [200] * 20


# --- logs on full disks


def test_access_log_on_a_full_disk(timed):
    running = timed("threads=2", 'CustomLog /dev/full "%U"')
    for _ in range(5):
        assert running.get("/").status_code == 200
        time.sleep(0.15)  # access logs are written ten times a second
    running.wait_log("WSGI0371: the log /dev/full cannot be written, its lines are lost: no space left on device")
    assert running.log().count("WSGI0371") == 1
    wait_for(lambda: "WSGI0371: the log /dev/full" in running.output() + running.log(), 5, "a notice")


def test_error_log_on_a_full_disk(server, script):
    """Records are lost, requests are not, and standard error has one line about it."""
    running = server(script(LOGGING), "--processes", "2", "--log-to-terminal", config="ErrorLog /dev/full\n")
    for _ in range(20):
        assert running.get("/").status_code == 200
    wait_for(lambda: "WSGI0371: the error log cannot be written: no space left" in running.output(), 5, "a notice")
    for _ in range(20):
        assert running.get("/").status_code == 200
    assert running.output().count("WSGI0371") == 1


def test_record_after_one_that_was_cut(server, script, tmp_path):
    """A record of which only a part had room is ended before the next one: no two share a line."""
    app = LOGGING.replace("import sys", "import os").replace("said by the application", "x" * 50 + "end")
    app = app.replace('("Content-Length", "2")', "").replace('b"ok"', "str(os.getpid()).encode()")
    log = tmp_path / "full_log"
    running = server(script(app), "--processes", "1", "--log-to-terminal", config=f"ErrorLog {log}\n")
    process = int(running.get("/").text)
    wait_for(lambda: "end\n" in log.read_text(), 5, "the first record")
    before = resource.prlimit(process, resource.RLIMIT_FSIZE, (log.stat().st_size + 60, resource.RLIM_INFINITY))
    assert running.get("/").text == str(process)  # its record is cut
    assert running.get("/").text == str(process)  # this one is lost
    resource.prlimit(process, resource.RLIMIT_FSIZE, before)
    for _ in range(2):
        assert running.get("/").text == str(process)
    lines = [line for line in log.read_text().splitlines() if f"[pid {process}:" in line and "[wsgi" in line]
    assert [line.count("[pid ") for line in lines] == [1, 1, 1, 1], lines
    assert [line.endswith("end") for line in lines] == [True, False, True, True], lines
    assert log.read_text().count("\n\n") == 0


# --- clients


def test_client_stops_reading_a_file(timed, tmp_path):
    """A file that nobody takes is given up after Timeout; meanwhile it occupies no thread."""
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(256 << 20)
    extra = f"Timeout 1\nAlias /big {big}\n<Directory {tmp_path}>\n  Require all granted\n</Directory>\n"
    running = timed("threads=1", extra)
    with running.conn(timeout=10) as conn:
        conn.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        conn.until(b"\r\n\r\n")
        assert pid(running)
        time.sleep(2.5)  # nothing is read meanwhile
        received = 0
        try:
            while block := conn.sock.recv(1 << 20):
                received += len(block)
        except ConnectionResetError:
            pass
    assert received < 256 << 20, "the server has given up"


# --- processes that are stopped from outside


@pytest.mark.parametrize("processes", [1, 2])
def test_term_to_a_process_loses_nothing(timed, script, processes):
    """It finishes what runs; its idle connections and all new ones go to others."""
    from harness import APPS

    own = script((APPS / "load.wsgi").read_text())
    running = timed(f"threads=3 processes={processes}", KEEP, script=own)
    with Load(running, clients=16) as load:
        for _ in range(3):
            victim = next(a.pid for a in reversed(load.answers) if a.kind == "ok")
            os.kill(victim, signal.SIGTERM)
            load.settled(lambda last, v=victim: last and v not in {a.pid for a in last}, "answers of others")
            wait_for(lambda v=victim: not alive(v), 10, "the end of the process")
    load.expect_no_loss()


def test_restart_at_once_loses_no_connection(timed, script):
    """SIGHUP: running requests are finished, kept connections and those that come wait for the new processes."""
    from harness import APPS

    own = script((APPS / "load.wsgi").read_text())
    running = timed("threads=3 processes=2", KEEP, script=own)
    with Load(running, clients=16) as load:
        for _ in range(3):
            old = {a.pid for a in load.answers}
            running.send_signal(signal.SIGHUP)
            load.settled(lambda last, old=old: last and not old & {a.pid for a in last}, "answers of new processes")
    load.expect_no_loss()


def test_graceful_timeout_0_leaves_shutdown_timeout(timed):
    running = timed("threads=3 graceful-timeout=0 shutdown-timeout=1")
    first = pid(running)
    stuck = Background(running, "/stubborn?25")
    entered(running, first, "/stubborn")
    os.kill(first, signal.SIGUSR1)
    assert stuck.status() == 502
    running.wait_log("ending the process")
    other(running, first)


# --- each timer alone: mod_wsgi's need deadlock-timeout or inactivity-timeout

ALONE = [
    ("request-timeout=1 graceful-timeout=1", "/stubborn?20", "request_timeout"),
    ("restart-interval=1", "/", "restart_interval"),
    ("inactivity-timeout=1", "/", "inactivity_timeout"),
    ("maximum-requests=3", "/", "maximum_requests"),
    ("resident-memory-limit=1000000", "/", "resident_memory_limit"),
    ("cpu-time-limit=1", "/spin?1.5", "cpu_time_limit"),
]


@pytest.mark.parametrize(("options", "path", "reason"), ALONE, ids=[row[2] for row in ALONE])
def test_each_timer_alone(timed, options, path, reason):
    running = timed(f"threads=1 deadlock-timeout=0 shutdown-timeout=1 {options}")
    first = pid(running)
    Background(running, path)
    if reason == "maximum_requests":
        for _ in range(3):
            running.get("/")
    stopped(running, first, reason)
