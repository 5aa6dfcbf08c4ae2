"""Tenants of one server, each with a process group of its own user: what one can do to the other, tried from inside.

Runs as root with throw-away users (tenants.py), else it is skipped.
"""

import os
import re
import signal
import ssl
import subprocess

import httpx
import pytest

from certificates import Certificates
from harness import alive, descendants, free_port, wait_for
from tenants import json_of, site

pytestmark = pytest.mark.ours

SECRET = "sesame-of-tenant-two"


@pytest.fixture(scope="module")
def place(users):
    """A server with the tenants one and two, and a page of the server's own."""
    with site(users) as made:
        made.start(
            made.host("one", "processes=2"),
            made.host("two", "processes=1", f"SetEnv TOKEN {SECRET}\n    CustomLog {made.logs}/two-access.log common"),
            main=f'LogFormat "%h %r" common\nCustomLog {made.logs}/access.log common\n'
            f"<Directory {made.home('two')}>\n    SetEnv ALSO {SECRET}\n</Directory>\n",
        )
        yield made


def test_users(place, users):
    for role in ("one", "two"):
        got = place.run(
            role,
            "group = environ['mod_wsgi.process_group']\n"
            "result = [os.getuid(), os.geteuid(), os.getgid(), sorted(os.getgroups()), group]",
        )
        uid, gid = users[role].pw_uid, users[role].pw_gid
        assert got == [uid, uid, gid, [gid], role]
    front = [
        pid for pid in descendants(place.server.process.pid) if os.stat(f"/proc/{pid}").st_uid == users["front"].pw_uid
    ]
    assert len(front) == 1


@pytest.mark.parametrize("whom", ["two", "front", "supervisor"])
def test_other_processes(place, users, whom):
    """Memory, descriptors and environment of others cannot be read, and signals not sent."""
    if whom == "two":
        pid = place.pid("two")
    elif whom == "front":
        pid = next(
            p for p in descendants(place.server.process.pid) if os.stat(f"/proc/{p}").st_uid == users["front"].pw_uid
        )
    else:
        pid = place.server.process.pid
    got = place.attempts(
        "one",
        memory=f"open('/proc/{pid}/mem', 'rb')",
        environment=f"open('/proc/{pid}/environ', 'rb').read()",
        maps=f"open('/proc/{pid}/maps').read()",
        descriptors=f"os.listdir('/proc/{pid}/fd')",
        program=f"os.readlink('/proc/{pid}/exe')",
        folder=f"os.readlink('/proc/{pid}/cwd')",
        term=f"os.kill({pid}, signal.SIGTERM)",
        nothing=f"os.kill({pid}, 0)",
        limits=f"__import__('resource').prlimit({pid}, 0)",
        nice=f"os.setpriority(os.PRIO_PROCESS, {pid}, 19)",
    )
    assert set(got.values()) == {"PermissionError"}, got
    # ptrace(PTRACE_ATTACH) and process_vm_readv(2)
    got = place.run(
        "one",
        f"""\
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
class iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
buffer = ctypes.create_string_buffer(8)
local, remote = iovec(ctypes.addressof(buffer), 8), iovec(ctypes.addressof(buffer), 8)
result = [libc.ptrace(16, {pid}, None, None), ctypes.get_errno(),
          libc.process_vm_readv({pid}, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0), ctypes.get_errno()]
""",
    )
    assert got == [-1, 1, -1, 1]  # EPERM
    assert alive(pid)


def test_sockets_between_the_processes(place):
    """Nobody but the front connects to a request socket, and nobody puts another in its place."""
    names = place.sockets()
    assert len(names) == 3
    for name in names:
        path = place.folder / "run" / name
        got = place.attempts(
            "one",
            connect=f"socket.socket(socket.AF_UNIX).connect({str(path)!r})",
            unlink=f"os.unlink({str(path)!r})",
            rename=f"os.rename({str(path)!r}, {str(path) + 'x'!r})",
            mode=f"os.chmod({str(path)!r}, 0o777)",
            bind=f"socket.socket(socket.AF_UNIX).bind({str(path) + 'x'!r})",
            list=f"os.listdir({str(path.parent)!r})",
        )
        assert set(got.values()) == {"PermissionError"}, got
    assert place.sockets() == names


def test_files(place):
    other = place.home("two") / "app.wsgi"
    got = place.attempts(
        "one",
        script=f"open({str(other)!r}).read()",
        logs=f"os.listdir({str(place.logs)!r})",
        log=f"open({str(place.logs / 'two.log')!r}, 'a')",
        own_log=f"open({str(place.logs / 'one.log')!r}).read()",
    )
    assert set(got.values()) == {"PermissionError"}, got


