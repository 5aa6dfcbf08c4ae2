"""--debug-mode and its tools: console, post-mortem debugger, profiler, coverage, recorder."""

import pstats
import re
import shutil
import subprocess
import threading

import httpx
import pytest

from harness import COMMAND, ENVIRON, alive, descendants, free_port, wait_for

pytestmark = pytest.mark.ours

SCRIPT = """
import os, sys

import mod_wsgi

print("loaded by", os.environ.get("MOD_WSGI_DEBUG_MODE"))

def busy():
    secret = 40 + 2
    return secret

def fail():
    secret = 40 + 2
    raise RuntimeError("stop here")

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fail":
        fail()
    if path == "/abort":
        os.abort()
    body = environ["wsgi.input"].read() or f"{busy()} [{mod_wsgi.process_group}] {environ['wsgi.multithread']}".encode()
    start_response("200 OK", [("Content-Length", str(len(body))), ("X-Answer", "yes")])
    if path == "/late":
        def late():
            yield body[:1]
            fail()
        return late()
    if path == "/ask":
        print("asked:", sys.stdin.readline().strip())
    return [body]
"""


@pytest.fixture
def console(tmp_path):
    """Factory: console(options) -> a server in debug mode whose standard input and output are pipes of the test."""
    running = []

    class Console:
        def __init__(self, *options):
            script = tmp_path / "app.wsgi"
            script.write_text(SCRIPT)
            self.port, self.text = free_port(), ""
            self.root = tmp_path / "root"
            command = [
                *COMMAND,
                "start-server",
                str(script),
                "--host",
                "127.0.0.1",
                "--port",
                str(self.port),
                "--server-root",
                str(self.root),
                *options,
            ]
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=ENVIRON,
                text=True,
                bufsize=0,
                start_new_session=True,
            )
            threading.Thread(target=self.read, daemon=True).start()
            self.until("Locale Setting")

        def read(self):
            while True:
                block = self.process.stdout.read(1)
                if not block:
                    return
                self.text += block

        def until(self, pattern):
            wait_for(lambda: re.search(pattern, self.text), 20, f"{pattern!r} in {self.text[-3000:]!r} {self.log()}")

        def log(self):
            path = self.root / "error_log"
            return path.read_text() if path.exists() else ""

        def say(self, text):
            self.process.stdin.write(text)
            self.process.stdin.flush()

        def request(self, path, **kwargs):
            transport = httpx.HTTPTransport(retries=20)  # the port is not open yet
            with httpx.Client(transport=transport, timeout=30) as client:
                return client.request("POST" if kwargs else "GET", f"http://127.0.0.1:{self.port}{path}", **kwargs)

        def stop(self):
            if self.process.poll() is None:
                self.process.terminate()
            return self.process.wait(20)

    def factory(*options):
        running.append(Console(*options))
        return running[-1]

    yield factory
    for one in running:
        assert one.stop() == 0


def test_console(console):
    """One process; print() shows on the command's output, and input() reads its input."""
    one = console("--debug-mode")
    assert "Operating Mode     : debug" in one.text
    assert one.request("/").text == "42 [] False"
    one.until("loaded by true")
    assert len(descendants(one.process.pid)) == 1
    one.say("an answer\n")
    assert one.request("/ask").status_code == 200
    one.until("asked: an answer")


def test_post_mortem_debugger(console):
    one = console("--enable-debugger")
    answers = []
    asking = threading.Thread(target=lambda: answers.append(one.request("/fail")), daemon=True)
    asking.start()
    one.until(r"RuntimeError: stop here")
    one.until(r"\(Pdb\) $")
    one.say("p secret * 1000\n")
    one.until("42000")
    one.say("up\n")
    one.until(r"-> fail\(\)")
    assert not answers, "the request waits while the debugger asks"
    one.say("c\n")
    asking.join(20)
    assert answers[0].status_code == 500
    wait_for(lambda: "RuntimeError: stop here" in one.log(), 10, "the traceback in the log")
    one.text = ""

    def cut():
        with pytest.raises(httpx.HTTPError):
            one.request("/late")

    asking = threading.Thread(target=cut, daemon=True)
    asking.start()
    one.until(r"\(Pdb\) $")
    one.say("q\n")
    asking.join(20)
    assert one.request("/").text == "42 [] False"


