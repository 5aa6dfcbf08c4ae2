"""Applications that fork: the children work, can be ended, and hold nothing of the server."""

import os
import re
import signal
import socket

import pytest

from harness import SINK, alive, wait_for


@pytest.mark.ours
def test_multiprocessing_terminate(sink):
    """terminate() sends SIGTERM; the child must die of it at once (a handler left from the server would swallow it)."""
    for _ in range(3):
        answer = sink.json("/fork-terminate")
        assert answer["exitcode"] == -signal.SIGTERM and answer["seconds"] < 3


def test_multiprocessing_pool(sink):
    assert sink.json("/fork-pool") == [n * n for n in range(10)]


def test_child_runs_python_and_ends_itself(sink):
    answer = sink.json("/fork-child")
    assert answer["exit"] == 7 and answer["sum"] == 4999950000 and answer["threads"] == 1


@pytest.mark.ours
def test_child_holds_no_descriptor_of_the_server(sink):
    """No socket and no epoll instance in a forked child: neither the port nor any client's connection."""
    links = sink.json("/fork-child")["links"]
    kept = {number: link for number, link in links.items() if re.match(r"socket:|anon_inode:\[event(poll|fd)\]", link)}
    assert kept == {}


@pytest.mark.ours
def test_child_has_default_signal_dispositions(sink):
    """SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 and SIGCHLD are neither caught nor blocked in the child."""
    signals = {name: int(mask, 16) for name, mask in sink.json("/fork-child")["signals"].items()}
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD):
        bit = 1 << (number - 1)
        assert not signals["SigCgt"] & bit, f"{number!r} is caught"
        assert not signals["SigBlk"] & bit, f"{number!r} is blocked"


@pytest.mark.ours
def test_child_left_behind_does_not_hold_the_connection(sink):
    """The response ends for the client although the child that was forked in mid-request still lives."""
    answer = sink.raw(b"GET /fork-leave?seconds=20 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", timeout=5)
    child = int(re.search(rb'"child": (\d+)', answer).group(1))
    assert alive(child)
    os.kill(child, signal.SIGKILL)


@pytest.mark.ours
def test_child_left_behind_does_not_hold_the_port(server):
    running = server(SINK)
    child = running.json("/fork-leave?seconds=20")["child"]
    assert running.stop() == 0
    try:
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", running.port))
            again.listen()
    finally:
        if alive(child):
            os.kill(child, signal.SIGKILL)


def test_subprocess(sink):
    answer = sink.json("/subprocess")
    assert answer["code"] == 3
    assert "socket:" not in answer["fds"]


def test_server_goes_on_after_forks(sink):
    pid = sink.worker()
    for _ in range(5):
        sink.json("/fork-child")
        assert sink.get("/").text == "Hello World!"
    assert sink.worker() == pid


def test_signal_signal_is_refused(server):
    """signal.signal returns the handler given and installs nothing: SIGTERM still stops the worker."""
    running = server(SINK)
    assert running.json("/signal") == {"same": True}
    worker = running.worker()
    assert running.stop() == 0
    wait_for(lambda: not alive(worker), 5)


def test_threads_of_the_application(sink):
    assert sink.json("/thread") == 1
