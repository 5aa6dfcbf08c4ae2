"""The fixture `run`: mod_wsgi-express in the test's own process, and what it said."""

import os
from pathlib import Path

import pytest

from modwsgi_go.express import main

# Options that make the output the same on every machine.
FIXED = ("--user", "www", "--group", "web", "--locale", "C.UTF-8")


class Result:
    """Exit code and output of one command, and the server root it wrote."""

    def __init__(self, code, out, err, root):
        self.code, self.out, self.err, self.root = code, out, err, root

    def read(self, name="httpd.conf"):
        """The text of a generated file."""
        return (self.root / name).read_text()

    def lines(self):
        """The banner as a dict."""
        return dict((part.strip() for part in line.split(":", 1)) for line in self.out.splitlines() if ":" in line)


class Runner:
    """Callable: runner("setup-server", *options); paths are relative to folder."""

    def __init__(self, folder: Path, capsys):
        self.folder, self.capsys = folder, capsys

    def __call__(self, command, *words):
        root = self.folder / "root"
        self.capsys.readouterr()
        try:
            code = main.main([command, "--server-root", str(root), *FIXED, *words])
        except SystemExit as end:
            code = end.code
        captured = self.capsys.readouterr()
        return Result(code, captured.out, captured.err, root)

    def file(self, name, text=""):
        """Makes a file in the folder; returns its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A Runner in an empty folder that holds app.wsgi, with a bare environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("MOD_WSGI_USER", "MOD_WSGI_GROUP", "WSGI_RUN_USER", "WSGI_RUN_GROUP"):
        monkeypatch.delenv(name, raising=False)
    runner = Runner(Path(os.getcwd()), capsys)
    runner.file("app.wsgi", "def application(environ, start_response): ...\n")
    return runner