def test_debugger_at_the_start(console):
    one = console("--enable-debugger", "--debugger-startup")
    asking = threading.Thread(target=lambda: one.request("/"), daemon=True)
    asking.start()
    one.until(r"\(Pdb\) $")
    one.say("p application.application.__name__\n")
    one.until("'application'")
    one.say("c\n")
    asking.join(20)
    assert one.request("/").text == "42 [] False"


def test_profiler(console):
    one = console("--enable-profiler")
    one.until("Profiler Output")
    for _ in range(3):
        one.request("/")
    assert one.stop() == 0
    files = list((one.root / "pstats").iterdir())
    assert len(files) == 1 and re.fullmatch(r"\d+-\d+\.pstats", files[0].name)
    calls = {key[2]: value[1] for key, value in pstats.Stats(str(files[0])).stats.items()}
    assert calls["application"] == 3 and calls["busy"] == 3


def test_coverage(console):
    pytest.importorskip("coverage")
    one = console("--enable-coverage")
    one.request("/")
    assert one.stop() == 0
    page = one.root / "htmlcov" / "index.html"
    assert "app.wsgi" in page.read_text()
    source = next(path for path in (one.root / "htmlcov").glob("*app_wsgi*.html")).read_text()
    assert re.search(r'class="run".*?secret', source), "busy() has run"
    assert re.search(r'class="mis.*?RuntimeError', source), "fail() has not"


def test_recorder(console, tmp_path):
    one = console("--enable-recorder", "--recorder-directory", str(tmp_path / "kept"))
    assert one.request("/x?y=1", content=b"the body").text == "the body"
    assert one.request("/fail").status_code == 500
    with pytest.raises(httpx.HTTPError):
        one.request("/late")
    files = {
        path.name.partition(".")[0].rsplit("-", 1)[1] + "." + path.suffix[1:]: path
        for path in (tmp_path / "kept").iterdir()
    }
    assert "'PATH_INFO': '/x'" in files["1.iheaders"].read_text()
    assert files["1.icontent"].read_bytes() == files["1.ocontent"].read_bytes() == b"the body"
    assert "'X-Answer', 'yes'" in files["1.oheaders"].read_text() and "200 OK" in files["1.oheaders"].read_text()
    assert "RuntimeError: stop here" in files["2.oaexcept"].read_text() and "2.oheaders" not in files
    assert "RuntimeError: stop here" in files["3.orexcept"].read_text() and files["3.ocontent"].read_bytes() == b"4"
    assert not [name for name in files if name.startswith("1.o") and name.endswith("except")]


def test_debugger_startup_needs_the_debugger(tmp_path):
    command = [*COMMAND, "setup-server", "--server-root", str(tmp_path / "root"), "--debugger-startup"]
    answer = subprocess.run(command, capture_output=True, text=True, env=ENVIRON, timeout=30)
    assert answer.returncode == 2 and "requires --enable-debugger" in answer.stderr


@pytest.mark.timeout(120)
def test_gdb(console):
    """The process of the application stops in gdb when it crashes; the server ends with gdb."""
    if not shutil.which("gdb"):
        pytest.skip("needs gdb")
    one = console("--enable-gdb")
    assert "Operating Mode     : debug" in one.text
    wait_for(lambda: answers(one.port), 60, "an answer")
    crash = threading.Thread(target=lambda: answers(one.port, "/abort"), daemon=True)
    crash.start()
    wait_for(lambda: "received signal SIGABRT" in one.text, 60, "gdb's word")
    pids = descendants(one.process.pid)
    assert len(pids) >= 2, "gdb and the process of the application"
    one.say("kill\nquit\n")
    one.process.wait(30)
    crash.join(30)
    wait_for(lambda: not any(alive(pid) for pid in pids), 20, "the end of both")
    wait_for(lambda: not answers(one.port), 20, "the end of the supervisor")


def answers(port, path="/"):
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_gdb_that_is_not_there(tmp_path):
    script = tmp_path / "app.wsgi"
    script.write_text(SCRIPT)
    done = subprocess.run([*COMMAND, "setup-server", str(script), "--server-root", str(tmp_path / "r"), "--enable-gdb",
                           "--gdb-executable", "no-such-gdb"], capture_output=True, text=True, env=ENVIRON, timeout=30)
    assert done.returncode == 1 and "needs no-such-gdb, which is not here" in done.stderr