def test_descriptors(place):
    """A tenant has its own error log, its control channel and its request socket, and nothing of others."""
    got = place.run(
        "one",
        """\
import socket, stat
result = {"files": [], "sockets": [], "other": []}
for fd in map(int, os.listdir("/proc/self/fd")):
    try:
        target, mode = os.readlink(f"/proc/self/fd/{fd}"), os.fstat(fd).st_mode
    except OSError:
        continue
    if stat.S_ISSOCK(mode):
        with socket.socket(fileno=os.dup(fd)) as s:
            name = s.getsockname()
            result["sockets"].append([s.family.name, name if isinstance(name, str) else repr(name),
                                      s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)])
    elif target.startswith("/proc/"):
        pass  # the folder that is being listed
    elif target.startswith("/"):
        result["files"].append(target)
    else:
        result["other"].append(target.split(":")[0])
""",
    )
    # The Go runtime looks into control groups; libffi keeps itself open, to map its trampolines.
    files = {name for name in got["files"] if not name.startswith("/sys/fs/cgroup/") and "/libffi" not in name}
    assert files == {"/dev/null", str(place.logs / "one.log")}
    assert {family for family, _, _ in got["sockets"]} == {"AF_UNIX"}
    listening = [name for _, name, accepts in got["sockets"] if accepts]
    assert len(set(listening)) == 1 and listening[0].startswith(str(place.folder / "run"))  # or with a duplicate
    assert not [name for name in got["other"] if name.startswith(("/memfd", "memfd"))]


# Counts in the memory of the process that runs it. No function, which would keep alive what is looked for.
SCAN = """\
found = 0
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps:
        span, rights, *_, name = line.split()
        if rights[0] != "r" or name in ("[vvar]", "[vsyscall]", "[vvar_vclock]"):
            continue
        start, end = (int(part, 16) for part in span.split("-"))
        while start < end:
            try:
                memory.seek(start)
                block = memory.read(min(end - start, 1 << 24))
            except (OSError, ValueError, OverflowError):
                block = b""
            found += COUNT
            start += len(block) or 4096  # a guard page, which the C library may make within a mapping
            del block
result = found
"""


def test_memory_has_nothing_of_other_sites(place):
    """The configuration of another site is not in the process at all; the scan finds what is there."""
    scan = """\
import re
needle = re.compile(b"[s]esame-of-tenant-tw[o]")  # which is not in memory itself
""" + SCAN.replace("COUNT", "len(needle.findall(block))")
    assert place.run("one", scan) == 0
    # The request of two has it in its environ, so the scan can find it there.
    assert place.run("two", "result = environ['TOKEN']") == SECRET
    assert place.run("two", scan) > 0


def test_keys_of_tls(users):
    """A tenant's processes never have the key of a host, not even of its own: the front speaks TLS for them."""
    scan = """\
import re
halves = [bytes.fromhex(text) for text in (FIRST, SECOND)]  # in one piece only where the key is
whole = b"".join(halves) if CONTROL else None
""" + SCAN.replace(
        "COUNT", "sum(block.startswith(halves[1], m.end()) for m in re.finditer(re.escape(halves[0]), block))")
    with site(users) as made:
        secure, certs = free_port(), Certificates(made.folder)
        cert, key = certs.make("two.test", names=["DNS:two.test"]), certs / "two.test.key"
        listed = subprocess.run(["openssl", "pkey", "-in", key, "-noout", "-text"], check=True, capture_output=True)
        scalar = re.sub(r"[\s:]", "", re.search(r"priv:(.*?)pub:", listed.stdout.decode(), re.S)[1])[-64:]
        line = key.read_bytes().split(b"\n")[1][:32].hex()
        host = made.host("two").replace(f"*:{made.port}>", f"127.0.0.1:{secure}>").replace(
            "ServerName two.test",
            f"ServerName two.test\n    SSLEngine on\n    SSLCertificateFile {cert}\n    SSLCertificateKeyFile {key}")
        made.start(made.host("one"), host, main=f"Listen 127.0.0.1:{secure}\n")
        context = ssl.create_default_context(cafile=str(cert))
        context.check_hostname = False
        with httpx.Client(verify=context, trust_env=False, timeout=30) as client:

            def ask(source, first, second, control=False):
                text = f"FIRST, SECOND, CONTROL = {first!r}, {second!r}, {control}\n" + source
                url = f"https://127.0.0.1:{secure}/"
                answer = client.post(url, content=text.encode(), headers={"Host": "two.test"})
                assert answer.status_code == 200, answer.text
                return json_of(answer)

            assert ask("result = environ['wsgi.url_scheme']", "", "") == "https"
            for secret in (scalar, line):
                half = len(secret) // 2
                assert ask(scan, secret[:half], secret[half:], True) > 0, "the scan finds what is there"
                assert ask(scan, secret[:half], secret[half:]) == 0
            attempt = f"try:\n    result = open({str(key)!r}).read()\nexcept OSError as e:\n    result = repr(e)"
            assert "PermissionError" in ask(attempt, "", "")


