"""Virtual hosts in a file given with --include-file beside the application of start-server."""

import pytest

from harness import free_port

pytestmark = pytest.mark.ours

WHO = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"@ at " + environ["SCRIPT_NAME"].encode()]
"""


@pytest.fixture
def site(server, script, tmp_path):
    """Factory: site(*options) serves main.wsgi, with two hosts, a port and a mount from an included file."""

    def factory(*options):
        for name in ("main", "other"):
            script(WHO.replace("@", name), f"{name}.wsgi")
        (tmp_path / "own").mkdir()
        (tmp_path / "own" / "file.txt").write_text("a file of the host")
        factory.port = free_port()
        return server(tmp_path / "main.wsgi", *options, config=f"""
Listen 127.0.0.1:{factory.port}
WSGIScriptAlias /everywhere {tmp_path}/other.wsgi
<Directory {tmp_path}>
    Require all granted
</Directory>
<VirtualHost *:@PORT@>
    ServerName files.example
    DocumentRoot {tmp_path}/own
</VirtualHost>
<VirtualHost *:@PORT@>
    ServerName other.example
    WSGIScriptAlias / {tmp_path}/other.wsgi
</VirtualHost>
""")

    return factory


def ask(running, host, path):
    answer = running.get(path, headers={"Host": host})
    return answer.text if answer.status_code == 200 else answer.status_code


def test_included_hosts_are_their_own(site):
    running = site()
    assert ask(running, "127.0.0.1", "/") == "main at "
    assert ask(running, "unknown.example", "/x") == "main at "
    assert ask(running, "files.example", "/file.txt") == "a file of the host"
    assert ask(running, "files.example", "/nothing") == 404
    assert ask(running, "other.example", "/x") == "other at "


def test_mounts_of_the_included_file_come_before_the_application(site):
    running = site()
    assert ask(running, "127.0.0.1", "/everywhere/x") == "other at /everywhere"
    assert ask(running, "files.example", "/everywhere") == "other at /everywhere"


def test_further_port_without_a_host_has_the_application(site):
    import httpx

    site()
    assert httpx.get(f"http://127.0.0.1:{site.port}/x", trust_env=False).text == "main at "


def test_with_a_server_name(site):
    running = site("--server-name", "main.example")
    assert ask(running, "main.example", "/") == "main at "
    assert ask(running, "files.example", "/nothing") == 404
    assert ask(running, "unknown.example", "/") == 403


def test_application_is_loaded_once(site):
    running = site("--log-level", "warn wsgi:info")
    assert ask(running, "127.0.0.1", "/") == "main at "
    assert "never reached" not in running.log()
