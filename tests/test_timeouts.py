"""Time-outs, limits and recycling of worker processes: a fault for each, and what becomes of the requests."""

import os
import re
import signal
import socket
import time

import httpx
import pytest

from harness import alive, wait_for
from timed import APP, Background, entered, events, other, pid, stopped

pytestmark = pytest.mark.ours


# --- request-timeout, interrupt-timeout


def test_request_timeout_replaces_the_process(timed):
    running = timed("threads=2 request-timeout=1 graceful-timeout=1 shutdown-timeout=1")
    first = pid(running)
    stuck = Background(running, "/stubborn?25")
    other(running, first)  # others are served all the time
    assert stuck.status() == 504, "the request that ran into the limit is told so"
    wait_for(lambda: not alive(first), 10, "the end of the process")
    log = running.log()
    assert re.search(
        r"a request ran longer than request-timeout allows: replacing the process "
        r"\(process group 'app', \d+ requests, 1 running, up \ds, "
        r"memory [\d.]+ MiB, CPU .*\)",
        log,
    )
    assert "running request: GET /stubborn?25," in log
    assert "in application" in log and "timed.wsgi" in log, "the stack of the thread is logged"
    assert "request-timeout 1s, which is 1.7 s for each of 2 threads" in log
    stopped(running, first, "request_timeout")


def test_request_timeout_scales_with_threads(timed):
    running = timed("threads=8 request-timeout=1")  # 1 + ln 8: 3.08 s
    first = pid(running)
    assert running.get("/patient?2").status_code == 200
    assert pid(running) == first


def test_interrupted_request_gets_504_and_the_process_lives(timed):
    running = timed("threads=1 request-timeout=1 interrupt-timeout=5")
    first = pid(running)
    answer = running.get("/catches?20")
    assert (answer.status_code, answer.content) == (504, b"")
    assert pid(running) == first
    assert f"{first} caught" in events(running)
    log = running.log()
    assert "interrupting it" in log and "running request: GET /catches?20" in log and "in patient" in log
    assert "Traceback" not in log, "RequestTimeout is not logged as an error of the application"


