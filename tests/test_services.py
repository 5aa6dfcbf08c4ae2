"""Process groups with threads=0: scripts of WSGIImportScript that run as programs of their own."""

import os
import signal

import pytest

from harness import COMMAND, ENVIRON, Server, alive, finish_all, free_port, wait_for

pytestmark = pytest.mark.ours

CONFIG = """\
ServerRoot @ROOT@
ServerName localhost
Listen 127.0.0.1:@PORT@
ErrorLog @ROOT@/error_log
LogLevel info
<Directory @ROOT@>
    Require all granted
</Directory>
WSGIScriptAlias / @ROOT@/app.wsgi
"""

APP = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""

NOTE = """\
import os, sys
def note(*words):
    with open({path!r}, "a") as file:
        print(os.getpid(), *words, file=file, flush=True)
"""


@pytest.fixture
def service(tmp_path):
    """Factory: service(source, options, configuration) runs a server with a service script, which .notes()."""
    running = []

    def factory(source, options="", extra=None):
        port = free_port()
        file = tmp_path / "httpd.conf"
        (tmp_path / "app.wsgi").write_text(APP)
        (tmp_path / "job.py").write_text(NOTE.format(path=str(tmp_path / "notes")) + source)
        text = CONFIG + f"WSGIDaemonProcess job threads=0 {options}\n"
        if extra is None:
            extra = "WSGIImportScript @ROOT@/job.py process-group=job application-group=%{GLOBAL}\n"
        file.write_text((text + extra).replace("@ROOT@", str(tmp_path)).replace("@PORT@", str(port)))
        server = Server([*COMMAND, "run-config", str(file)], tmp_path, port, str(tmp_path), ENVIRON)
        running.append(server)
        server.wait_ready()
        server.notes = lambda: (tmp_path / "notes").read_text().splitlines() if (tmp_path / "notes").exists() else []
        return server

    yield factory
    finish_all(running)


def noted(server, count=1):
    """The first lines that the script noted, as lists of words."""
    wait_for(lambda: len(server.notes()) >= count, 10, f"{count} notes: {server.notes()}")
    return [line.split() for line in server.notes()[:count]]


def test_runs_on_the_main_thread_until_sigterm(service):
    server = service("""\
import atexit, signal, threading, time
atexit.register(note, "atexit")
note("runs", threading.current_thread() is threading.main_thread(), signal.getsignal(signal.SIGTERM).__name__)
try:
    time.sleep(3600)
except SystemExit as error:
    note("SystemExit", error.code)
    raise
finally:
    note("finally")
""")
    pid, *words = noted(server)[0]
    assert words == ["runs", "True", "leave"]
    assert server.get("/").text == "hello"
    assert server.stop() == 0
    assert server.notes()[1:] == [f"{pid} SystemExit 0", f"{pid} finally", f"{pid} atexit"]
    assert "Traceback" not in server.log()


def test_respawned_when_it_returns(service):
    server = service("note('runs')\n")
    pids = [words[0] for words in noted(server, 3)]
    assert len(set(pids)) == 3
    server.wait_log(r"process 'job' \(pid \d+\) exited with code 0; restarting in 100ms")


def test_an_exception_is_logged_and_the_next_start_waits_longer(service):
    server = service("note('runs')\nraise RuntimeError('broken job')\n")
    noted(server, 2)
    server.wait_log("RuntimeError: broken job")
    server.wait_log(r"process 'job' \(pid \d+\) exited with code 1; restarting in 200ms")


def test_signal_handlers_of_its_own(service):
    server = service("""\
import signal, time
def wake(number, frame):
    note("signal", number)
signal.signal(signal.SIGHUP, wake)
signal.signal(signal.SIGTERM, lambda *_: (note("own end"), sys.exit(3)))
note("runs")
while True:
    time.sleep(60)
""")
    pid = int(noted(server)[0][0])
    os.kill(pid, signal.SIGHUP)
    assert noted(server, 2)[1] == [str(pid), "signal", str(int(signal.SIGHUP))]
    assert server.stop() == 0
    assert server.notes()[2] == f"{pid} own end"


def test_signals_without_handlers(service):
    server = service("import time\nnote('runs')\ntime.sleep(3600)\n")
    pid = int(noted(server)[0][0])
    os.kill(pid, signal.SIGHUP)  # means nothing
    os.kill(pid, signal.SIGUSR1)  # lets other processes be replaced
    second = int(noted(server, 2)[1][0])
    assert second != pid
    os.kill(second, signal.SIGKILL)
    noted(server, 3)


def test_restart_runs_one_at_a_time(service):
    server = service("""\
import time
note("begins")
try:
    time.sleep(3600)
finally:
    time.sleep(0.3)
    note("ends")
""")
    first = noted(server)[0][0]
    server.send_signal(signal.SIGUSR1)
    lines = noted(server, 3)
    assert [words[1] for words in lines] == ["begins", "ends", "begins"]
    assert lines[0][0] == lines[1][0] == first != lines[2][0]
    server.send_signal(signal.SIGHUP)
    lines = noted(server, 5)
    assert [words[1] for words in lines] == ["begins", "ends", "begins", "ends", "begins"]


def test_stubborn_script_is_killed(service):
    server = service(
        """\
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
note("runs")
time.sleep(3600)
""",
        "shutdown-timeout=1",
    )
    pid = int(noted(server)[0][0])
    assert server.stop() == 0
    wait_for(lambda: not alive(pid), 5, "the end of the script")
    assert "sending SIGKILL" in server.log()


def test_several_processes_and_scripts_in_order(service, tmp_path):
    (tmp_path / "second.py").write_text("import time\nnote('second')\ntime.sleep(3600)\n")
    server = service(
        "import builtins\nbuiltins.note = note\nnote('first')\n",
        "processes=2",
        "WSGIImportScript @ROOT@/job.py process-group=job application-group=%{GLOBAL}\n"
        "WSGIImportScript @ROOT@/second.py process-group=job application-group=%{GLOBAL}\n",
    )
    by_pid = {}
    for pid, word in noted(server, 4):
        by_pid.setdefault(pid, []).append(word)
    assert list(by_pid.values()) == [["first", "second"]] * 2


def test_output_goes_to_the_error_log(service):
    service("print('printed by the job')\nimport time\ntime.sleep(3600)\n").wait_log("printed by the job")


def test_no_script_and_requests(service):
    server = service("", extra="<Location /job>\n    WSGIProcessGroup job\n</Location>\n")
    assert server.get("/job").status_code == 503
    server.wait_log("WSGI0342: process group .job. has threads=0")
    assert server.get("/").text == "hello"
    assert "has threads=0, and no script to run" in server.log()
