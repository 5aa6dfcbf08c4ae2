"""Process groups behind the front: every option of WSGIDaemonProcess in the process that it is for, who may use which group,
restarts that add, change and remove groups, and sockets.

Tests that need other users run as root with throw-away ones (tenants.py), else they are skipped; the others use the
server's own user.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from tenants import PROBE, accounts, kept_asking, site

from harness import COMMAND, ENVIRON, Server, alive, descendants, finish_all, free_port, wait_for

pytestmark = pytest.mark.ours


@pytest.fixture(scope="module")
def users():
    with accounts() as made:
        yield made


@pytest.fixture
def place(users):
    with site(users) as made:
        yield made


@pytest.fixture
def groups(tmp_path):
    """Factory: groups(configuration) runs a server as this user; @ROOT@ and @PORT@ stand for its folder and port.

    probe.wsgi in the folder runs the code that it is sent; .run(path, source) gives its result.
    """
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


def json_of(answer):
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
    return answer.json()


WHO = "result = [environ['mod_wsgi.process_group'], os.getpid()]"


# --- options of WSGIDaemonProcess


def test_identity_and_surroundings(place, users):
    place.start(
        place.host(
            "one",
            f"supplementary-groups=daemon,#{users['two'].pw_gid} umask=0027 home={place.home('one')} lang=C.UTF-8 locale=C.UTF-8 "
            f"python-path={place.home('one')}/lib python-eggs=/tmp/eggs cpu-priority=7 display-name=%{{GROUP}} stack-size=1048576 "
            "cpu-time-limit=1000 memory-limit=400000000 virtual-memory-limit=8000000000 switch-interval=0.02 threads=3 processes=2",
        ),
        place.host("two", "threads=1"),
    )
    (place.home("one") / "lib").mkdir()
    source = """\
