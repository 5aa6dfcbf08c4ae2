"""Authentication and access control: Basic, Digest, files of users and groups, host rules; scripts are in
test_auth_scripts.py."""

import base64
import concurrent.futures
import hashlib
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from auth import BASIC, fields, htpasswd, needs_htpasswd
from harness import wait_for

pytestmark = pytest.mark.ours


@needs_htpasswd
@pytest.mark.parametrize("options", ["-B", "-m", "-s", "-d", "-5"])
def test_basic(site, options):
    running = site(BASIC, users=htpasswd(options) + "\n")
    refused = running.get("/in/x")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == 'Basic realm="The realm"'
    for _ in range(3):
        good = running.get("/in/x?q", auth=("joe", "secret"))
        assert good.status_code == 200
        assert fields(good) == {"REMOTE_USER": "joe", "AUTH_TYPE": "Basic", "HTTP_AUTHORIZATION": "None",
                                "SCRIPT_NAME": "", "PATH_INFO": "/in/x", "REDIRECT_REMOTE_USER": "None"}
    assert running.get("/in/x", auth=("joe", "wrong")).status_code == 401
    assert running.get("/in/x", auth=("JOE", "secret")).status_code == 401
    assert running.get("/in/x", auth=("joe", "secret and more")).status_code == 401
    outside = running.get("/out", auth=("joe", "secret"))
    assert (outside.status_code, fields(outside)["REMOTE_USER"]) == (200, "None")


@needs_htpasswd
def test_file_is_read_again_when_it_changes(site, tmp_path):
    running = site(BASIC, users=htpasswd("-B") + "\n")
    assert running.get("/in", auth=("joe", "secret")).status_code == 200
    (tmp_path / "users").write_text(htpasswd("-B", password="other one") + "\n")
    assert running.get("/in", auth=("joe", "secret")).status_code == 401
    assert running.get("/in", auth=("joe", "other one")).status_code == 200
    (tmp_path / "users").unlink()
    assert running.get("/in", auth=("joe", "other one")).status_code == 500
    running.wait_log("AH01620: Could not open password file")


@needs_htpasswd
def test_body_of_a_request_that_is_checked_elsewhere(site):
    running = site(BASIC, users=htpasswd("-B") + "\n")
    for size in (10, 100_000, 3_000_000):
        body = b"x" * size
        good = running.post("/in/post", body, auth=("joe", "secret"))
        assert good.status_code == 200 and good.content.endswith(body[:1]) and len(good.content) > size
        assert running.post("/in/post", body, auth=("joe", "wrong")).status_code == 401


@needs_htpasswd
def test_slow_hashes_hold_nobody_up(site):
    """While passwords are checked for seconds, the one application thread and the leader serve others."""
    running = site(BASIC, "--threads", "1", users=htpasswd("-B", "-C", "13") + "\n")

    def attempt(number):
        return httpx.get(running.url + "/in", auth=("joe", f"wrong {number}"), timeout=60).status_code

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        attempts = [pool.submit(attempt, number) for number in range(6)]
        served = 0
        while not all(a.done() for a in attempts):
            assert running.get("/out").status_code == 200
            served += 1
            time.sleep(0.01)
        assert [a.result() for a in attempts] == [401] * 6
    assert served > 6  # with the hashes on the leader's thread there would be one between two of them


def test_names_are_bytes(site):
    name = "jürgen"
    users = f"{name}:{{SHA}}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"  # secret
    running = site(BASIC, users=users)
    token = base64.b64encode(f"{name}:secret".encode()).decode()
    good = running.get("/in", headers={"Authorization": "Basic " + token})
    assert good.status_code == 200
    assert fields(good)["REMOTE_USER"].encode("utf-8") == name.encode()
    token = base64.b64encode(f"{name}:secret".encode("latin-1")).decode()
    assert running.get("/in", headers={"Authorization": "Basic " + token}).status_code == 401


@pytest.mark.parametrize("slashes", ["Off", "On", "NoDecode"])
def test_no_way_around(site, slashes):
    running = site(BASIC, users="joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", outside=f"AllowEncodedSlashes {slashes}")
    for path in ("/in", "/in/", "/in/x", "//in/x", "/%69n/x", "/./in/x", "/y/../in/x", "/in/%2e/x", "/in;x/../in",
                 "/y%2f..%2fin/x", "/%2e%2e/in", "/y/%2e%2e/in/x", "/y/..%2fin/x", "/%2fin/x", "/in%2fx", "/in%00",
                 "/IN/../in", "http://x/in/x", "http://x//in"):
        answer = running.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        status = int(answer.split()[1])
        if status == 200:  # without decoding %2F stays in a name, and such a name is not below /in
            assert slashes == "NoDecode" and "%2f" in path
            assert not re.search(r"^PATH_INFO=/in(/|$)", answer.decode("latin-1"), re.M), path
        else:
            assert status in (400, 401, 404), path
            assert status == 401 or "%2" in path or "%00" in path, path


