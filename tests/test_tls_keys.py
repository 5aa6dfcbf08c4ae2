"""Who has certificates and keys, what restarts do with them, and HTTPS with the options of the command."""

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from certificates import Certificates
from harness import (
    COMMAND,
    ENVIRON,
    Server,
    descendants,
    finish_all,
    free_port,
    interpreter_for,
    package_folder,
    start,
    wait_for,
)
from tls import APP, CONFIG, DIRECT, ONE, get, handshake

pytestmark = pytest.mark.ours


@pytest.mark.parametrize("tickets", [True, False])
def test_sessions_are_resumed_by_all_processes_and_after_a_restart(tls_site, tickets):
    running = tls_site(
        groups=DIRECT.replace("threads=4", "processes=2 threads=2"), more="" if tickets else "SSLSessionTickets off"
    )
    _, _, session = handshake(running)
    reused = [handshake(running, session)[1] for _ in range(8)]
    assert reused == [tickets] * 8
    before = set(descendants(running.process.pid))
    running.send_signal(signal.SIGUSR1)
    wait_for(lambda: len(set(descendants(running.process.pid)) - before) >= 2, 15, "new processes")
    wait_for(lambda: not before & set(descendants(running.process.pid)), 15, "the end of the old processes")
    assert handshake(running, session)[1] is tickets


def test_graceful_restart_with_a_new_certificate(tls_site, certs, tmp_path):
    made = Certificates(tmp_path / "changing")
    for name in ("root.pem", "root.key"):
        shutil.copy(certs / name, made / name)
    made.host("one.example")
    running = tls_site(ONE.replace("@CERTS@", str(made.folder)))
    first, _, _ = handshake(running)
    good = (made / "one.example.pem").read_text()
    # one that does not fit the key: the old generation goes on
    shutil.copy(certs / "two.example.pem", made / "one.example.pem")
    running.send_signal(signal.SIGUSR1)
    running.wait_log("the new configuration cannot be used, going on with the old one")
    running.wait_log("does not belong to the first certificate")
    assert handshake(running)[0] == first
    (made / "one.example.pem").write_text(good)
    made.host("one.example")
    running.send_signal(signal.SIGUSR1)
    wait_for(lambda: handshake(running)[0] != first, 15, "the new certificate")


def test_no_start_with_a_broken_certificate(tls_site, certs, tmp_path):
    file = tmp_path / "httpd.conf"
    text = (
        ONE.replace("@CERTS@", str(certs.folder))
        .replace("@MORE@", "SSLCertificateKeyFile /nowhere/key.pem")
        .replace("@PORT@", "8443")
    )
    text = text.replace(f'    SSLCertificateKeyFile "{certs.folder}/one.example.key"\n', "")
    file.write_text(f"ServerName x\nListen 127.0.0.1:8443\n{text}")
    for command in ("run-config", "check"):
        done = subprocess.run([*COMMAND, command, str(file)], capture_output=True, text=True, timeout=60, env=ENVIRON)
        assert done.returncode != 0 and "/nowhere/key.pem: no such file or directory" in done.stdout + done.stderr, (
            command
        )


@pytest.fixture
def express(tmp_path, certs):
    """Factory: start-server with options for HTTPS; @ is the folder of certificates."""
    running = []

    def factory(*args):
        script = tmp_path / "app.wsgi"
        script.write_text(APP)
        port = free_port()
        server = start(
            script,
            "--https-port",
            port,
            *[str(a).replace("@", str(certs.folder)) for a in args],
            root=tmp_path / f"express{len(running)}",
        )
        running.append(server)
        server.plain, server.port, server.certs = server.port, port, certs
        return server

    yield factory
    finish_all(running)


CERTIFICATE = ["--ssl-certificate-file", "@/one.example.pem", "--ssl-certificate-key-file", "@/one.example.key"]


def test_command(express):
    """Without --server-name as well; both ports serve."""
    running = express(*CERTIFICATE)
    assert (
        f"Server URL (HTTPS) : https://localhost:{running.port}/" in running.output()
        or f"https://127.0.0.1:{running.port}/" in running.output()
    )
    seen = get(running, name="localhost").json()
    assert seen["wsgi.url_scheme"] == "https" and "SSL_PROTOCOL" not in seen
    assert httpx.get(f"http://127.0.0.1:{running.plain}/", trust_env=False).json()["wsgi.url_scheme"] == "http"