def test_environment(place):
    """What one tenant sets is not in the other's environment."""
    place.run("two", "os.environ['OF_TWO'] = 'x'; result = None")
    assert place.run("one", "result = os.environ.get('OF_TWO')") is None


def test_logs(place):
    """Output, tracebacks and lines about the processes are in the log of the tenant's host, and in no other."""
    for role in ("one", "two"):
        mark = f"mark-{role}"
        place.run(
            role,
            f"import logging; print('printed {mark}'); print('error {mark}', file=environ['wsgi.errors']); "
            f"os.write(2, b'written {mark}\\n'); result = None",
        )
        assert place.ask(role, f"raise RuntimeError('raised {mark}')").status_code == 500
    for role, other in (("one", "two"), ("two", "one")):
        log = place.log(role)
        for text in (
            f"printed mark-{role}",
            f"error mark-{role}",
            f"written mark-{role}",
            f"RuntimeError: raised mark-{role}",
            f"process '{role}' (pid ",
        ):
            assert text in log, text
        assert f"mark-{other}" not in log and f"process '{other}'" not in log
        main = place.log("main")
        assert f"mark-{role}" not in main and f"process '{role}'" not in main
    assert "server process (pid" in place.log("main")


def test_one_dies_and_the_other_goes_on(place):
    before = place.pid("two")
    for _ in range(2):
        victim = place.pid("one")
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda pid=victim: not alive(pid), 5, "its end")
        wait_for(
            lambda pid=victim: place.ask("one").status_code == 200 and place.pid("one") != pid, 10, "another process"
        )
    assert place.pid("two") == before


@pytest.mark.parametrize("how", ["shutdown", "listen"])
def test_request_socket_that_a_tenant_spoils(place, how):
    """The listener is the supervisor's, and its tenants have it: what they do to it does not last."""
    pid = place.run(
        "two",
        f"""\
import socket
for fd in map(int, os.listdir("/proc/self/fd")):
    try:
        found = socket.socket(fileno=os.dup(fd))
        if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            found.shutdown(socket.SHUT_RD) if "{how}" == "shutdown" else found.listen(1)
    except OSError:
        pass
result = os.getpid()
""",
    )
    if how == "shutdown":
        wait_for(lambda: "WSGI0364: the request socket" in place.log("two"), 10, "the supervisor to notice")
    else:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: place.ask("two").status_code == 200 and place.pid("two") != pid, 15, "a successor")
    wait_for(lambda: not alive(pid), 15, "the end of the process")
    assert place.ask("two").status_code == 200 and place.ask("one").status_code == 200
    assert "was not made by the server" not in place.log("two")


def test_control_channel_is_of_no_use(place):
    """A tenant that speaks to the supervisor gets nothing: connections that it offers are closed, nonsense kills it."""
    before = place.pid("two")
    channel = """\
import array, socket, stat, struct
for fd in map(int, os.listdir("/proc/self/fd")):
    try:
        is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        continue
    if is_socket:
        control = socket.socket(fileno=os.dup(fd))
        if not control.getsockname() and not control.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            break  # all others have a name
"""
    got = place.run(
        "one",
        channel
        + """\
frame = b"H" + struct.pack(">I", 4) + b"GET "
left, right = socket.socketpair()
control.sendmsg([frame], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [right.fileno()]))])
right.close()
left.settimeout(10)
result = left.recv(10).decode()
""",
    )
    assert got == ""
    assert "handed a connection over, and has none of clients" in place.log("one")
    deaths = place.log("one").count("was killed by SIGKILL")
    place.ask("one", channel + "control.send(b'?' * 100); result = None")
    wait_for(lambda: place.log("one").count("was killed by SIGKILL") > deaths, 10, "its end")
    wait_for(lambda: place.ask("one").status_code == 200, 10, "a new process")
    assert place.pid("two") == before
    assert place.server.process.poll() is None


def test_scripts_of_access_control_run_in_the_front(users):
    """They see passwords, which are not the tenants' business."""
    with site(users) as made:
        script = made.folder / "auth.py"
        script.write_text("""\
import os
def check_password(environ, user, password):
    print("checked by", os.getuid(), [environ["mod_wsgi.process_group"]], file=environ["wsgi.errors"])
    return password == "open"
""")
        rules = f"""<Location />
        AuthType Basic
        AuthName x
        AuthBasicProvider wsgi
        WSGIAuthUserScript {script}
        Require valid-user
    </Location>"""
        made.start(made.host("one", "", rules), made.host("two"))
        assert made.ask("one").status_code == 401
        answer = made.ask(
            "one",
            "result = [os.getuid(), environ['REMOTE_USER'], 'HTTP_AUTHORIZATION' in environ]",
            auth=("me", "open"),
        )
        assert answer.json() == [users["one"].pw_uid, "me", False]
        assert f"checked by {users['front'].pw_uid} ['']" in made.log("one")