import grp, locale, resource, mod_wsgi
mask = os.umask(0); os.umask(mask)
result = {
    "groups": sorted(os.getgroups()), "umask": oct(mask), "cwd": os.getcwd(), "first": sys.path[0],
    "lang": os.environ.get("LANG"), "lc_all": os.environ.get("LC_ALL"), "locale": locale.setlocale(locale.LC_ALL),
    "eggs": os.environ.get("PYTHON_EGG_CACHE"), "nice": os.nice(0), "stack": resource.getrlimit(resource.RLIMIT_STACK)[0],
    "cpu": resource.getrlimit(resource.RLIMIT_CPU), "data": resource.getrlimit(resource.RLIMIT_DATA)[0],
    "space": resource.getrlimit(resource.RLIMIT_AS)[0], "interval": sys.getswitchinterval(), "group": mod_wsgi.process_group,
    "title": open("/proc/self/cmdline").read().rstrip(chr(0)), "home": os.environ["HOME"], "user": os.environ["USER"],
    "multi": [environ["wsgi.multithread"], environ["wsgi.multiprocess"]], "path": sys.path, "script": environ["SCRIPT_FILENAME"],
}
"""
    got = place.run("one", source)
    account = users["one"]
    assert got["groups"] == sorted({account.pw_gid, users["two"].pw_gid, 1})
    assert (got["umask"], got["cwd"], got["first"]) == ("0o27", str(place.home("one")), str(place.home("one")))
    assert (got["lang"], got["lc_all"], got["eggs"], got["nice"], got["stack"]) == ("C.UTF-8", "C.UTF-8", "/tmp/eggs", 7, 1048576)
    assert "C.UTF-8" in got["locale"] or "C.utf8" in got["locale"]
    assert got["cpu"] == [1000, 1000 + 1 + 15 + 5]
    assert 400000000 <= got["data"] < 4000000000
    assert 8000000000 <= got["space"] < 1 << 40
    assert got["interval"] == 0.02
    assert (got["group"], got["title"], got["multi"]) == ("one", "(wsgi:one)", [True, True])
    assert (got["home"], got["user"]) == (account.pw_dir, account.pw_name)
    assert got["script"] == str(place.home("one") / "app.wsgi")

    plain = place.run("two", source)
    assert plain["multi"] == [False, False]
    assert plain["groups"] == [users["two"].pw_gid]
    assert plain["nice"] == 0
    assert plain["title"] != got["title"]
    assert plain["cwd"] == "/", "its home directory is not there"
    assert "WSGI0340: cannot change to /home/" in place.log("two")
    assert not [path for path in plain["path"] if "/one" in path]


def test_home_directory_of_the_user(place, users):
    account = users["one"]
    os.makedirs(account.pw_dir)
    try:
        os.chown(account.pw_dir, account.pw_uid, account.pw_gid)
        os.chmod(account.pw_dir, 0o700)
        place.start()
        assert place.run("one", "result = os.getcwd()") == account.pw_dir
    finally:
        os.rmdir(account.pw_dir)


def test_limits_hit_their_group_only(place):
    place.start(place.host("one", "memory-limit=100000000"), place.host("two"))
    before = place.pid("one")
    hoard = "result = len(bytearray(400_000_000))"
    assert place.ask("one", hoard).status_code == 500
    assert "MemoryError" in place.log("one")
    assert place.pid("one") == before
    assert place.run("two", hoard) == 400_000_000


def test_python_home_of_a_group(groups, tmp_path):
    home = tmp_path / "venv"
    subprocess.run([COMMAND[0], "-m", "venv", "--without-pip", str(home)], check=True)
    server = groups(
        f"WSGIDaemonProcess one python-home={home}\nWSGIDaemonProcess two\n"
        "WSGIScriptAlias /one @ROOT@/probe.wsgi process-group=one\nWSGIScriptAlias /two @ROOT@/probe.wsgi process-group=two\n"
    )
    assert server.run("/one", "result = sys.prefix") == str(home)
    assert server.run("/two", "result = sys.prefix") == sys.prefix


def test_python_home_of_another_version(groups, tmp_path):
    home = tmp_path / "venv"
    (home / "bin").mkdir(parents=True)
    (home / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.8.1\n")
    server = groups(f"WSGIDaemonProcess one python-home={home}\nWSGIDaemonProcess two\n", ready=False)
    assert server.process.wait(20) == 1
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert f"is a virtual environment of Python 3.8, this server runs in Python {version}" in server.output()


def chroot_of(folder, python):
    """A folder with the interpreter, its libraries and this package at their own paths, by links to the files."""

    def bring(path):
        target = folder / str(path).lstrip("/")
        if target.is_symlink() or target.is_file():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.islink(path):
            target.symlink_to(os.readlink(path))
            bring(os.path.realpath(path))
        elif os.path.isdir(path):
            target.mkdir(parents=True, exist_ok=True)
            for entry in os.scandir(path):
                if entry.name not in ("__pycache__", "test", "tests", "dist-packages"):
                    bring(entry.path)
        else:
            try:
                os.link(path, target)
            except OSError:
                target.write_bytes(Path(path).read_bytes())
                os.chmod(target, 0o755 if os.access(path, os.X_OK) else 0o644)

    for name in ("bin", "lib", "lib64"):  # links into /usr on most systems
        if os.path.islink(f"/{name}"):
            (folder / name).symlink_to(os.readlink(f"/{name}").lstrip("/"))
            (folder / os.path.realpath(f"/{name}").lstrip("/")).mkdir(parents=True)

    import modwsgi_go

    package = Path(modwsgi_go.__file__).parent
    stdlib = subprocess.run([python, "-c", "import os; print(os.path.dirname(os.__file__))"], capture_output=True, text=True).stdout.strip()
    programs = [os.path.realpath(python), *map(str, package.glob("_gocore/*.so")), *map(str, Path(stdlib, "lib-dynload").glob("*.so"))]
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True).stdout
    for path in {*re.findall(r"(/\S+) \(0x", said), *programs}:
        for step in (path, os.path.realpath(path)):
            bring(step)
    for path in (python, os.path.join(os.path.dirname(os.path.dirname(python)), "pyvenv.cfg"), stdlib, package):
        if os.path.exists(path):
            bring(str(path))
    (folder / "etc").mkdir(exist_ok=True)
    (folder / "tmp").mkdir(exist_ok=True)
    return folder


def test_chroot(place, users):
    jail = place.folder / "jail"
    jail.mkdir(mode=0o755)
    chroot_of(jail, place.python)
    inner = jail / "site"
    inner.mkdir(mode=0o755)
    script = inner / "app.wsgi"
    script.write_text(PROBE)
    options = f"chroot={jail} home=/site"
    place.start(
        place.host("one", options, f"DocumentRoot {jail}\n    WSGIScriptAlias /in {script}"),
        place.host("two", "", f"WSGIScriptAlias /in {script}"),
    )
    got = place.run(
        "one",
        "result = [environ['SCRIPT_FILENAME'], environ['DOCUMENT_ROOT'], os.getcwd(), os.listdir('/site'), "
        "os.path.exists('/proc/self'), os.getuid(), os.path.exists('/etc/passwd')]",
        path="/in",
    )
    assert got == ["/site/app.wsgi", "/", "/site", ["app.wsgi"], False, users["one"].pw_uid, False]
    assert place.ask("one").status_code == 500, "the script is outside"
    assert "WSGI0341" in place.log("one")
    assert place.run("two", "result = environ['SCRIPT_FILENAME']", path="/in") == str(script)
    # A new version of the script is noticed inside.
    before = place.run("one", "result = os.getpid()", path="/in")
    script.write_text(PROBE + "VERSION = 2\n")
    wait_for(lambda: place.run("one", "result = os.getpid()", path="/in") != before, 10, "another process")


def test_chroot_without_python(place):
    jail = place.folder / "jail"
    jail.mkdir()
    server = place.start(place.host("one", f"chroot={jail}"), place.host("two"), ready=False)
    assert server.process.wait(20) == 1
    assert "needs this Python, its libraries and this package inside" in server.output()


def test_service_script_as_a_tenant(place, users):
    job = place.script("one", "import os, time\nopen(os.environ['HOME_OF_JOB'] + '/note', 'w').write(str(os.getuid()))\ntime.sleep(3600)\n"
                       .replace("os.environ['HOME_OF_JOB']", repr(str(place.home("one")))), "job.py")
    place.start(
        place.host("one", "", f"WSGIDaemonProcess job threads=0 user={users['one'].pw_name} group={users['one'].pw_name}\n"
                   f"    WSGIImportScript {job} process-group=job application-group=%{{GLOBAL}}"),
        place.host("two"),
    )
    note = place.home("one") / "note"
    wait_for(lambda: note.exists() and note.read_text() == str(users["one"].pw_uid), 10, "the note of the job")


# --- who may use which group


def test_script_user_and_group(place, users):
    options = f"script-user={users['one'].pw_name}"
    place.start(place.host("one", options), place.host("two", f"script-group={users['one'].pw_name}"))
    assert place.ask("one").status_code == 200
    assert place.ask("two").status_code == 403, "its script belongs to the group of tenant two"
    assert re.search(r"\[wsgi:error\].*app\.wsgi", place.log("two"))
    os.chmod(place.home("one") / "app.wsgi", 0o622)
    wait_for(lambda: place.ask("one").status_code == 403, 5, "403 for a script that others can write")


def test_reach(groups):
    server = groups("""\
