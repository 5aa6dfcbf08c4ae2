"""Process groups behind the front: their sockets, and restarts that add, change and remove groups.

Tests that need other users run as root with throw-away ones (tenants.py), else they are skipped.
"""

import os
import signal
import socket
import subprocess
import threading
import time

import httpx
import pytest

from harness import alive, descendants, free_port, wait_for
from tenants import WHO, kept_asking

pytestmark = pytest.mark.ours


# --- sockets


def test_place_of_the_sockets(place):
    server = place.start(place.host("one", "processes=2"), place.host("two", "listen-backlog=7"))
    place.pid("one")
    stem = f"wsgi.{server.process.pid}.1."
    assert place.sockets() == [stem + "1.1.sock", stem + "1.sock", stem + "2.sock"]
    for name in place.sockets():
        st = os.stat(place.folder / "run" / name)
        assert (st.st_mode & 0o777, st.st_uid) == (0o600, place.users["front"].pw_uid)
    waiting = subprocess.run(["ss", "-xlH"], capture_output=True, text=True)
    if waiting.returncode == 0:
        line = next(line for line in waiting.stdout.splitlines() if stem + "2.sock" in line)
        assert line.split()[3] == "7"
    server.stop()
    assert place.sockets() == []


def test_default_place(place):
    """Without WSGISocketPrefix the sockets are in a directory of root's below /run."""
    server = place.start(prefix=False)
    place.pid("one")
    names = [name for name in os.listdir("/run/modwsgi-go-sockets") if f".{server.process.pid}." in name]
    assert len(names) == 2
    assert os.stat("/run/modwsgi-go-sockets").st_mode & 0o777 == 0o711
    server.stop()
    assert not [name for name in os.listdir("/run/modwsgi-go-sockets") if f".{server.process.pid}." in name]


@pytest.mark.parametrize(
    ("mode", "owner", "text"),
    [
        (0o777, "root", "can be written to by user id"),
        (0o755, "one", "can be written to by user id"),
        (0o700, "root", "cannot be entered by user id"),
    ],
)
def test_unsafe_place(place, users, mode, owner, text):
    run = place.folder / "run"
    run.mkdir()
    if owner != "root":
        os.chown(run, users[owner].pw_uid, users[owner].pw_gid)
    os.chmod(run, mode)
    server = place.start(ready=False)
    assert server.process.wait(20) == 1
    assert text in server.output() and "WSGISocketPrefix" in server.output()
    assert os.listdir(run) == []


def test_sockets_of_a_killed_server(groups, tmp_path):
    text = """\
WSGISocketPrefix @ROOT@/wsgi
WSGIDaemonProcess one
WSGIDaemonProcess two
WSGIScriptAlias / @ROOT@/probe.wsgi process-group=one
"""
    server = groups(text)
    server.run("/", WHO)
    server.expected = -signal.SIGKILL
    left = set(tmp_path.glob("wsgi.*.sock"))
    assert len(left) == 2
    tree = descendants(server.process.pid)
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(5)
    wait_for(lambda: not [pid for pid in tree if alive(pid)], 5, "the end of all processes")
    assert set(tmp_path.glob("wsgi.*.sock")) == left
    second = groups(text)
    assert second.run("/", WHO)[0] == "one"
    assert not left & set(tmp_path.glob("wsgi.*.sock"))
    for path in left:
        assert f"removed the socket {path}" in second.output() + second.log()


def test_long_path_of_sockets(groups, tmp_path):
    server = groups(f"WSGISocketPrefix @ROOT@/{'x' * 100}\nWSGIDaemonProcess one\nWSGIDaemonProcess two\n", ready=False)
    assert server.process.wait(20) == 1
    assert "the system allows 107: give WSGISocketPrefix a shorter path" in server.output()


def test_socket_user(place, users):
    server = place.start(place.host("one", f"socket-user={users['two'].pw_name}"), place.host("two"), ready=False)
    assert server.process.wait(20) == 1
    assert "leave the option out, or name that user" in server.output()


# --- restarts