def test_authorization_is_passed_when_asked(site):
    running = site(BASIC + "WSGIPassAuthorization On", users="joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
    assert fields(running.get("/in", auth=("joe", "secret")))["HTTP_AUTHORIZATION"] == "Basic am9lOnNlY3JldA=="


DIGEST = """
AuthType Digest
AuthName "The realm"
AuthUserFile "@DIR@/digests"
Require valid-user
"""


def digest_line(user, realm, password):
    return f"{user}:{realm}:{hashlib.md5(f'{user}:{realm}:{password}'.encode()).hexdigest()}\n"


def test_digest(site):
    running = site(DIGEST, digests=digest_line("joe", "The realm", "secret"))
    auth = httpx.DigestAuth("joe", "secret")
    for path in ("/in/x", "/in/x?a=b&c", "/in/%C3%BC", "/in/x"):
        good = running.get(path, auth=auth)
        assert good.status_code == 200
        assert (fields(good)["REMOTE_USER"], fields(good)["AUTH_TYPE"]) == ("joe", "Digest")
        assert fields(good)["HTTP_AUTHORIZATION"] == "None"
    assert running.post("/in/x", b"body", auth=auth).text.endswith("body")
    for user, password in (("joe", "wrong"), ("ann", "secret")):
        assert running.get("/in/x", auth=httpx.DigestAuth(user, password)).status_code == 401
    assert running.get("/in/x", auth=("joe", "secret")).status_code == 401  # Basic


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_digest_with_curl(site):
    running = site(DIGEST + "AuthDigestNcCheck On", digests=digest_line("joe", "The realm", "secret"))
    for options, status in ((["joe:secret"], "200200"), (["joe:wrong"], "401401")):
        command = ["curl", "-sS", "--noproxy", "*", "--digest", "-u", *options, "-o", "/dev/null", "-o", "/dev/null",
                   "-w", "%{http_code}", running.url + "/in/a?b=c", running.url + "/in/d"]
        assert subprocess.run(command, capture_output=True, text=True, timeout=20).stdout == status


@pytest.mark.parametrize("check", ["Off", "On"])
def test_digest_of_several_processes(site, check):
    """A nonce of one process is good for the others, or replaced without asking the user."""
    running = site(DIGEST + f"AuthDigestNcCheck {check}", "--processes", "3",
                   digests=digest_line("joe", "The realm", "secret"))
    auth = httpx.DigestAuth("joe", "secret")
    refused = 0
    for _ in range(30):
        with httpx.Client(base_url=running.url, trust_env=False) as client:  # a new connection
            answer = client.get("/in/x", auth=auth)
            if answer.status_code == 401:
                assert "stale=true" in answer.headers["www-authenticate"]
                refused += 1
                answer = client.get("/in/x", auth=auth)  # httpx does not repeat by itself with the new nonce
            assert answer.status_code == 200
    assert refused == 0 or check == "On"


FAILING = """
def application(environ, start_response):
    raise RuntimeError("application fails")
"""


@needs_htpasswd
@pytest.mark.parametrize("provider", ["file", "wsgi"])
def test_error_document_behind_a_password(server, script, tmp_path, provider):
    """A page that needs more than the thread at hand may do gives way to the built-in one."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "500.html").write_text("the page")
    (tmp_path / "users").write_text(htpasswd("-B") + "\n")
    (tmp_path / "auth.py").write_text("def check_password(e, u, p): return p == 'secret'\n")
    running = server(script(FAILING), config=f"""
Alias /pages "{tmp_path}/pages"
<Directory "{tmp_path}/pages">
    AuthType Basic
    AuthName pages
    AuthUserFile "{tmp_path}/users"
    WSGIAuthUserScript "{tmp_path}/auth.py"
    AuthBasicProvider {provider}
    Require valid-user
</Directory>
ErrorDocument 500 /pages/500.html
""")
    for auth in (None, ("joe", "wrong"), ("joe", "secret")):
        answer = running.get("/", auth=auth)
        assert answer.status_code == 500 and "the page" not in answer.text
        assert "www-authenticate" not in answer.headers
    assert running.get("/pages/500.html", auth=("joe", "secret")).text == "the page"
    if provider == "file":  # the password is known by now
        assert running.get("/", auth=("joe", "secret")).text == "the page"
    running.wait_log("application fails")


def test_access_log_has_verified_and_claimed_names(site):
    running = site(BASIC, "--access-log", users="joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
    running.get("/in/1", auth=("joe", "secret"))
    running.get("/in/2", auth=('cl"aimed', "x"))
    running.get("/in/3")
    wait_for(lambda: "/in/3" in running.access_log.read_text(), 5, "the third line")
    lines = running.access_log.read_text().splitlines()
    assert [re.search(r"^127\.0\.0\.1 - (.*) \[", line).group(1) for line in lines] == ["joe", r'cl\"aimed', "-"]


def test_rules_of_httpd_2_2(site):
    running = site("""
Order deny,allow
Deny from all
Allow from 10.0.0.0/8
Satisfy Any
AuthType Basic
AuthName r
AuthUserFile "@DIR@/users"
Require valid-user
""", outside="<Location /open>\nOrder allow,deny\nAllow from 127.0.0.1 localhost\n</Location>\n"
            "<Location /closed>\nOrder allow,deny\nAllow from example.org\n</Location>\n"
            "<Location /host>\nRequire host localhost\n</Location>",
        users="joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
    assert running.get("/in").status_code == 401
    assert running.get("/in", auth=("joe", "secret")).status_code == 200
    assert running.get("/open").status_code == 200
    assert running.get("/closed").status_code == 403
    assert running.get("/host").status_code == 200


def test_huge_and_strange_credentials(site):
    running = site(BASIC, users="joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
    for value, status in (("Basic " + "A" * 8000, 401), ("Basic " + "A" * 9000, 400), ("A" * 100, 401), ("", 401),
                          ("Basic \t am9lOnNlY3JldA==", 200), ("Digest username=joe", 401)):
        head = f"GET /in HTTP/1.1\r\nHost: x\r\nAuthorization: {value}\r\nConnection: close\r\n\r\n"
        answer = running.raw(head.encode())
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), (value[:20], answer[:100])


def test_made_up_credentials(site):
    running = site(BASIC + 'AuthBasicFake "%{REMOTE_USER}@site" "%{REQUEST_METHOD}"\nWSGIPassAuthorization On',
                   users="joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
    token = fields(running.get("/in", auth=("joe", "secret")))["HTTP_AUTHORIZATION"]
    assert base64.b64decode(token.removeprefix("Basic ")) == b"joe@site:GET"
    assert running.get("/in", auth=("joe", "GET")).status_code == 401


def sdbm(path, **pairs):
    """A DBM file of one page, as APR's SDBM lays it out."""
    page, end, offsets = bytearray(1024), 1024, []
    for key, value in pairs.items():
        for text in (key.encode(), value.encode()):
            end -= len(text)
            page[end:end + len(text)] = text
            offsets.append(end)
    for i, n in enumerate([len(offsets), *offsets]):
        page[2 * i:2 * i + 2] = n.to_bytes(2, sys.byteorder)
    Path(f"{path}.pag").write_bytes(page)
    Path(f"{path}.dir").write_bytes(b"")


DBM = """
AuthType Basic
AuthName Realm
AuthBasicProvider dbm
AuthDBMType SDBM
AuthDBMUserFile "@DIR@/db"
AuthDBMGroupFile "@DIR@/db"
Require dbm-group staff
"""
SHA = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="  # secret


def test_dbm(site, tmp_path):
    users = {"joe": f"{SHA}:users,staff:a comment", "ann": f"{SHA}:users", "eve": SHA, "eve:Realm": "x:staff"}
    sdbm(tmp_path / "db", **users)
    running = site(DBM)
    for user, password, status in [("joe", "secret", 200), ("joe", "wrong", 401), ("ann", "secret", 401),
                                   ("eve", "secret", 200), ("nobody", "secret", 401)]:
        assert running.get("/in", auth=(user, password)).status_code == status, (user, password)
    sdbm(tmp_path / "db", ann=f"{SHA}:staff")  # seen at once
    assert running.get("/in", auth=("ann", "secret")).status_code == 200
    assert running.get("/in", auth=("joe", "secret")).status_code == 401
    (tmp_path / "db.pag").unlink()
    assert running.get("/in", auth=("ann", "secret")).status_code == 500


@pytest.mark.skipif(not shutil.which("htdbm"), reason="htdbm is not installed")
def test_dbm_of_the_real_program(site, tmp_path):
    program = ["htdbm", "-TSDBM"]
    subprocess.run([*program, "-cbm", tmp_path / "db", "joe", "secret"], check=True, capture_output=True)
    for i in range(60):  # several pages
        subprocess.run([*program, "-bp", tmp_path / "db", f"user{i}", "secret"], check=True, capture_output=True)
    running = site(DBM.replace("Require dbm-group staff", "Require valid-user"))
    assert running.get("/in", auth=("joe", "secret")).status_code == 200
    assert running.get("/in", auth=("joe", "wrong")).status_code == 401
    assert running.get("/in", auth=("user77", "secret")).status_code == 401


def test_dbm_of_another_format_is_refused(site, tmp_path):
    (tmp_path / "db").write_bytes(b"\xce\x9a\x57\x13" + bytes(100))
    with pytest.raises(pytest.fail.Exception, match="is a GDBM file; only SDBM files can be read"):
        site(DBM)


@pytest.mark.parametrize(("setting", "name"), [("Off", None), ("On", "localhost"), ("Double", "localhost")])
def test_hostname_lookups(site, tmp_path, setting, name):
    app = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ.get('REMOTE_HOST')} {environ['REMOTE_ADDR']} {environ.get('LOCAL')}".encode()]
"""
    outside = f'HostnameLookups {setting}\nSetEnvIf Remote_Host ^localhost$ LOCAL=yes\n' \
              f'CustomLog "{tmp_path}/hosts" "%h %a %s"'
    running = site("Require all granted", outside=outside)
    (tmp_path / "app.wsgi").write_text(app)
    wait_for(lambda: running.get("/in").text == f"{name} 127.0.0.1 {'yes' if name else None}")
    wait_for(lambda: f"{name or '127.0.0.1'} 127.0.0.1 200" in (tmp_path / "hosts").read_text())