WSGIDaemonProcess everybodys
<VirtualHost *:@PORT@>
    ServerName one.test
    WSGIDaemonProcess ones
    WSGIScriptAlias /own @ROOT@/probe.wsgi process-group=ones
    WSGIScriptAlias /all @ROOT@/probe.wsgi process-group=everybodys
    WSGIScriptAlias /unknown @ROOT@/probe.wsgi process-group=nobodys
    <Location /only>
        WSGIRestrictProcess EVERYBODYS %{GLOBAL}
    </Location>
    <Location /none>
        WSGIRestrictProcess
    </Location>
    WSGIScriptAlias /only/own @ROOT@/probe.wsgi process-group=ones
    WSGIScriptAlias /only/all @ROOT@/probe.wsgi process-group=everybodys
    WSGIScriptAlias /only/here @ROOT@/probe.wsgi
    WSGIScriptAlias /none/all @ROOT@/probe.wsgi process-group=everybodys
</VirtualHost>
<VirtualHost *:@PORT@>
    ServerName two.test
    WSGIScriptAlias /own @ROOT@/probe.wsgi process-group=ones
    WSGIScriptAlias /all @ROOT@/probe.wsgi process-group=everybodys
</VirtualHost>
""")

    def status(host, path):
        return server.get(path, headers={"Host": host}).status_code

    assert server.run("/own", WHO, headers={"Host": "one.test"})[0] == "ones"
    assert server.run("/all", WHO, headers={"Host": "two.test"})[0] == "everybodys"
    assert server.run("/only/all", WHO, headers={"Host": "one.test"})[0] == "everybodys"
    assert server.run("/only/here", WHO, headers={"Host": "one.test"})[0] == ""
    for host, path in (("two.test", "/own"), ("one.test", "/unknown"), ("one.test", "/only/own"), ("one.test", "/none/all")):
        assert status(host, path) == 500, path
    log = server.log()
    assert "belongs to another virtual host" in log and "no WSGIDaemonProcess has the name" in log


def test_embedded_mode_beside_a_group(groups):
    """What is not given to a group runs in the server's own process, under the name that it has with mod_wsgi."""
    server = groups("WSGIDaemonProcess one\nWSGIScriptAlias /group @ROOT@/probe.wsgi process-group=one\nWSGIScriptAlias /own @ROOT@/probe.wsgi\n")
    who = "import mod_wsgi; result = [environ['mod_wsgi.process_group'], mod_wsgi.process_group, os.getpid()]"
    group, embedded = server.run("/group", who), server.run("/own", who)
    assert group[:2] == ["one", "one"]
    assert embedded[:2] == ["", ""]
    assert group[2] != embedded[2]