def test_graceful_restart_changes_groups(place):
    """Groups and listeners come, change and go without a failed request for those that stay."""
    server = place.start(place.host("one"), place.host("two"))
    first = {role: place.pid(role) for role in ("one", "two")}
    stop, failures = threading.Event(), []
    load = [threading.Thread(target=kept_asking, args=(place, "one", stop, failures)) for _ in range(2)]
    for thread in load:
        thread.start()
    try:
        # Two goes, a listener comes, the options of one change.
        port = free_port()
        place.write(place.host("one", "processes=2 display-name=changed"), main=f"Listen 127.0.0.1:{port}")
        server.send_signal(signal.SIGUSR1)
        title = "result = open('/proc/self/cmdline').read().rstrip(chr(0))"
        wait_for(lambda: place.run("one", title) == "changed", 15, "the new process")
        wait_for(lambda: not alive(first["two"]) and not alive(first["one"]), 15, "the end of the old processes")
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
        wait_for(lambda: len(place.sockets()) == 2, 10, "the end of the old sockets")
        # Two comes back, the listener goes.
        place.write(place.host("one"), place.host("two"))
        server.send_signal(signal.SIGUSR1)
        wait_for(lambda: place.ask("two", "result = environ['mod_wsgi.process_group']").text == '"two"', 15, "two")
        wait_for(lambda: refused(port), 10, "the end of the listener")
        # Nonsense changes nothing.
        pids = {role: place.pid(role) for role in ("one", "two")}
        place.write(place.host("one"), place.host("two"), main="WSGIDaemonProcess one")
        server.send_signal(signal.SIGUSR1)
        server.wait_log("going on with the old")
        assert {role: place.pid(role) for role in ("one", "two")} == pids
        place.write(place.host("one"), place.host("two"))
    finally:
        stop.set()
        for thread in load:
            thread.join()
    assert failures == []


def test_many_restarts_in_a_row(place):
    """Also restarts that overtake others lose no request and leave nothing behind: no process, socket or descriptor."""
    server = place.start(place.host("one", "processes=2"), place.host("two"))
    place.pid("one")

    def state():
        return (
            len(descendants(server.process.pid)),
            len(place.sockets()),
            len(os.listdir(f"/proc/{server.process.pid}/fd")),
        )

    before = state()
    stop, failures = threading.Event(), []
    load = [threading.Thread(target=kept_asking, args=(place, role, stop, failures)) for role in ("one", "two", "one")]
    for thread in load:
        thread.start()
    try:
        for pause in (0.05, 0.5, 0, 0.05, 0.5, 0.1, 0.05, 0.5):
            server.send_signal(signal.SIGUSR1)
            time.sleep(pause)
        wait_for(lambda: state() <= before, 20, f"the end of what is old: {before} {state()}")
    finally:
        stop.set()
        for thread in load:
            thread.join()
    assert failures == []


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


SLOW = """\
import time
open(environ["HTTP_X_MARK"], "w").close()
while not os.path.exists(environ["HTTP_X_MARK"] + ".go"):
    time.sleep(0.02)
result = os.getpid()
"""


def slow_request(server, tmp_path, name, path="/"):
    """Begins a request that goes on until .go appears; a thread with .answer."""
    mark = tmp_path / name

    def ask():
        with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client:
            thread.answer = client.post(path, content=SLOW.encode(), headers={"X-Mark": str(mark)})

    thread = threading.Thread(target=ask)
    thread.answer = None
    thread.start()
    wait_for(mark.exists, 10, "the request to run")
    thread.go = lambda: (tmp_path / f"{name}.go").touch()
    return thread


TWO = """\
WSGISocketPrefix @ROOT@/wsgi
WSGIDaemonProcess one
WSGIDaemonProcess two
WSGIScriptAlias / @ROOT@/probe.wsgi process-group=one
"""


def test_a_request_outlives_its_generation(groups, tmp_path):
    server = groups(TWO)
    before = server.run("/", WHO)[1]
    request = slow_request(server, tmp_path, "slow")
    server.send_signal(signal.SIGUSR1)
    wait_for(lambda: server.run("/", WHO)[1] != before, 15, "the new generation")
    assert alive(before), "the process with the request stays"
    assert len(list(tmp_path.glob("wsgi.*.sock"))) == 4
    request.go()
    request.join()
    assert (request.answer.status_code, request.answer.json()) == (200, before)
    wait_for(lambda: not alive(before), 15, "the end of the old process")
    wait_for(lambda: len(list(tmp_path.glob("wsgi.*.sock"))) == 2, 10, "the end of its socket")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH])
