"""`.htaccess` files over real sockets: what changes counts at once, whatever the file system says of it."""

import os

import pytest

pytestmark = pytest.mark.ours

APP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"application"]
"""


@pytest.fixture
def closed(server, script, tmp_path):
    """A server with a folder of files whose .htaccess counts, and the path of that."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.txt").write_text("a file")
    running = server(script(APP), config=f"""
Alias /files "{folder}"
<Directory "{folder}">
    Require all granted
    AllowOverride AuthConfig Options=Indexes
</Directory>
""")
    return running, folder / ".htaccess"


def test_every_change_counts_at_once(closed):
    running, access = closed
    assert running.get("/files/a.txt").text == "a file"
    for text, status in [("Require all denied \n", 403), ("Require all granted\n", 200)] * 5:
        access.write_text(text)
        assert running.get("/files/a.txt").status_code == status
    access.unlink()
    assert running.get("/files/a.txt").status_code == 200


def test_copy_with_the_same_time_and_size(closed):
    """What `cp -p` or `rsync --times` put there is another file."""
    running, access = closed
    access.write_text("Require all granted\n")
    times = access.stat().st_atime_ns, access.stat().st_mtime_ns
    for text, status in [("Require all granted\n", 200), ("Require all denied \n", 403)] * 2:
        access.write_text(text)
        os.utime(access, ns=times)
        assert running.get("/files/a.txt").status_code == status
        (access.parent / "new").write_text(text)
        os.utime(access.parent / "new", ns=times)
        (access.parent / "new").rename(access)
        assert running.get("/files/a.txt").status_code == status


@pytest.mark.parametrize("make", ["folder", "fifo", "dangling"])
def test_what_is_no_file_refuses(closed, make):
    running, access = closed
    if make == "folder":
        access.mkdir()
    elif make == "fifo":
        os.mkfifo(access)
    else:
        access.symlink_to("nowhere")
    answer = running.get("/files/a.txt")
    assert answer.status_code == (200 if make == "dangling" else 403)  # as in httpd: there is no such file
    if make != "dangling":
        running.wait_log("not a regular file")


@pytest.mark.parametrize("line", [
    "Options ExecCGI", "Options +FollowSymLinks", "SetHandler wsgi-script", "AllowOverride All",
    "WSGIScriptAlias /x /x", "Include /etc/hostname", "Define x y", "SecRuleEngine On", "RewriteEngine On",
    "php_value a", "ErrorDocument 403 ok", "<Directory />", "<Location />\nRequire all granted\n</Location>",
    "ProxyPass / http://127.0.0.1/", "LoadModule a b", "Require all granted\nNonsense",
    "<Files a.txt>\nSetHandler cgi-script\n</Files>", "<If true>\nOptions ExecCGI\n</If>",
])
def test_lines_beyond_the_override_refuse(closed, line):
    running, access = closed
    access.write_text(line + "\n")
    if line.startswith("php_value"):  # a notice: there is no PHP
        assert running.get("/files/a.txt").status_code == 200
        return
    assert running.get("/files/a.txt").status_code == 500
    running.wait_log(r"\.htaccess:\d+: ")
