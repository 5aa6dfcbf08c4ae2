"""What happens after the set-up: the hand-over to the server, handler.wsgi, the reload
monitor, and how much the command imports on its way."""

import itertools
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import modwsgi_go
from modwsgi_go import _run
from modwsgi_go.express import handler, reloader, serve

SOURCE = str(Path(modwsgi_go.__file__).parent.parent)


@pytest.fixture
def served(monkeypatch):
    """Calls of run_server; it answers 0 at once. The environment is put back."""
    calls = []

    def run_server(*args):
        calls.append((args, os.getcwd(), dict(os.environ)))
        return served.code

    def served():
        return calls

    served.code = 0
    monkeypatch.setattr(_run, "run_server", run_server)
    saved = dict(os.environ)
    yield served
    os.environ.clear()
    os.environ.update(saved)


def test_start_server_hands_over_in_this_process(run, served):
    (run.folder / "work").mkdir()
    result = run("start-server", "app.wsgi", "--working-directory", "work")
    assert result.code == 0
    [((config, root, defines), folder, environ)] = served()
    assert config == str(result.root / "httpd.conf")
    assert root == str(result.root)
    assert defines == {"MOD_WSGI_USER": "www", "MOD_WSGI_GROUP": "web", "FOREGROUND": ""}
    assert folder == str(run.folder / "work")
    assert environ["MOD_WSGI_EXPRESS"] == "true"
    assert environ["LANG"] == "C.UTF-8"


def test_the_exit_code_is_that_of_the_server(run, served):
    served.code = 1
    assert run("start-server", "app.wsgi").code == 1


def test_ctrl_c_is_a_clean_end(run, served, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(_run, "run_server", interrupted)
    assert run("start-server", "app.wsgi").code == 0


def test_identity_from_the_environment(run, served, monkeypatch):
    monkeypatch.setenv("WSGI_RUN_USER", "other")
    run("start-server", "app.wsgi")
    assert served()[0][0][2]["MOD_WSGI_USER"] == "other"


@pytest.mark.parametrize("words", [["setup-server"], ["start-server", "--setup-only"]])
def test_setting_up_starts_nothing(run, served, words):
    assert run(words[0], "app.wsgi", *words[1:]).code == 0
    assert served() == []


def test_a_missing_working_directory(run, served):
    result = run("start-server", "app.wsgi", "--working-directory", "nowhere")
    assert result.code == 1
    assert "nowhere" in result.err


def test_an_envvars_file_makes_the_start_go_through_apachectl(run, served, monkeypatch):
    calls = []

    def execv(path, words):
        calls.append((path, words))
        raise SystemExit(0)

    monkeypatch.setattr(os, "execv", execv)
    run.file("root/envvars", "export A=1\n")
    result = run("start-server", "app.wsgi")
    path = str(result.root / "apachectl")
    assert calls == [(path, [path, "start", "-DFOREGROUND"])]


def test_startup_log(run, served, monkeypatch):
    paths = []
    monkeypatch.setattr(serve, "redirect_stderr", paths.append)
    run("start-server", "app.wsgi", "--startup-log", "--startup-log-name", "start")
    run("start-server", "app.wsgi", "--startup-log", "--log-to-terminal")
    assert paths == [str(run.folder / "root/start")]


def test_the_command_imports_little(tmp_path):
    """Start-up time is part of the time to the first response."""
    code = (
        f"import sys; sys.path.insert(0, {SOURCE!r})\n"
        "from modwsgi_go import _run\n"
        "_run.run_server = lambda *args: 0\n"
        "from modwsgi_go.express.main import main\n"
        f"main(['start-server', 'a.wsgi', '--port', '81', '--server-root', {str(tmp_path / 'r')!r}])\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    heavy = {"re", "optparse", "json", "typing", "dataclasses", "subprocess", "pathlib", "shutil", "importlib.metadata"}
    assert not heavy & loaded


# handler.wsgi


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An importable folder; modules that tests import from it are forgotten."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path, text):
    path.write_text(textwrap.dedent(text))
    return path


def test_script(folder):
    path = write(folder / "site.any", "def app(environ, start_response): return [__name__, __file__]")
    loaded = handler.ApplicationHandler(application_type="script", entry_point=str(path), callable_object="app")
    assert loaded.application({}, None) == ["__wsgi__", str(path)]
    assert sys.modules["__wsgi__"].app is loaded.application
    assert not loaded.reload_required("")
    os.utime(path, (1, 1))
    assert loaded.reload_required("")


def test_a_vanished_script_has_changed(folder):
    path = write(folder / "a.wsgi", "application = print")
    loaded = handler.ApplicationHandler(application_type="script", entry_point=str(path))
    path.unlink()
    assert loaded.reload_required("")


def test_module(folder):
    package = folder / "h7_package"
    package.mkdir()
    write(package / "__init__.py", "")
    path = write(package / "site.py", "def application(environ, start_response): return []")
    loaded = handler.ApplicationHandler(application_type="module", entry_point="h7_package.site")
    assert loaded.application({}, None) == []
    assert loaded.target == str(path)


def test_a_script_that_fails_leaves_no_module_behind(folder):
    path = write(folder / "a.wsgi", "raise ValueError('x')")
    with pytest.raises(ValueError, match="x"):
        handler.ApplicationHandler(application_type="script", entry_point=str(path))
    assert "__wsgi__" not in sys.modules


def test_the_generated_handler_exports_what_the_server_looks_for(run, folder):
    result = run("setup-server", "app.wsgi", "--reload-on-changes")
    names = {}
    text = result.read("handler.wsgi").replace("reload_on_changes=True", "reload_on_changes=False")
    exec(compile(text, "handler.wsgi", "exec"), names)
    assert callable(names["application"])
    assert names["reload_required"]("") is False
    del sys.modules["__wsgi__"]


# The reload monitor


def test_the_monitor_sees_changes_of_modules(folder, monkeypatch):
    monkeypatch.setattr(reloader, "_times", {})
    path = write(folder / "h7_module.py", "")
    __import__("h7_module")
    assert reloader.changed_file() is None
    os.utime(path, (1, 1))
    assert reloader.changed_file() == str(path)


def test_the_monitor_sees_registered_files_vanish(folder, monkeypatch):
    monkeypatch.setattr(reloader, "_times", {})
    monkeypatch.setattr(reloader, "_files", set())
    path = write(folder / "page.html", "")
    reloader.track_changes(str(path))
    assert reloader.changed_file() is None
    path.unlink()
    assert reloader.changed_file() == str(path)


def test_the_monitor_ends_the_process(folder):
    path = write(folder / "watched.txt", "")
    code = (
        f"import sys, time; sys.path.insert(0, {SOURCE!r})\n"
        "from modwsgi_go.express import reloader\n"
        f"reloader.track_changes({str(path)!r})\n"
        "reloader.start_reloader(0.05)\n"
        "time.sleep(20)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert "Starting change monitor." in process.stderr.readline()
    times = itertools.count(1)  # the first look only remembers; nothing tells from outside that it was
    while process.poll() is None:
        os.utime(path, (1, next(times)))
        time.sleep(0.1)
    err = process.communicate(timeout=15)[1].splitlines()
    assert process.returncode == -15
    assert err == [
        f'monitor (pid={process.pid}): Change detected to "{path}".',
        f"monitor (pid={process.pid}): Triggering process restart.",
    ]