def test_group_of_a_variable(groups, tmp_path):
    server = groups("""\
WSGIDaemonProcess red
WSGIDaemonProcess blue
SetEnvIf X-Group (.+) GROUP=$1
WSGIProcessGroup %{ENV:GROUP}
WSGIScriptAlias / @ROOT@/probe.wsgi
""")
    for name in ("red", "blue", "red"):
        assert server.run("/", WHO, headers={"X-Group": name})[0] == name
    assert server.run("/", WHO, headers={"X-Group": "%{GLOBAL}"})[0] == ""
    assert server.get("/", headers={"X-Group": "green"}).status_code == 500


# --- sockets


def test_place_of_the_sockets(place):
    server = place.start(place.host("one", "processes=2"), place.host("two", "listen-backlog=7"))
    place.pid("one")
    stem = f"wsgi.{server.process.pid}.1."
    assert place.sockets() == [stem + "1.1.sock", stem + "1.sock", stem + "2.sock"]
    for name in place.sockets():
        st = os.stat(place.folder / "run" / name)
        assert (st.st_mode & 0o777, st.st_uid) == (0o600, place.users["front"].pw_uid)
    waiting = subprocess.run(["ss", "-xlH"], capture_output=True, text=True)
    if waiting.returncode == 0:
        line = next(line for line in waiting.stdout.splitlines() if stem + "2.sock" in line)
        assert line.split()[3] == "7"
    server.stop()
    assert place.sockets() == []


def test_default_place(place):
    """Without WSGISocketPrefix the sockets are in a directory of root's below /run."""
    server = place.start(prefix=False)
    place.pid("one")
    names = [name for name in os.listdir("/run/modwsgi-go") if f".{server.process.pid}." in name]
    assert len(names) == 2
    assert os.stat("/run/modwsgi-go").st_mode & 0o777 == 0o711
    server.stop()
    assert not [name for name in os.listdir("/run/modwsgi-go") if f".{server.process.pid}." in name]