def test_command_with_a_name(express, certs, tmp_path):
    """Certificate and key by their common stem, with a blank in it."""
    stem = tmp_path / "my site"
    shutil.copy(certs / "one.example.pem", f"{stem}.crt")
    shutil.copy(certs / "one.example.key", f"{stem}.key")
    running = express(
        "--ssl-certificate",
        stem,
        "--server-name",
        "one.example",
        "--https-only",
        "--ssl-environment",
        "--hsts-policy",
        "max-age=60; includeSubDomains",
    )
    answer = get(running)
    assert answer.headers["Strict-Transport-Security"] == "max-age=60; includeSubDomains"
    assert answer.json()["SSL_PROTOCOL"] == "TLSv1.3"
    assert get(running, name="localhost").status_code == 403
    plain = httpx.get(f"http://127.0.0.1:{running.plain}/a%20b?c=d", headers={"Host": "one.example"}, trust_env=False)
    assert (plain.status_code, plain.headers["Location"]) == (302, f"https://one.example:{running.port}/a%20b?c=d")
    assert "Strict-Transport-Security" not in plain.headers


def test_command_that_demands_certificates(express):
    running = express(*CERTIFICATE, "--ssl-ca-certificate-file", "@/root.pem", "--ssl-verify-client", "/admin")
    assert get(running, "/").status_code == 200
    assert get(running, "/admin").status_code == 403
    assert get(running, "/admin", client="mallory").status_code == 403
    assert get(running, "/admin", client="alice").status_code == 200


def test_command_that_demands_certificates_everywhere(express):
    running = express(*CERTIFICATE, "--ssl-ca-certificate-file", "@/root.pem")
    assert get(running, "/").status_code == 403
    assert get(running, "/", client="alice").status_code == 200


def memory(pid, needle):
    """Whether the memory of a process contains the bytes."""
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            first, last = (int(x, 16) for x in line.split()[0].split("-"))
            if "rw" not in line.split()[1]:
                continue
            try:
                mem.seek(first)
                if needle in mem.read(last - first):
                    return True
            except (OSError, ValueError, OverflowError):
                continue
    return False


@pytest.mark.skipif(os.geteuid() != 0, reason="other users' keys need root")
@pytest.mark.direct
@pytest.mark.parametrize("mode, direct", [(0o600, False), (0o644, True)])
def test_who_has_the_key(open_folder, certs, mode, direct):
    """Of a key that User cannot read, the process of the application has nothing; a front process terminates TLS."""
    account = pwd.getpwnam("www-data")
    python = interpreter_for(account)
    for name in ("one.example.pem", "one.example.key"):
        shutil.copy(certs / name, open_folder / name)
        os.chmod(open_folder / name, mode if name.endswith("key") else 0o644)
    (open_folder / "app.wsgi").write_text(APP)
    port = free_port()
    file = open_folder / "httpd.conf"
    text = ONE.replace("@CERTS@", str(open_folder)).replace("@MORE@", "").replace("@PORT@", str(port))
    file.write_text(
        CONFIG.format(
            root=open_folder, port=port, plain=free_port(), groups=DIRECT + "\nUser www-data\nGroup www-data", text=text
        )
    )
    env = {**ENVIRON, "PYTHONPATH": package_folder()}
    running = Server([python, "-m", "modwsgi_go", "run-config", str(file)], open_folder, port, "/", env)
    running.certs = certs
    try:
        running.wait_ready()
        seen = get(running).json()
        children = descendants(running.process.pid)
        assert len(children) == (1 if direct else 2)
        assert os.stat(f"/proc/{seen['pid']}").st_uid == account.pw_uid
        key = (open_folder / "one.example.key").read_bytes().splitlines()[1]
        holders = [pid for pid in children if memory(pid, key)]
        assert holders and (seen["pid"] in holders) is direct
        if not direct:  # and whoever runs as the same user cannot look
            peek = ["/bin/cat", f"/proc/{holders[0]}/mem"]
            who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            assert b"Permission denied" in subprocess.run(peek, capture_output=True, timeout=20, **who).stderr
        for pid in [running.process.pid, *children]:
            for file in ("cmdline", "environ"):
                assert b"PRIVATE KEY" not in Path(f"/proc/{pid}/{file}").read_bytes()
            names = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
            assert not [n for n in names if n.endswith(".key")]
        assert "PRIVATE KEY" not in running.log()
    finally:
        finish_all([running])
