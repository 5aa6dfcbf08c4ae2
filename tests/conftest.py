"""Fixtures of the end-to-end tests; the machinery is in harness.py."""

import os
import tempfile
from pathlib import Path

import pytest

from harness import COMMAND, ENVIRON, FRONT, REFERENCE, SINK, Server, finish_all, free_port, start


def pytest_configure(config):
    config.addinivalue_line("markers", "ours: promised by this project only; skipped against a reference command")
    config.addinivalue_line("markers", "direct: about who accepts from clients; skipped behind a front process")


def pytest_collection_modifyitems(items):
    for item in items:
        if REFERENCE and item.get_closest_marker("ours"):
            item.add_marker(pytest.mark.skip(reason="not promised by the reference command"))
        if FRONT and item.get_closest_marker("direct"):
            item.add_marker(pytest.mark.skip(reason="clients are accepted by a front process in this run"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows what its servers said; their fixtures have not finished them yet."""
    report = yield
    if report.failed:
        report.sections += [(f"server of {one.root}", one.report()) for one in Server.started]
    if report.when == "teardown":
        Server.started[:] = [one for one in Server.started if one.process.poll() is None]
    return report


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


@pytest.fixture(scope="module")
def users():
    """Throw-away users by role, see tenants.py; skips where there can be none."""
    from tenants import accounts

    with accounts() as made:
        yield made


@pytest.fixture
def place(users):
    """A folder for a server with tenants, see tenants.py."""
    from tenants import site

    with site(users) as made:
        yield made


@pytest.fixture
def groups(tmp_path):
    """Factory: groups(configuration) runs a server as this user; @ROOT@ and @PORT@ stand for its folder and port.

    probe.wsgi in the folder runs the code that it is sent; .run(path, source) gives its result.
    """
    from tenants import PROBE, json_of

    running = []

    def factory(text, ready=True, env=None):
        port = free_port()
        (tmp_path / "probe.wsgi").write_text(PROBE)
        file = tmp_path / "httpd.conf"
        head = f"""\
ServerRoot {tmp_path}
ServerName localhost
Listen 127.0.0.1:{port}
ErrorLog {tmp_path}/error_log
LogLevel info
<Directory {tmp_path}>
    Require all granted
</Directory>
WSGIApplicationGroup %{{GLOBAL}}
"""

        def configure(text):
            file.write_text(head + text.replace("@ROOT@", str(tmp_path)).replace("@PORT@", str(port)))

        configure(text)
        server = Server([*COMMAND, "run-config", str(file)], tmp_path, port, str(tmp_path), {**ENVIRON, **(env or {})})
        running.append(server)
        server.configure = configure
        server.run = lambda path, source, **options: json_of(server.post(path, source.encode(), **options))
        if ready:
            server.wait_ready()
        return server

    yield factory
    finish_all(running)


@pytest.fixture
def site(server, tmp_path):
    """Factory: site(text of <Location /in>, **files) -> Server, see auth.py."""
    from auth import site_factory

    return site_factory(server, tmp_path)


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    """Authorities, certificates of hosts and of clients."""
    from certificates import Certificates

    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.authority("root")
    made.authority("middle", by="root")
    made.host("one.example", "localhost", "alias.example")
    made.host("two.example", key="rsa")
    made.host("one.example", key="rsa", file="one-rsa")
    made.host("three.example", by="middle")
    made.client("alice")
    made.client("carol")
    made.authority("elsewhere")
    made.client("mallory", by="elsewhere")
    made.revoke("crl.pem", "carol")
    return made


@pytest.fixture
def tls_site(tmp_path, certs):
    """Factory: a server with this configuration of TLS hosts."""
    from tls import APP, BEHIND, CONFIG, DIRECT, ONE

    running = []

    def factory(text=None, more="", more2="", groups=None, env=None, **files):
        root = tmp_path / f"site{len(running)}"
        groups = groups if groups is not None else BEHIND if FRONT else DIRECT
        root.mkdir()
        (root / "app.wsgi").write_text(APP)
        for name, content in files.items():
            (root / name).write_text(content)
        port, plain = free_port(), free_port()
        text = ONE if text is None else text
        text = (
            text.replace("@MORE@", more)
            .replace("@MORE2@", more2)
            .replace("@CERTS@", str(certs.folder))
            .replace("@PORT@", str(port))
            .replace("@ROOT@", str(root))
        )
        text = text.replace("@PLAIN@", str(plain))
        file = root / "httpd.conf"
        file.write_text(CONFIG.format(root=root, port=port, plain=plain, groups=groups, text=text))
        server = Server([*COMMAND, "run-config", str(file)], root, port, str(root), {**ENVIRON, **(env or {})})
        running.append(server)
        server.plain, server.file, server.certs = plain, file, certs
        server.wait_ready(plain)
        return server

    yield factory
    finish_all(running)