@pytest.mark.parametrize(
    ("mode", "owner", "text"),
    [(0o777, "root", "can be written to by user id"), (0o755, "one", "can be written to by user id"), (0o700, "root", "cannot be entered by user id")],
)
def test_unsafe_place(place, users, mode, owner, text):
    run = place.folder / "run"
    run.mkdir()
    if owner != "root":
        os.chown(run, users[owner].pw_uid, users[owner].pw_gid)
    os.chmod(run, mode)
    server = place.start(ready=False)
    assert server.process.wait(20) == 1
    assert text in server.output() and "WSGISocketPrefix" in server.output()
    assert os.listdir(run) == []


def test_sockets_of_a_killed_server(groups, tmp_path):
    text = """\
WSGISocketPrefix @ROOT@/wsgi
WSGIDaemonProcess one
WSGIDaemonProcess two
WSGIScriptAlias / @ROOT@/probe.wsgi process-group=one
"""
    server = groups(text)
    server.run("/", WHO)
    server.expected = -signal.SIGKILL
    left = set(tmp_path.glob("wsgi.*.sock"))
    assert len(left) == 2
    tree = descendants(server.process.pid)
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(5)
    wait_for(lambda: not [pid for pid in tree if alive(pid)], 5, "the end of all processes")
    assert set(tmp_path.glob("wsgi.*.sock")) == left
    second = groups(text)
    assert second.run("/", WHO)[0] == "one"
    assert not left & set(tmp_path.glob("wsgi.*.sock"))
    for path in left:
        assert f"removed the socket {path}" in second.output() + second.log()


def test_long_path_of_sockets(groups, tmp_path):
    server = groups(f"WSGISocketPrefix @ROOT@/{'x' * 100}\nWSGIDaemonProcess one\nWSGIDaemonProcess two\n", ready=False)
    assert server.process.wait(20) == 1
    assert "the system allows 107: give WSGISocketPrefix a shorter path" in server.output()


def test_socket_user(place, users):
    server = place.start(place.host("one", f"socket-user={users['two'].pw_name}"), place.host("two"), ready=False)
    assert server.process.wait(20) == 1
    assert "leave the option out, or name that user" in server.output()


# --- restarts


def test_graceful_restart_changes_groups(place):
    """Groups and listeners come, change and go without a failed request for those that stay."""
    server = place.start(place.host("one"), place.host("two"))
    first = {role: place.pid(role) for role in ("one", "two")}
    stop, failures = threading.Event(), []
    load = [threading.Thread(target=kept_asking, args=(place, "one", stop, failures)) for _ in range(2)]
    for thread in load:
        thread.start()
    try:
        # Two goes, a listener comes, the options of one change.
        port = free_port()
        place.write(place.host("one", "processes=2 display-name=changed"), main=f"Listen 127.0.0.1:{port}")
        server.send_signal(signal.SIGUSR1)
        title = "result = open('/proc/self/cmdline').read().rstrip(chr(0))"
        wait_for(lambda: place.run("one", title) == "changed", 15, "the new process")
        wait_for(lambda: not alive(first["two"]) and not alive(first["one"]), 15, "the end of the old processes")
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
        wait_for(lambda: len(place.sockets()) == 2, 10, "the end of the old sockets")
        # Two comes back, the listener goes.
        place.write(place.host("one"), place.host("two"))
        server.send_signal(signal.SIGUSR1)
        wait_for(lambda: place.ask("two", "result = environ['mod_wsgi.process_group']").text == '"two"', 15, "two")
        wait_for(lambda: refused(port), 10, "the end of the listener")
        # Nonsense changes nothing.
        pids = {role: place.pid(role) for role in ("one", "two")}
        place.write(place.host("one"), place.host("two"), main="WSGIDaemonProcess one")
        server.send_signal(signal.SIGUSR1)
        server.wait_log("going on with the old")
        assert {role: place.pid(role) for role in ("one", "two")} == pids
        place.write(place.host("one"), place.host("two"))
    finally:
        stop.set()
        for thread in load:
            thread.join()
    assert failures == []


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


