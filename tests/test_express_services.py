"""--service-script and its like: scripts of the command that run in processes of their own."""

import os
import signal

import pytest

from harness import COMMAND, ENVIRON, SINK, alive, wait_for

pytestmark = pytest.mark.ours

SERVICE = """
import os, sys, time

with open(os.path.join(os.path.dirname(__file__), "notes"), "a") as file:
    print(os.getpid(), os.getcwd(), file=file)
print("service says hello")
while True:
    time.sleep(0.05)
"""


@pytest.mark.parametrize("options", [[], ["--embedded-mode"]])
def test_service_runs_beside_the_application(server, script, tmp_path, options):
    path = script(SERVICE, "job.py")
    running = server(
        SINK, "--service-script", "job", path, "--working-directory", tmp_path, "--service-user", "none", "x", *options
    )
    notes = tmp_path / "notes"
    wait_for(lambda: notes.exists() and notes.read_text(), 15, "the service")
    pid, cwd = notes.read_text().split()
    assert cwd == str(tmp_path) and int(pid) != running.worker()
    running.wait_log(r"service says hello$")
    assert running.get("/").status_code == 200
    os.kill(int(pid), signal.SIGKILL)
    wait_for(lambda: len(notes.read_text().splitlines()) == 2, 15, "its successor")
    running.stop()
    assert not alive(int(notes.read_text().split()[2]))


def test_log_of_its_own(server, script, tmp_path):
    path = script(SERVICE, "job.py")
    running = server(SINK, "--service-script", "job", path, "--service-log-file", "job", "job_log")
    log = tmp_path / "root0" / "job_log"
    wait_for(lambda: log.exists() and "service says hello" in log.read_text(), 15, "its log")
    assert "service says hello" not in running.log()
    assert running.get("/").status_code == 200
    assert running.get("/", headers={"Host": "service-job.invalid"}).status_code == 403


@pytest.mark.parametrize("name", ["", "with blank", 'a"b', "\u00e9"])
def test_names(tmp_path, name):
    import subprocess

    command = [*COMMAND, "setup-server", "--server-root", str(tmp_path / "root"), "--service-script", name, "x.py"]
    answer = subprocess.run(command, capture_output=True, text=True, env=ENVIRON, timeout=30)
    assert answer.returncode == 2 and "--service-script: the name" in answer.stderr
