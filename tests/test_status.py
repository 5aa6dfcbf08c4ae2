"""server-status and server-info over several processes."""

import re

import pytest

from harness import wait_for

pytestmark = pytest.mark.ours

APP = """
import os, time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(4)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""
CONFIG = """
<Location /server-status>
    SetHandler server-status
    Require local
</Location>
<Location /server-info>
    SetHandler server-info
    Require local
</Location>
"""


def status(running):
    lines = running.get("/server-status?auto").text.splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


@pytest.mark.direct
def test_status_of_all_processes(server, script):
    running = server(script(APP), "--processes", "2", "--threads", "3", config=CONFIG)
    wait_for(lambda: status(running)["Processes"] == "2", 10, "both processes")
    before = int(status(running)["Total Accesses"])
    for _ in range(5):
        running.get("/")
    now = wait_for(lambda: (s := status(running)) and int(s["Total Accesses"]) >= before + 5 and s, 5, "five requests")
    assert now["IdleWorkers"] == "6" and now["BusyWorkers"] == "0" and now["Scoreboard"] == "______"
    assert int(now["Total kBytes"]) >= 0 and float(now["CPUUser"]) > 0 and now["ConnsTotal"] != "0"


@pytest.mark.direct
def test_requests_in_progress(server, script):
    running = server(script(APP), config=CONFIG)
    with running.conn(timeout=10) as conn:
        conn.send(b"GET /slow?a&b HTTP/1.1\r\nHost: x\r\n\r\n")
        page = wait_for(
            lambda: (text := running.get("/server-status").text) and "/slow" in text and text, 5, "the request"
        )
        assert "GET /slow?a&amp;b HTTP/1.1" in page
        assert re.search(r"<pre>W____</pre>", page), page
        assert "/slow" in running.get("/server-status?notable").text
        assert status(running)["BusyWorkers"] == "1"
        conn.response()
    wait_for(lambda: status(running)["BusyWorkers"] == "0", 5, "an idle server")
    assert running.get("/server-status?refresh=7").headers["refresh"] == "7"
    assert running.post("/server-status").status_code == 405


def test_totals_survive_a_reload(server, script, tmp_path):
    path = script(APP)
    running = server(path, config=CONFIG)
    pid = running.get("/").text
    for _ in range(20):
        running.get("/")
    path.write_text(APP + "\n# changed\n")
    wait_for(lambda: running.get("/").text != pid, 10, "another process")
    wait_for(lambda: int(status(running)["Total Accesses"]) > 20, 5, "the totals")


def test_extended_status_off(server, script):
    running = server(script(APP), config=CONFIG + "ExtendedStatus Off\n")
    assert "Total Accesses" not in status(running) and "IdleWorkers" in status(running)


def test_server_info(server, script):
    page = server(script(APP), config=CONFIG).get("/server-info").text
    assert "status_module" in page and "SetHandler server-status" in page and "test-include.conf" in page