SLOW = """\
import time
open(environ["HTTP_X_MARK"], "w").close()
while not os.path.exists(environ["HTTP_X_MARK"] + ".go"):
    time.sleep(0.02)
result = os.getpid()
"""


def slow_request(server, tmp_path, name, path="/"):
    """Begins a request that goes on until .go appears; a thread with .answer."""
    mark = tmp_path / name

    def ask():
        with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client:
            thread.answer = client.post(path, content=SLOW.encode(), headers={"X-Mark": str(mark)})

    thread = threading.Thread(target=ask)
    thread.answer = None
    thread.start()
    wait_for(mark.exists, 10, "the request to run")
    thread.go = lambda: (tmp_path / f"{name}.go").touch()
    return thread


TWO = """\
WSGISocketPrefix @ROOT@/wsgi
WSGIDaemonProcess one
WSGIDaemonProcess two
WSGIScriptAlias / @ROOT@/probe.wsgi process-group=one
"""


def test_a_request_outlives_its_generation(groups, tmp_path):
    server = groups(TWO)
    before = server.run("/", WHO)[1]
    request = slow_request(server, tmp_path, "slow")
    server.send_signal(signal.SIGUSR1)
    wait_for(lambda: server.run("/", WHO)[1] != before, 15, "the new generation")
    assert alive(before), "the process with the request stays"
    assert len(list(tmp_path.glob("wsgi.*.sock"))) == 4
    request.go()
    request.join()
    assert (request.answer.status_code, request.answer.json()) == (200, before)
    wait_for(lambda: not alive(before), 15, "the end of the old process")
    wait_for(lambda: len(list(tmp_path.glob("wsgi.*.sock"))) == 2, 10, "the end of its socket")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH])
def test_a_request_at_the_end(groups, tmp_path, number):
    """A request that runs when the server stops is answered, if it ends in time."""
    server = groups(TWO)
    request = slow_request(server, tmp_path, "slow")
    pid = server.run("/", WHO)[1]
    server.send_signal(number)
    server.wait_log("AH00169|AH00494|AH00492")
    request.go()
    request.join()
    assert (request.answer.status_code, request.answer.json()) == (200, pid)
    if number == signal.SIGHUP:
        wait_for(lambda: server.run("/", WHO)[1] != pid, 15, "the new processes")
    else:
        assert server.process.wait(15) == 0
    wait_for(lambda: not alive(pid), 5, "its end")


def test_sigterm_is_bounded(groups, tmp_path):
    """A request that does not end holds the server up for shutdown-timeout and a little more."""
    server = groups(TWO.replace("one\n", "one shutdown-timeout=1\n", 1))
    request = slow_request(server, tmp_path, "endless")
    server.send_signal(signal.SIGTERM)
    assert server.process.wait(15) == 0
    request.join()
    assert list(tmp_path.glob("wsgi.*.sock")) == []


def test_stable_sockets(groups, tmp_path):
    text = TWO + "WSGISocketRotation Off\n"
    server = groups(text)
    before = server.run("/", WHO)[1]
    names = {path.name for path in tmp_path.glob("wsgi.*.sock")}
    assert names == {f"wsgi.{server.process.pid}.u{os.getuid()}.{n}.sock" for n in (1, 2)}
    server.send_signal(signal.SIGUSR1)
    wait_for(lambda: server.run("/", WHO)[1] != before, 15, "the new process")
    assert {path.name for path in tmp_path.glob("wsgi.*.sock")} == names
    server.configure(text.replace("WSGIDaemonProcess one\nWSGIDaemonProcess two", "WSGIDaemonProcess two\nWSGIDaemonProcess one"))
    server.send_signal(signal.SIGUSR1)
    server.wait_log("must keep their order")
    assert server.run("/", WHO)[0] == "one"