def test_interrupted_response_that_has_begun_is_cut(timed):
    running = timed("threads=1 request-timeout=1 interrupt-timeout=5")
    first = pid(running)
    with running.conn(timeout=15) as conn:
        conn.send(b"GET /begun?20 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in conn.until(b"\r\n\r\n")
        assert conn.take(5) == b"12345"
        assert conn.closed()
    assert pid(running) == first


def test_interruption_without_effect_replaces_the_process(timed):
    running = timed("threads=1 request-timeout=1 interrupt-timeout=1 graceful-timeout=1 shutdown-timeout=1")
    first = pid(running)
    stuck = Background(running, "/stubborn?25")
    other(running, first)
    assert stuck.status() == 504
    stopped(running, first, "request_timeout")


def test_late_interruption_does_not_hit_the_next_request(timed):
    running = timed("threads=1 request-timeout=1 interrupt-timeout=10")
    first = pid(running)
    # Asked for while C sleeps; raised, if at all, within the same request.
    assert running.get("/stubborn?2.5").status_code in (200, 504)
    for _ in range(20):
        assert running.get("/patient?0.05").status_code == 200
    assert pid(running) == first


# --- the process that cannot go on


def test_startup_timeout(timed, script):
    slow = script(
        "import time\nif not __import__('os').path.exists(__file__ + '.fast'):\n    time.sleep(30)\n"
        "def application(e, s):\n    s('200 OK', [])\n    return [str(__import__('os').getpid()).encode()]\n"
    )
    running = timed("threads=2 startup-timeout=1 shutdown-timeout=1", script=slow, preload=False)
    stuck = Background(running, "/")
    running.wait_log("no script was loaded within startup-timeout", 10)
    (slow.parent / (slow.name + ".fast")).touch()
    assert stuck.status() in (200, 502), running.log()
    assert running.get("/").status_code == 200


def test_startup_timeout_ends_with_the_first_script(timed):
    running = timed("threads=2 startup-timeout=1")
    first = pid(running)
    assert running.get("/patient?2.5").status_code == 200
    assert pid(running) == first


def test_deadlock_timeout(timed):
    running = timed("threads=2 deadlock-timeout=1 shutdown-timeout=1")
    first = pid(running)
    stuck = Background(running, "/hold-gil?20")
    entered(running, first, "/hold-gil")
    waiting = Background(running, "/")  # read, but no thread can run it
    second = other(running, first)
    assert stuck.status() == 502
    assert waiting.status() in (200, 502)
    wait_for(lambda: not alive(first), 10, "the end of the process")
    assert "the GIL could not be taken within deadlock-timeout: replacing" in running.log()
    assert alive(second)


# --- idle and old processes


def test_inactivity_timeout(timed):
    running = timed("threads=2 inactivity-timeout=1")
    time.sleep(1.5)
    assert "inactivity" not in running.log().replace("inactivity-timeout 1s", ""), "never before the first request"
    first = pid(running)
    stopped(running, first, "inactivity_timeout")
    wait_for(lambda: not alive(first), 10, "the end of the process")
    assert pid(running) != first


def test_inactivity_timeout_waits_for_requests(timed):
    running = timed("threads=2 inactivity-timeout=1")
    first = pid(running)
    assert running.get("/patient?2").text == str(first)
    assert pid(running) == first


def test_ignored_activity(timed):
    running = timed("threads=2 inactivity-timeout=1", "<Location /title>\n  WSGIIgnoreActivity On\n</Location>")
    first = pid(running)
    end = time.monotonic() + 20
    while f"{first} stopping inactivity_timeout" not in events(running):
        assert time.monotonic() < end, running.log()
        running.get("/title")
        time.sleep(0.1)


def test_restart_interval_loses_no_request(timed):
    running = timed("threads=3 restart-interval=1")
    pids, failures = set(), []
    end = time.monotonic() + 20
    with httpx.Client(base_url=running.url, timeout=10, trust_env=False) as client:
        while len(pids) < 3 and time.monotonic() < end:
            try:
                answer = client.get("/")
                pids.add(answer.text)
                assert answer.status_code == 200
            except httpx.HTTPError as error:
                failures.append(error)
    assert not failures
    assert len(pids) >= 3
    assert "restart-interval is over: replacing the process" in running.log()


def test_maximum_requests_with_jitter(timed):
    running = timed("threads=1 maximum-requests=10 maximum-requests-jitter=20 graceful-timeout=5")
    counts = {}
    end = time.monotonic() + 20
    while len(counts) < 3 and time.monotonic() < end:
        answer = running.get("/")
        assert answer.status_code == 200
        counts[answer.text] = counts.get(answer.text, 0) + 1
    assert len(counts) == 3
    assert all(count >= 10 for count in list(counts.values())[:-1]), counts
    stopped(running, next(iter(counts)), "maximum_requests")


def test_resident_memory_limit_drains(timed):
    running = timed("threads=3 resident-memory-limit=200000000 graceful-timeout=30")
    first = pid(running)
    slow = Background(running, "/wait?3")
    entered(running, first, "/wait")
    with httpx.Client(base_url=running.url, timeout=10, trust_env=False) as old:
        old.get("/hoard?250000000")
        running.wait_log("resident-memory-limit is exceeded: replacing", 10)
        other(running, first)
    assert alive(first) and slow.is_alive(), "the request in progress goes on"
    assert slow.status() == 200, "graceful-timeout is long enough for it"


# --- signals and drain windows


@pytest.mark.parametrize(("options", "reason"), [("", "graceful_signal"), ("eviction-timeout=10", "eviction_signal")])
def test_usr1_to_a_worker(timed, options, reason):
    running = timed("threads=3 " + options)
    first = pid(running)
    slow = Background(running, "/patient?1")
    entered(running, first, "/patient")
    os.kill(first, signal.SIGUSR1)
    assert slow.status() == 200, "what runs is finished"
    assert slow.answer.text == str(first)
    stopped(running, first, reason)
    assert pid(running) != first
    wait_for(lambda: f"{first} atexit" in events(running), 5, "atexit functions")


def test_eviction_timeout_is_the_window_of_usr1(timed):
    running = timed("threads=3 graceful-timeout=30 eviction-timeout=1 shutdown-timeout=1")
    first = pid(running)
    slow = Background(running, "/stubborn?25")
    entered(running, first, "/stubborn")
    os.kill(first, signal.SIGUSR1)
    assert slow.status() == 502
    running.wait_log("requests are still running at the end of the graceful period")
    running.wait_log("not done 1s after the stop began, ending the process")
    running.wait_log(r"exited with code 255")
    assert pid(running) != first


def test_term_to_a_worker_lets_requests_finish(timed):
    running = timed("threads=3 shutdown-timeout=10")
    first = pid(running)
    slow = Background(running, "/patient?1")
    entered(running, first, "/patient")
    os.kill(first, signal.SIGTERM)
    assert slow.status() == 200
    stopped(running, first, "shutdown_signal")
    other(running, first)


def test_shutdown_timeout_bounds_threads_of_the_application(timed):
    running = timed("threads=2 shutdown-timeout=1")
    first = pid(running)
    running.get("/thread?25")
    os.kill(first, signal.SIGTERM)
    running.wait_log("not done 1s after the stop began", 10)
    wait_for(lambda: not alive(first), 5, "the end of the process")


def test_script_reload_is_a_reason(timed, script):
    source = APP.read_text()
    own = script(source)
    running = timed("threads=2", script=own)
    first = pid(running)
    os.utime(own, (time.time() + 5, time.time() + 5))
    assert pid(running) != first
    stopped(running, first, "script_reload")


def test_crash_is_logged(timed):
    running = timed("threads=2")
    first = pid(running)
    with pytest.raises(httpx.HTTPError):
        running.get("/crash")
    running.wait_log(rf"process 'app' \(pid {first}\) was killed by SIGSEGV \(11\).* \(up .*CPU .*MiB\)", 10)
    assert re.search(r'timed.wsgi", line \d+ in application', running.log()), "the Python stacks"
    assert other(running, first) != first


def test_killed_process_is_logged(timed):
    running = timed("threads=2")
    first = pid(running)
    os.kill(first, signal.SIGKILL)
    running.wait_log(rf"process 'app' \(pid {first}\) was killed by SIGKILL \(9\).* \(up .*CPU .*MiB\)", 10)
    assert other(running, first) != first


# --- queue


def test_queued_request_of_a_client_that_leaves_does_not_run(timed):
    """A client that closes only its sending side does so at once, and gets its answer."""
    running = timed("threads=1")
    first = pid(running)
    go = running.root / "go"
    slow = Background(running, f"/until?{go}")
    entered(running, first, "/until")
    with running.conn(timeout=20) as half, running.conn() as leaving:
        half.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        half.sock.shutdown(socket.SHUT_WR)
        leaving.send(b"GET /patient?0 HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.4)  # no client that still waits closes so late
        leaving.sock.close()
        time.sleep(0.2)  # nothing tells that the server knows
        go.touch()
        assert slow.status() == 200
        assert int(half.response()[2]) == first
    assert pid(running) == first
    assert f"{first} in /patient" not in events(running)


def test_queue_timeout(timed):
    running = timed("threads=1 queue-timeout=1")
    first = pid(running)
    go = running.root / "go"
    slow = Background(running, f"/until?{go}")
    entered(running, first, "/until")
    late = running.get("/", timeout=20)  # it is not left to the thread, which is stuck until this has its answer
    assert late.status_code == 504
    assert "Gateway Timeout" in late.text, "the server's error document"
    go.touch()
    assert slow.status() == 200
    assert running.get("/").status_code == 200
    assert "WSGI0084" in running.log()


def test_requests_in_the_queue_go_to_the_successor(timed):
    running = timed("threads=1 graceful-timeout=1 shutdown-timeout=1")
    first = pid(running)
    stuck = Background(running, "/stubborn?20")
    entered(running, first, "/stubborn")
    queued = [Background(running, "/") for _ in range(3)]
    time.sleep(0.5)  # nothing tells from outside that a request waits
    os.kill(first, signal.SIGUSR1)
    assert [one.status() for one in queued] == [200] * 3
    assert {one.answer.text for one in queued} != {str(first)}
    assert stuck.status() == 502
