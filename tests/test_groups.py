"""Options of WSGIDaemonProcess in processes behind the front, and who may use which group.

Tests that need other users run as root with throw-away ones (tenants.py), else they are skipped; the others use the
server's own user.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import COMMAND, wait_for
from tenants import PROBE, WHO

pytestmark = pytest.mark.ours


# --- options of WSGIDaemonProcess


def test_identity_and_surroundings(place, users):
    place.start(
        place.host(
            "one",
            f"supplementary-groups=daemon,#{users['two'].pw_gid} umask=0027 home={place.home('one')} "
            "lang=C.UTF-8 locale=C.UTF-8 "
            f"python-path={place.home('one')}/lib python-eggs=/tmp/eggs cpu-priority=7 "
            "display-name=%{GROUP} stack-size=1048576 "
            "cpu-time-limit=1000 memory-limit=400000000 virtual-memory-limit=8000000000 "
            "switch-interval=0.02 threads=3 processes=2",
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
    "eggs": os.environ.get("PYTHON_EGG_CACHE"), "nice": os.nice(0),
    "stack": resource.getrlimit(resource.RLIMIT_STACK)[0],
    "cpu": resource.getrlimit(resource.RLIMIT_CPU), "data": resource.getrlimit(resource.RLIMIT_DATA)[0],
    "space": resource.getrlimit(resource.RLIMIT_AS)[0], "interval": sys.getswitchinterval(),
    "group": mod_wsgi.process_group,
    "title": open("/proc/self/cmdline").read().rstrip(chr(0)), "home": os.environ["HOME"], "user": os.environ["USER"],
    "multi": [environ["wsgi.multithread"], environ["wsgi.multiprocess"]], "path": sys.path,
    "script": environ["SCRIPT_FILENAME"],
}
"""
    got = place.run("one", source)
    account = users["one"]
    assert got["groups"] == sorted({account.pw_gid, users["two"].pw_gid, 1})
    assert (got["umask"], got["cwd"], got["first"]) == ("0o27", str(place.home("one")), str(place.home("one")))
    assert (got["lang"], got["lc_all"], got["eggs"], got["nice"], got["stack"]) == (
        "C.UTF-8",
        "C.UTF-8",
        "/tmp/eggs",
        7,
        1048576,
    )
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
    assert plain["nice"] == os.nice(0)
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
        "WSGIScriptAlias /one @ROOT@/probe.wsgi process-group=one\n"
        "WSGIScriptAlias /two @ROOT@/probe.wsgi process-group=two\n"
    )
    assert server.run("/one", "result = sys.prefix") == str(home)
    assert server.run("/two", "result = sys.prefix") == sys.prefix


def test_python_home_of_another_version(groups, tmp_path):
    """Its group is not started; the others do not mind."""
    home = tmp_path / "venv"
    (home / "bin").mkdir(parents=True)
    (home / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.8.1\n")
    server = groups(
        f"WSGIDaemonProcess one python-home={home} socket-timeout=1\nWSGIDaemonProcess two\n"
        "WSGIScriptAlias /one @ROOT@/probe.wsgi process-group=one\n"
        "WSGIScriptAlias /two @ROOT@/probe.wsgi process-group=two\n"
    )
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert f"is a virtual environment of Python 3.8, this server runs in Python {version}" in server.output()
    assert server.run("/two", WHO)[0] == "two"
    assert server.get("/one").status_code == 504, "they wait, as for a process that starts"


def chroot_of(folder, python):
    """A folder with the interpreter, its libraries and this package at their own paths, by links to the files."""

    def bring(path):
        target = folder / str(path).lstrip("/")
        if target.is_symlink() or target.is_file():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.islink(path):
            target.symlink_to(os.readlink(path))
            bring(os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path))))  # often another link
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
    stdlib = subprocess.run(
        [python, "-c", "import os; print(os.path.dirname(os.__file__))"], capture_output=True, text=True
    ).stdout.strip()
    programs = [
        os.path.realpath(python),
        *map(str, package.glob("_gocore/*.so")),
        *map(str, Path(stdlib, "lib-dynload").glob("*.so")),
    ]
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
    server = place.start(place.host("one", f"chroot={jail}", f"DocumentRoot {jail}"), place.host("two"))
    assert place.run("two", WHO)[0] == "two"
    assert "needs this Python, its libraries and this package inside" in server.output()
    assert "needs this Python, its libraries and this package inside" in place.log("one")


def test_service_script_as_a_tenant(place, users):
    note = place.home("one") / "note"
    source = f"import os, time\nopen({str(note)!r}, 'w').write(str(os.getuid()))\ntime.sleep(3600)\n"
    job = place.script("one", source, "job.py")
    place.start(
        place.host(
            "one",
            "",
            f"WSGIDaemonProcess job threads=0 user={users['one'].pw_name} group={users['one'].pw_name}\n"
            f"    WSGIImportScript {job} process-group=job application-group=%{{GLOBAL}}",
        ),
        place.host("two"),
    )
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
    for host, path in (
        ("two.test", "/own"),
        ("one.test", "/unknown"),
        ("one.test", "/only/own"),
        ("one.test", "/none/all"),
    ):
        assert status(host, path) == 500, path
    log = server.log()
    assert "belongs to another virtual host" in log and "no WSGIDaemonProcess has the name" in log


def test_embedded_mode_beside_a_group(groups):
    """What is not given to a group runs in the server's own process, under the name that it has with mod_wsgi."""
    server = groups(
        "WSGIDaemonProcess one\nWSGIScriptAlias /group @ROOT@/probe.wsgi process-group=one\n"
        "WSGIScriptAlias /own @ROOT@/probe.wsgi\n"
    )
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
