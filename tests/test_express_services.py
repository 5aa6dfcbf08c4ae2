"""--service-script, --enable-telemetry, --enable-docs: what the command runs and serves beside the application."""

import importlib.util
import os
import signal
import tempfile
from pathlib import Path

import httpx
import pytest

from harness import COMMAND, ENVIRON, SINK, alive, finish_all, free_port, start, wait_for

pytestmark = pytest.mark.ours
TELEMETRY = importlib.util.find_spec("mod_wsgi") and importlib.util.find_spec("mod_wsgi.telemetry")

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


def test_docs(server):
    running = server(None, "--enable-docs")
    assert running.get("/__wsgi__/docs").status_code == 301
    page = running.get("/__wsgi__/docs/")
    assert page.headers["content-type"].startswith("text/html") and "mod_wsgi-express start-server" in page.text
    assert "--maximum-requests-jitter" in running.get("/__wsgi__/docs/options.html").text
    assert "WSGIScriptAlias" in running.get("/__wsgi__/docs/directives.html").text
    assert "/__wsgi__/docs/" in running.get("/").text, "the page of a server without application names them"


@pytest.mark.skipif(not TELEMETRY, reason="needs the package mod_wsgi-telemetry")
def test_telemetry(script):
    """--enable-telemetry runs the service of the package, which hears of the processes."""
    path = script("def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'ok']\n")
    ui = free_port()
    with tempfile.TemporaryDirectory(prefix="tm") as folder:  # the name of a socket is short
        running = start(path, "--enable-telemetry", "--telemetry-ui-port", ui, "--telemetry-interval", "0.5",
                        root=Path(folder, "root"))
        try:
            assert running.get("/").text == "ok"
            wait_for(lambda: answers(f"http://127.0.0.1:{ui}/"), 20, "the service's page")
            assert Path(running.root, "telemetry.sock").is_socket()
        finally:
            finish_all([running])


def answers(url):
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