def test_a_request_at_the_end(groups, tmp_path, number):
    """A request that runs when the server stops is answered, if it ends in time."""
    server = groups(TWO)
    request = slow_request(server, tmp_path, "slow")
    pid = server.run("/", WHO)[1]
    server.send_signal(number)
    server.wait_log("AH00169|AH00494|AH00492")
    request.go()
    request.join()
    assert (request.answer.status_code, request.answer.json()) == (200, pid)
    if number == signal.SIGHUP:
        wait_for(lambda: server.run("/", WHO)[1] != pid, 15, "the new processes")
    else:
        assert server.process.wait(15) == 0
    wait_for(lambda: not alive(pid), 5, "its end")


def test_sigterm_is_bounded(groups, tmp_path):
    """A request that does not end holds the server up for shutdown-timeout and a little more."""
    server = groups(TWO.replace("one\n", "one shutdown-timeout=1\n", 1))
    request = slow_request(server, tmp_path, "endless")
    server.send_signal(signal.SIGTERM)
    assert server.process.wait(15) == 0
    request.join()
    assert list(tmp_path.glob("wsgi.*.sock")) == []


def test_sigterm_gives_a_group_its_shutdown_timeout(groups, tmp_path):
    """The front waits as long as the groups behind it may take."""
    server = groups(TWO.replace("one\n", "one shutdown-timeout=9\n", 1))
    request = slow_request(server, tmp_path, "slow")
    server.send_signal(signal.SIGTERM)
    server.wait_log("AH00169")
    time.sleep(6)  # longer than shutdown-timeout's default
    request.go()
    request.join()
    assert request.answer.status_code == 200
    assert server.process.wait(5) == 0


def test_stable_sockets(groups, tmp_path):
    text = TWO + "WSGISocketRotation Off\n"
    server = groups(text)
    before = server.run("/", WHO)[1]
    names = {path.name for path in tmp_path.glob("wsgi.*.sock")}
    assert names == {f"wsgi.{server.process.pid}.u{os.getuid()}.{n}.sock" for n in (1, 2)}
    server.send_signal(signal.SIGUSR1)
    wait_for(lambda: server.run("/", WHO)[1] != before, 15, "the new process")
    assert {path.name for path in tmp_path.glob("wsgi.*.sock")} == names
    server.configure(
        text.replace("WSGIDaemonProcess one\nWSGIDaemonProcess two", "WSGIDaemonProcess two\nWSGIDaemonProcess one")
    )
    server.send_signal(signal.SIGUSR1)
    server.wait_log("must keep their order")
    assert server.run("/", WHO)[0] == "one"


def test_restarts_between_the_ways_of_accepting(groups):
    """One group that accepts, several behind a front, embedded mode, and back: no request is lost on the way."""
    one = "WSGIDaemonProcess one processes=2\nWSGIScriptAlias / @ROOT@/probe.wsgi process-group=one\n"
    ways = [TWO, "WSGIScriptAlias / @ROOT@/probe.wsgi\n", TWO, one]
    server = groups(one)
    stop, failures = threading.Event(), []
    load = [threading.Thread(target=asking, args=(server.url, stop, failures)) for _ in range(3)]
    for thread in load:
        thread.start()
    try:
        for way in ways:
            before = server.log().count("resuming normal operations")
            server.configure(way)
            server.send_signal(signal.SIGUSR1)
            wait_for(lambda n=before: server.log().count("resuming normal operations") > n, 15, "the restart")
            group = "one" if "one" in way else ""
            wait_for(lambda name=group: server.run("/", WHO)[0] == name, 10, f"an answer of group {group!r}")
    finally:
        stop.set()
        for thread in load:
            thread.join()
    assert failures == []


def asking(url, stop, failures):
    """Asks on a connection that is kept until the event is set; every answer but 200 is a failure."""
    with httpx.Client(base_url=url, timeout=20, trust_env=False) as client:
        while not stop.is_set():
            try:
                answer = client.get("/")
                if answer.status_code != 200:
                    failures.append((answer.status_code, answer.text[:200]))
            except httpx.HTTPError as error:
                failures.append(repr(error))
