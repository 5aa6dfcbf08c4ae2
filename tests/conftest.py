"""Fixtures of the end-to-end tests; the machinery is in harness.py."""

import os
import tempfile
from pathlib import Path

import pytest

from harness import REFERENCE, SINK, finish_all, start


def pytest_configure(config):
    config.addinivalue_line("markers", "ours: promised by this project only; skipped against a reference command")


def pytest_collection_modifyitems(items):
    if REFERENCE:
        for item in items:
            if item.get_closest_marker("ours"):
                item.add_marker(pytest.mark.skip(reason="not promised by the reference command"))


@pytest.fixture
def server(tmp_path):
    """Factory: server(app, *options, config=text, cwd=..., env=...) -> Server; every one is stopped and checked."""
    running = []

    def factory(app=SINK, *args, **kwargs):
        root = kwargs.pop("root", None) or tmp_path / f"root{len(running)}"
        running.append(start(app, *args, root=root, **kwargs))
        return running[-1]

    yield factory
    finish_all(running)


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    """The kitchen sink with default options, one server for a whole test module."""
    running = start(SINK, root=tmp_path_factory.mktemp("sink"))
    yield running
    finish_all([running])


@pytest.fixture
def script(tmp_path):
    """Factory: writes a WSGI script with the given source and returns its path."""

    def factory(source, name="app.wsgi"):
        path = tmp_path / name
        path.write_text(source)
        return path

    return factory


@pytest.fixture
def open_folder():
    """A temporary folder that other users can enter, for tests that drop privileges."""
    with tempfile.TemporaryDirectory(prefix="modwsgi-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def timed(tmp_path):
    """Factory: timed("threads=3 queue-timeout=1", extra configuration) -> Server with that WSGIDaemonProcess."""
    from timed import launch

    running = []

    def factory(*args, **kwargs):
        running.append(launch(tmp_path / f"timed{len(running)}", *args, **kwargs))
        running[-1].wait_ready()
        return running[-1]

    yield factory
    finish_all(running)
