"""`.htaccess` files over real sockets: what changes counts at once, whatever the file system says of it."""

import http.client
import os
import shutil
import subprocess
import time

import pytest

from harness import descendants, wait_for

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


@pytest.fixture(params=[1, 2], ids=["one process", "two processes"])
def release(request, server, script, tmp_path):
    """A server whose folder is a symbolic link to one of two releases, and what changes it."""
    for name in ("one", "two"):
        (tmp_path / name / "deep" / "er").mkdir(parents=True)
        (tmp_path / name / "deep" / "er" / "a.txt").write_text("a file")
    current = tmp_path / "current"
    current.symlink_to("one")
    running = server(script(APP), "--processes", str(request.param), config=f"""
Alias /files "{current}"
<Directory "{current}">
    Require all granted
    AllowOverride All
</Directory>
""")
    return running, current


def connections(running, count=4):
    """Connections that stay open, over several processes where there are some."""
    made = [http.client.HTTPConnection("127.0.0.1", running.port, timeout=20) for _ in range(count)]
    for connection in made:
        assert status(connection) == 200
    return made


def status(connection, path="/files/deep/er/a.txt"):
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def switch(link, target):
    """What deployments do: another link takes the place of the old one."""
    new = link.with_name("next")
    new.symlink_to(target)
    new.rename(link)


def test_each_kind_of_change_counts_for_the_next_request(release):
    """Two hundred changes, with requests on open connections that follow at once."""
    running, current = release
    made = connections(running)
    denied, granted = "Require all denied\n", "Require all granted\n"
    folder = current.resolve() / "deep"
    access, spare = folder / ".htaccess", folder / "spare"

    def replace(text):
        spare.write_text(text)
        spare.rename(access)

    def in_place(text):
        with access.open("r+") as file:
            file.truncate()
            file.write(text)

    def move(source, target):
        source.rename(target)

    steps = [
        (lambda: access.write_text(denied), 403),
        (lambda: in_place(granted), 200),
        (lambda: replace(denied), 403),
        (lambda: move(access, spare), 200),
        (lambda: move(spare, access), 403),
        (access.unlink, 200),
        (lambda: access.symlink_to(folder / "er" / "rules"), 200),
        (lambda: (folder / "er" / "rules").write_text(denied), 403),
        (lambda: (folder / "er" / "rules").write_text(granted), 200),
        (lambda: (folder / "er" / "rules").write_text("Nonsense\n"), 500),
        (access.unlink, 200),
        (lambda: (folder / "er" / ".htaccess").write_text(denied), 403),
        (lambda: (folder / "er" / ".htaccess").unlink(), 200),
        (lambda: replace(denied), 403),
        (lambda: os.link(access, folder / "same"), 403),
        (lambda: (folder / "same").write_text(granted), 200),
        (lambda: (folder / "same").unlink(), 200),
        (access.unlink, 200),
        (access.mkdir, 403),
        (access.rmdir, 200),
    ]
    for turn in range(10):
        for number, (change, expected) in enumerate(steps):
            change()
            connection = made[(turn + number) % len(made)]
            assert status(connection) == expected, (turn, number)
            assert status(made[number % len(made)]) == expected, (turn, number, "another connection")
        (folder / "er" / "rules").unlink()


def test_switched_release_counts_for_the_next_request(release):
    running, current = release
    (current.with_name("two") / ".htaccess").write_text("Require all denied\n")
    made = connections(running)
    for turn in range(100):
        connection = made[turn % len(made)]
        switch(current, "two")
        assert status(connection) == 403, turn
        switch(current, "one")
        assert status(connection) == 200, turn


def test_renamed_folders_count_for_the_next_request(release):
    running, current = release
    one, two, away = current.resolve(), current.with_name("two"), current.with_name("away")
    (two / "deep" / ".htaccess").write_text("Require all denied\n")
    made = connections(running)
    for turn in range(50):
        connection = made[turn % len(made)]
        one.rename(away)
        two.rename(one)
        assert status(connection) == 403, turn
        one.rename(two)
        away.rename(one)
        assert status(connection) == 200, turn
        (one / "deep").rename(one / "old")
        (two / "deep").rename(one / "deep")
        assert status(connection) == 403, turn
        (one / "deep").rename(two / "deep")
        (one / "old").rename(one / "deep")
        assert status(connection) == 200, turn


def test_permissions_count_for_the_next_request(release):
    """The server may be root, for whom there are none: what counts is that it looks."""
    running, current = release
    made = connections(running, 1)
    access = current / ".htaccess"
    for mode in (0o600, 0o644) * 5:
        access.write_text("Require all denied\n")
        access.chmod(mode)
        assert status(made[0]) == 403
        access.write_text("Require all granted\n")
        access.chmod(mode)
        assert status(made[0]) == 200


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize("line", ["", "SetEnvIf User-Agent never seen"], ids=["kept", "decided anew"])
def test_no_look_without_a_change(server, script, tmp_path, line):
    """Neither for kept files nor where the phases decide each time; but for once a second."""
    running = server(script(APP), config=f"""
Alias /files "{tmp_path}"
<Directory "{tmp_path}">
    Require all granted
    AllowOverride All
    {line}
</Directory>
""")
    (tmp_path / "a.txt").write_text("a file")
    time.sleep(2.1)  # what is younger than two seconds is not kept
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    assert status(connection, "/files/a.txt") == 200
    record = tmp_path / "record"
    record.touch()
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-e", "trace=%file", "-o", str(record),
                               *[word for pid in descendants(running.process.pid) for word in ("-p", str(pid))]])
    try:
        wait_for(lambda: status(connection, "/files/a.txt") == 200 and "a.txt" in record.read_text(), 20,
                 "strace to see requests")
        began = time.monotonic()
        for _ in range(500):
            assert status(connection, "/files/a.txt") == 200
        seconds = time.monotonic() - began
    finally:
        tracer.terminate()
        tracer.wait()
    lines = record.read_text().splitlines()
    assert sum("a.txt" in line for line in lines) >= 500, "the file itself is looked at"
    # three looks (lstat, stat, a watch) for each second that begins
    assert sum(".htaccess" in line for line in lines) <= 20 * (seconds + 3)
