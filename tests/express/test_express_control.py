"""apachectl, and the httpd arguments behind it; a fake stands for the Go core."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import modwsgi_go
from modwsgi_go.express import control, scripts

SOURCE = str(Path(modwsgi_go.__file__).parent.parent)


def shells():
    """The shells of this machine that a control script may be run by."""
    return [path for path in map(shutil.which, ("dash", "bash", "busybox")) if path]


@pytest.fixture
def apachectl(run):
    """Runs the generated script with a PYTHON that prints what it was asked to do."""

    def call(*words, options=(), env=None):
        result = run("setup-server", "app.wsgi", *options)
        script = result.root / "apachectl"
        fake = run.folder / "fake python"
        fake.write_text('#!/bin/sh\npwd\nprintf "%s\\n" "$@"\nenv\n')
        fake.chmod(0o755)
        text = script.read_text().replace(scripts.shell_quote(sys.executable), scripts.shell_quote(str(fake)))
        script.write_text(text)
        done = subprocess.run(
            [script, *words],
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], **(env or {})},
            check=True,
        )
        return done.stdout.splitlines()

    return call


AWKWARD = ("--python-path", "a'b $(touch owned) `id`", "--server-name", "x'y", "--setenv", "A", '\\ " !#')


@pytest.mark.parametrize("options", [(), AWKWARD, ("--log-to-terminal", "--startup-log")])
def test_the_script_is_good_shell(run, options):
    script = run("setup-server", "app.wsgi", *options).root / "apachectl"
    assert os.access(script, os.X_OK)
    for shell in shells():
        words = [shell, "sh", "-n"] if shell.endswith("busybox") else [shell, "-n"]
        subprocess.run([*words, script], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", script], check=True)


def test_second_comment_line_is_the_command(run):
    text = run("setup-server", "app.wsgi", "--port", "8001").read("apachectl")
    assert "'setup-server'" in text.splitlines()[2]
    assert text.splitlines()[2].startswith("# [")


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "graceful", "graceful-stop"])
def test_verbs_become_httpd_arguments(apachectl, run, verb):
    lines = apachectl(verb, "-DFOREGROUND")
    assert lines[0] == str(run.folder / "root")
    assert lines[1:3] == ["-m", "modwsgi_go.express.control"]
    words = lines[3 : lines.index("-DFOREGROUND") + 1]
    assert words[-3:] == ["-k", verb, "-DFOREGROUND"]
    assert words[:2] == ["-f", str(run.folder / "root/httpd.conf")]
    assert words[words.index("-C") + 1] == str(run.folder)
    assert words[words.index("-P") + 1] == str(run.folder / "root/httpd.pid")
    assert words[words.index("-L") + 1] == str(run.folder / "root/error_log")
    assert "-E" not in words


def test_other_words(apachectl):
    assert "-t" in apachectl("configtest")
    assert "-S" in apachectl("-S")
    assert "-h" in apachectl()
    assert "webbrowser" in apachectl("status")


def test_environment_of_the_server(apachectl, run):
    lines = apachectl("start", options=["--server-name", "example.com", "--server-alias", "a b", "--port", "81"])
    for line in (
        "MOD_WSGI_EXPRESS=true",
        f"MOD_WSGI_SERVER_ROOT={run.folder}/root",
        "MOD_WSGI_SERVER_NAME=example.com",
        "MOD_WSGI_SERVER_ALIASES=a b",
        "MOD_WSGI_LISTENER_HOST=localhost",
        "MOD_WSGI_HTTP_PORT=81",
        "MOD_WSGI_HTTPS_PORT=None",
        f"MOD_WSGI_WORKING_DIRECTORY={run.folder}",
        "MOD_WSGI_USER=www",
        "MOD_WSGI_GROUP=web",
        "LC_ALL=C.UTF-8",
    ):
        assert line in lines


def test_identity_from_the_environment_beats_the_options(apachectl):
    assert "MOD_WSGI_USER=other" in apachectl("start", env={"WSGI_RUN_USER": "other"})
    lines = apachectl("start", env={"WSGI_RUN_USER": "other", "MOD_WSGI_USER": "third"})
    assert "MOD_WSGI_USER=third" in lines


def test_the_envvars_script_is_sourced(apachectl, run):
    script = run.file("vars it's.sh", "export FROM_SCRIPT=yes PORT_NOW=$MOD_WSGI_HTTP_PORT\n")
    lines = apachectl("start", options=["--envvars-script", script])
    assert "FROM_SCRIPT=yes" in lines
    assert "PORT_NOW=8000" in lines


def test_envvars_of_the_user_are_kept(run):
    run.file("root/envvars", "export A=1\n")
    assert run("setup-server", "app.wsgi").read("envvars") == "export A=1\n"


# The httpd command.


@pytest.fixture
def httpd(tmp_path):
    """Runs modwsgi_go.express.control with a core that sleeps or fails as told."""
    (tmp_path / "httpd.conf").write_text("")
    fake = tmp_path / "fake.py"
    fake.write_text(
        "import os, sys, time\n"
        f"sys.path.insert(0, {SOURCE!r})\n"
        "from modwsgi_go import _run\n"
        "from modwsgi_go.express import control\n"
        "def run_server(config_file, server_root, defines):\n"
        "    if os.environ.get('FAIL'):\n"
        "        print('it failed', file=sys.stderr, flush=True)\n"
        "        return 1\n"
        "    print('defines', sorted(defines), os.getcwd(), file=sys.stderr, flush=True)\n"
        "    if 'FOREGROUND' in defines:\n"
        "        return 0\n"
        "    time.sleep(0.2)\n"
        "    with open(server_root + '/httpd.pid', 'w') as file:\n"
        "        file.write(f'{os.getpid()}\\n')\n"
        "    time.sleep(30)\n"
        "_run.run_server = run_server\n"
        "sys.exit(control.main())\n"
    )
    started = []

    def call(*words, **env):
        command = [sys.executable, fake, "-f", tmp_path / "httpd.conf", "-C", "/", "-L", tmp_path / "error_log"]
        done = subprocess.run(
            [*command, *words], capture_output=True, text=True, env={**os.environ, **env}, timeout=20, check=False
        )
        pid = control.read_pid(str(tmp_path / "httpd.pid"))
        if pid:
            started.append(pid)
        return done.returncode, done.stdout, done.stderr

    call.folder = tmp_path
    yield call
    for pid in set(started):
        if b"fake.py" in _command_line(pid):
            os.kill(pid, signal.SIGKILL)


def _command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_start_in_the_background_and_stop(httpd):
    # The pipes of the caller must not stay open: subprocess.run waits for their end.
    before = time.monotonic()
    assert httpd("-k", "start", "-DMORE") == (0, "", "")
    assert time.monotonic() - before < 15
    pid = control.read_pid(str(httpd.folder / "httpd.pid"))
    assert control.is_running(pid)
    assert (httpd.folder / "error_log").read_text() == "defines ['MORE'] /\n"
    assert httpd("-k", "start") == (0, f"httpd (pid {pid}) already running\n", "")
    assert httpd("-k", "stop") == (0, "", "")
    for _ in range(100):
        if not _command_line(pid):
            break
        time.sleep(0.05)
    assert not _command_line(pid)
    assert httpd("-k", "stop") == (0, f"httpd (pid {pid}?) not running\n", "")


def test_a_failed_start_is_shown(httpd):
    (httpd.folder / "error_log").write_text("of yesterday\n")
    assert httpd("-k", "start", FAIL="1") == (1, "", "it failed\n")


def test_start_in_the_foreground(httpd):
    code, _, err = httpd("-k", "start", "-DFOREGROUND")
    assert code == 0
    assert "FOREGROUND" in err
    assert httpd("-k", "start", "-D", "FOREGROUND", "-E", httpd.folder / "startup") == (0, "", "")
    assert "FOREGROUND" in (httpd.folder / "startup").read_text()


def test_signals_to_a_server_that_is_not_there(httpd):
    for verb in ("stop", "graceful-stop"):
        assert httpd("-k", verb) == (0, "httpd (no pid file) not running\n", "")
    code, out, _ = httpd("-k", "graceful", "-DFOREGROUND")
    assert (code, out) == (0, "httpd not running, trying to start\n")


@pytest.mark.parametrize("content", ["", "0", "-1", "many", "99999999"])
def test_odd_pid_files_never_signal_anybody(httpd, content):
    (httpd.folder / "httpd.pid").write_text(content)
    code, out, _ = httpd("-k", "stop")
    assert code == 0
    assert "not running" in out


@pytest.mark.parametrize("words", [["-x"], ["-k"], ["-k", "jump"], ["word"], ["-"]])
def test_wrong_arguments(httpd, words):
    code, out, err = httpd(*words)
    assert (code, out) == (1, "")
    assert err.startswith("Usage:")


def test_help_and_version(httpd):
    assert httpd("-h")[:2][1].startswith("Usage:")
    assert httpd("-v") == (0, f"Server version: modwsgi-go/{modwsgi_go.__version__}\n", "")
