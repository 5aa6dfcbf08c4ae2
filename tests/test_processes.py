"""Supervision: respawn, signals, exit codes, reload under load, and the identity of workers."""

import grp
import json
import os
import pwd
import signal
import socket
import subprocess
import threading
import time

import httpx
import pytest

from harness import (
    COMMAND,
    REFERENCE,
    SINK,
    alive,
    descendants,
    free_port,
    interpreter_for,
    package_folder,
    start,
    wait_for,
)

HELLO = """\
import os

def application(environ, start_response):
    body = ("%s %%d" %% os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


class Load:
    """Clients that ask again and again over keep-alive connections; records every answer and every failure."""

    def __init__(self, running, path="/", clients=4):
        self.running, self.path = running, path
        self.answers, self.failures, self.done = [], [], threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]

    def run(self):
        with httpx.Client(base_url=self.running.url, timeout=10, trust_env=False) as client:
            while not self.done.is_set():
                try:
                    answer = client.get(self.path)
                    self.answers.append((answer.status_code, answer.text))
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_for(lambda: len(self.answers) > 20, 10, "answers under load")
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join(15)

    def more(self, count=50):
        """Waits until `count` further answers have come."""
        target = len(self.answers) + count
        wait_for(lambda: len(self.answers) >= target, 10, "further answers")


def test_killed_worker_is_replaced_under_load(server):
    running = server(SINK)
    first = running.worker()
    with Load(running) as load:
        os.kill(first, signal.SIGKILL)
        second = wait_for(lambda: different_worker(running, first), 10, "a new worker")
        load.more()
    assert alive(second) and not alive(first)
    assert {status for status, _ in load.answers[-20:]} == {200}
    assert running.process.poll() is None


def different_worker(running, old):
    try:
        pid = running.get("/process").json()["pid"]
    except (httpx.HTTPError, ValueError):
        return None
    return pid if pid != old else None


@pytest.mark.ours
@pytest.mark.direct
def test_every_killed_worker_is_replaced(server):
    running = server(SINK, "--processes", "3", "--threads", "2")
    workers = wait_for(lambda: len(found := application_pids(running)) == 3 and found, 10, "three workers")
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(found := application_pids(running)) == 3 and not found & workers, 15, "three new workers")


def application_pids(running):
    """Pids that serve the application, learned from the responses over new connections and from /proc."""
    with httpx.Client(trust_env=False, timeout=10) as client:
        try:
            client.get(running.url + "/process")
        except httpx.HTTPError:
            return set()
    return {pid for pid in descendants(running.process.pid) if alive(pid)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_signals(server, number):
    running = server(SINK)
    worker = running.worker()
    assert running.stop(number) == 0
    wait_for(lambda: not alive(worker), 5, "the worker's end")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", running.port), timeout=1)


def test_pid_file(server, tmp_path):
    path = tmp_path / "server.pid"
    running = server(SINK, "--pid-file", path)
    wait_for(lambda: path.exists() and path.read_text().strip() == str(running.process.pid), 5, "the pid file")
    assert running.stop() == 0
    assert not path.exists()


def begun(running, conn, folder):
    """Sends a request and waits until it runs; it ends when the path that is returned exists."""
    go = folder / "go"
    conn.send(f"GET /until?file={go} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    wait_for((folder / "go.in").exists, what="the request to begin")
    return go


@pytest.mark.ours
def test_graceful_stop_finishes_requests(server, tmp_path):
    """SIGWINCH: no new connections, the running request gets its answer, exit 0."""
    running = server(SINK)
    running.events()
    with running.conn(timeout=10) as conn:
        go = begun(running, conn, tmp_path)
        running.send_signal(signal.SIGWINCH)
        running.wait_log("AH00492")
        go.touch()
        assert conn.response()[2] == b"done"
    assert running.process.wait(10) == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_restart_signals(server, number):
    """HUP and USR1 replace the worker; the supervisor, the port and the service stay."""
    running = server(SINK)
    first = running.worker()
    running.send_signal(number)
    second = wait_for(lambda: different_worker(running, first), 15, "a new worker")
    wait_for(lambda: not alive(first), 15, "the old worker's end")
    assert alive(second) and running.process.poll() is None


@pytest.mark.ours
def test_graceful_restart_loses_nothing(server):
    """USR1 under load: every request is answered with 200, by the old worker or by the new one."""
    running = server(SINK)
    first = running.worker()
    with Load(running) as load:
        running.send_signal(signal.SIGUSR1)
        wait_for(lambda: different_worker(running, first), 15, "a new worker")
        load.more(100)
    assert load.failures == [] and {status for status, _ in load.answers} == {200}


@pytest.mark.ours
def test_graceful_restart_lets_a_long_request_finish(server, tmp_path):
    running = server(SINK)
    first = running.worker()
    with running.conn(timeout=10) as conn:
        go = begun(running, conn, tmp_path)
        running.send_signal(signal.SIGUSR1)
        wait_for(lambda: different_worker(running, first), 15, "a new worker")
        go.touch()
        assert conn.response()[2] == b"done"
    wait_for(lambda: not alive(first), 10, "the old worker's end")


def generation(running):
    return running.json("/environ")["environ"].get("GENERATION")


@pytest.mark.ours
def test_configuration_is_read_again(server):
    running = server(SINK, config="SetEnv GENERATION one\n")
    assert generation(running) == "one"
    (running.root / "test-include.conf").write_text("SetEnv GENERATION two\n")
    running.send_signal(signal.SIGUSR1)
    wait_for(lambda: generation(running) == "two", 15, "the new configuration")


@pytest.mark.ours
def test_broken_configuration_keeps_the_old_one(server):
    running = server(SINK, config="SetEnv GENERATION one\n")
    first = running.worker()
    (running.root / "test-include.conf").write_text("NoSuchDirective at all\n")
    running.send_signal(signal.SIGUSR1)
    wait_for(lambda: "NoSuchDirective" in running.log() + running.output(), 10, "a complaint")
    assert generation(running) == "one"
    assert running.worker() == first and running.process.poll() is None


def test_touched_script_is_reloaded(server, script):
    path = script(HELLO % "one")
    running = server(path)
    before = running.get("/").text.split()
    path.write_text(HELLO % "two")
    os.utime(path, (time.time() + 5, time.time() + 5))
    after = running.get("/").text.split()
    assert (before[0], after[0]) == ("one", "two") and before[1] != after[1]


@pytest.mark.ours
def test_script_edited_before_the_first_request(timed, script):
    """The script was loaded at start; the first request gets the new code all the same."""
    path = script(HELLO % "one")
    running = timed("threads=1", script=path)
    running.wait_log("is ready after")
    path.write_text(HELLO % "two")
    os.utime(path, (time.time() + 5, time.time() + 5))
    assert running.get("/").text.split()[0] == "two"


@pytest.mark.ours
def test_reload_under_load_loses_nothing(server, script):
    """Five edits while four clients ask without pause: all answers 200, and in the end only the newest text."""
    path = script(HELLO % "version0")
    running = server(path)
    with Load(running) as load:
        for version in range(1, 6):
            fresh = path.with_suffix(".new")
            fresh.write_text(HELLO % f"version{version}")
            os.utime(fresh, (time.time() + version, time.time() + version))
            fresh.replace(path)
            mark = f"version{version} "
            wait_for(lambda mark=mark: any(mark in text for _, text in load.answers[-8:]), 10, mark)
        load.more(100)
    assert load.failures == []
    assert {status for status, _ in load.answers} == {200}
    assert {text.split()[0] for _, text in load.answers[-20:]} == {"version5"}


def test_reloading_can_be_disabled(server, script):
    path = script(HELLO % "one")
    running = server(path, "--disable-reloading")
    before = running.get("/").text
    path.write_text(HELLO % "two")
    os.utime(path, (time.time() + 5, time.time() + 5))
    assert [running.get("/").text for _ in range(3)] == [before] * 3


@pytest.mark.ours
def test_maximum_requests_recycles_without_loss(server):
    running = server(SINK, "--maximum-requests", "50")
    with Load(running, "/process") as load:
        # The old worker goes on until its successor is ready, which takes as long as the machine takes.
        wait_for(lambda: len({json.loads(text)["pid"] for _, text in list(load.answers)}) >= 3, 30, "a third worker")
    assert load.failures == [] and {status for status, _ in load.answers} == {200}


@pytest.mark.ours
def test_workers_die_with_the_supervisor(server):
    running = server(SINK, "--processes", "2")
    running.get("/")
    tree = wait_for(lambda: len(found := descendants(running.process.pid)) >= 2 and found, 5)
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait(5)
    wait_for(lambda: not [pid for pid in tree if alive(pid)], 5, "the workers' end")


def test_port_in_use(tmp_path):
    port = free_port()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        late = start(SINK, root=tmp_path / "late", port=port, ready=False)
        try:
            assert late.process.wait(10) == 1
            said = late.output() + late.log()
            assert str(port) in said and "in use" in said.lower()
        finally:
            late.kill()
            late.output_file.close()


@pytest.mark.parametrize("arguments", [["start-server", "--no-such-option"], ["no-such-command"], []])
def test_usage_errors_exit_2(arguments):
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and "error" in done.stderr.lower()


def test_broken_include_is_refused_with_its_place(tmp_path):
    broken = start(SINK, root=tmp_path / "broken", ready=False, config="\n\nNoSuchDirective on\n")
    try:
        assert broken.process.wait(10) == 1
        said = broken.output() + broken.log()
        assert "NoSuchDirective" in said and "test-include.conf" in said and "3" in said
    finally:
        broken.kill()
        broken.output_file.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change the user")
@pytest.mark.skipif(REFERENCE, reason="the reference is run without root")
def test_user_and_group(open_folder):
    """Started as root with --user nobody: the worker has nobody's uid, gid and groups, and nothing of root's."""
    account = pwd.getpwnam("nobody")
    group = grp.getgrgid(account.pw_gid)
    python = interpreter_for(account)
    for name in ("kitchen_sink.py", "kitchen_sink.wsgi", "sink"):
        subprocess.run(["cp", "-r", str(SINK.parent / name), str(open_folder / name)], check=True)
    running = start(open_folder / "kitchen_sink.wsgi", "--user", "nobody", "--group", group.gr_name,
                    root=open_folder / "root",
                    base=[python, "-m", "modwsgi_go"], env={"PYTHONPATH": package_folder()})
    try:
        process = running.json("/process")
        assert (process["uid"], process["euid"], process["gid"]) == (account.pw_uid, account.pw_uid, account.pw_gid)
        assert process["groups"] in ([], [account.pw_gid])
        assert process["home"] == account.pw_dir
        assert os.stat(f"/proc/{process['pid']}").st_uid == account.pw_uid
    finally:
        running.finish()


def test_idle_cost(server):
    """An idle server sleeps: no CPU time worth mentioning over a second, in any of its processes."""
    running = server(SINK)
    running.get("/")
    running.client.close()
    pids = [running.process.pid, *descendants(running.process.pid)]

    def ticks():
        total = 0
        for pid in pids:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total

    time.sleep(0.5)
    before = ticks()
    time.sleep(1)
    assert ticks() - before <= 3
