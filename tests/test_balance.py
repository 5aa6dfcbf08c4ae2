"""Processes that accept from the same socket share connections and waiting requests."""

import contextlib
import os
import signal
import time
from collections import Counter

import pytest

from harness import wait_for
from timed import entered

pytestmark = pytest.mark.ours

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def ask(conn, path="/"):
    conn.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def answer(conn):
    status, _, body = conn.response()
    assert status == 200
    return int(body)


def spread(conns):
    """How many of the kept connections each process has, learned by asking on all of them."""
    for conn in conns:
        ask(conn)
    return Counter(answer(conn) for conn in conns)


def even(count, processes):
    return len(count) == processes and max(count.values()) * processes <= 1.5 * sum(count.values())


@contextlib.contextmanager
def kept(running, count, pause=0.0):
    with contextlib.ExitStack() as stack:
        conns = []
        for _ in range(count):
            conns.append(stack.enter_context(running.conn(timeout=20)))
            time.sleep(pause)
        yield conns


def balanced(conns, processes):
    """Waits for an even spread: idle connections move a few times a second."""
    wait_for(lambda: even(spread(conns), processes), 20, f"an even spread, not {spread(conns)}", every=0.1)


KEEP = "KeepAliveTimeout 100\nMaxKeepAliveRequests 0"


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("pause", [0.0, 0.01], ids=["at once", "one by one"])
def test_connections_are_spread(timed, processes, pause):
    """From the first request on: connections go to who has fewest when they come."""
    running = timed(f"threads=2 processes={processes}", KEEP)
    wait_for(lambda: running.log().count("is ready after") == processes, 15, "all processes")
    with kept(running, 16 * processes, pause) as conns:
        balanced(conns, processes)
        first = {}
        for _ in range(10):
            for conn in conns:
                ask(conn)
            for conn in conns:
                first.setdefault(conn, set()).add(answer(conn))
            time.sleep(0.05)
        moved = sum(len(pids) - 1 for pids in first.values())
        assert moved <= len(conns) // 4, f"connections wander: {moved} moves"


def test_a_new_process_gets_its_share(timed):
    """After a crash one process has all connections; its sibling's successor gets half of those that are idle."""
    running = timed("threads=2 processes=2", KEEP)
    wait_for(lambda: running.log().count("is ready after") == 2, 15, "both processes")
    with kept(running, 32) as conns:
        balanced(conns, 2)
        victim = min(spread(conns))
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: not os.path.exists(f"/proc/{victim}"), 10, "the end of the process")
        for at, conn in enumerate(conns):
            try:
                ask(conn)
                answer(conn)
            except (EOFError, OSError):
                conn.sock.close()
                conns[at] = running.conn(timeout=20)
        try:
            wait_for(lambda: even(count := spread(conns), 2) and victim not in count, 20, "an even spread", every=0.1)
        finally:
            for conn in conns:
                conn.sock.close()


@pytest.mark.parametrize("how", ["signal", "touch"])
def test_replaced_processes_share_again(timed, script, how):
    from timed import APP

    own = script(APP.read_text())
    running = timed("threads=2 processes=2", KEEP, script=own)
    with kept(running, 32) as conns:
        balanced(conns, 2)
        old = set(spread(conns))
        if how == "signal":
            running.send_signal(signal.SIGUSR1)
        else:
            os.utime(own, (time.time() + 5, time.time() + 5))
        wait_for(lambda: even(count := spread(conns), 2) and not old & set(count), 20, "new processes", every=0.1)


def by_process(conns):
    """{pid: its connections}."""
    owners = {}
    for conn in conns:
        ask(conn)
        owners.setdefault(answer(conn), []).append(conn)
    return owners


def test_waiting_request_goes_to_an_idle_sibling(timed, tmp_path):
    """One thread each: what comes to the process that sleeps is answered by the other, while the first still sleeps."""
    running = timed("threads=1 processes=2", KEEP)
    wait_for(lambda: running.log().count("is ready after") == 2, 15, "both processes")
    with kept(running, 16) as conns:
        balanced(conns, 2)
        owners = by_process(conns)
        (one, mine), (two, _) = owners.items()
        go = tmp_path / "go"
        ask(mine[0], f"/until?{go}")
        entered(running, one, "/until")
        for conn in mine[1:]:  # at the same time: all of them have to move
            ask(conn)
        assert {answer(conn) for conn in mine[1:]} == {two}
        go.touch()
        assert answer(mine[0]) == one


def test_requests_wait_when_all_are_busy(timed, tmp_path):
    """Nobody has an idle thread: requests wait where they are, and none is lost or answered twice."""
    running = timed("threads=1 processes=2", KEEP)
    wait_for(lambda: running.log().count("is ready after") == 2, 15, "both processes")
    with kept(running, 16) as conns:
        balanced(conns, 2)
        owners = by_process(conns)
        (one, mine), (two, theirs) = owners.items()
        go = [tmp_path / "one", tmp_path / "two"]
        ask(mine[0], f"/until?{go[0]}")
        ask(theirs[0], f"/until?{go[1]}")
        entered(running, one, "/until")
        entered(running, two, "/until")
        rest = mine[1:] + theirs[1:]
        for conn in rest:
            ask(conn)
        time.sleep(0.2)  # nothing tells from outside that requests wait
        go[1].touch()
        assert {answer(conn) for conn in rest} == {two}, "the first one to be idle takes them all"
        go[0].touch()
        assert answer(mine[0]) == one and answer(theirs[0]) == two


def test_large_waiting_requests_stay(timed, tmp_path):
    """A body that is already here is not sent around; it waits for its own process."""
    running = timed("threads=1 processes=2", KEEP)
    wait_for(lambda: running.log().count("is ready after") == 2, 15, "both processes")
    with kept(running, 16) as conns:
        balanced(conns, 2)
        owners = by_process(conns)
        (one, mine), (two, _) = owners.items()
        go = tmp_path / "go"
        ask(mine[0], f"/until?{go}")
        entered(running, one, "/until")
        body = b"x" * 200000
        mine[1].send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + body)
        ask(mine[2])
        assert answer(mine[2]) == two, "the one behind it does not wait for it"
        go.touch()
        assert answer(mine[0]) == one
        assert answer(mine[1]) == one
