"""Authentication and access control by Python scripts: WSGIAuthUserScript, WSGIAuthGroupScript, WSGIAccessScript."""

import base64
import concurrent.futures
import re

import httpx
import pytest

from auth import APP, fields
from harness import wait_for

pytestmark = pytest.mark.ours

SCRIPT = """
import os

LOADED = os.stat(__file__).st_mtime_ns


def check_password(environ, user, password):
    print("checking", user, file=environ["wsgi.errors"])
    if user == "keys":
        raise RuntimeError(" ".join(sorted(environ)))
    if user == "raise":
        raise ValueError("no idea")
    if user == "thread":
        import threading
        return threading.current_thread().name + "/" + str(environ["mod_ssl.is_https"]())
    return {"yes": True, "no": False, "none": None, "name": "somebody else", "unicode": "jürgen \\u20ac",
            "empty": "", "bytes": b"yes", "one": 1, "control": "a\\nb",
            "latin": password == "p\\xe4ss"}.get(user)


def groups_for_user(environ, user):
    return {"yes": ["staff", b"Admin"], "name": "ab", "somebody else": (g for g in ["x", "ADMIN"]), "latin": ["x", 3],
            "thread": None}.get(user, [])


def allow_access(environ, host):
    query = environ["QUERY_STRING"]
    if query == "raise":
        raise ValueError("no idea")
    return {"no": False, "yes": True, "one": 1, "": None, "host": host == environ["REMOTE_ADDR"]}.get(query)
"""

WSGI_BASIC = """
AuthType Basic
AuthName scripted
AuthBasicProvider wsgi
WSGIAuthUserScript "@DIR@/auth.py" application-group=%{GLOBAL}
"""


@pytest.mark.parametrize(("user", "status", "name"), [
    ("yes", 200, "yes"), ("no", 401, None), ("none", 401, None), ("unheard of", 401, None),
    ("name", 200, "somebody else"), ("unicode", 200, "jürgen €"), ("latin", 200, "latin"),
    ("empty", 500, None), ("bytes", 500, None), ("one", 500, None), ("control", 500, None), ("raise", 500, None),
])
def test_user_script(scripted, user, status, name):
    token = base64.b64encode(f"{user}:päss".encode("latin-1")).decode()
    answer = scripted.get("/in/x?q", headers={"Authorization": "Basic " + token})
    assert answer.status_code == status
    if name:
        assert fields(answer)["REMOTE_USER"] == name
        assert fields(answer)["AUTH_TYPE"] == "Basic"
    scripted.wait_log(rf"\[(client|remote) 127\.0\.0\.1:\d+\].*checking {user}$")


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    from harness import finish_all, start

    folder = tmp_path_factory.mktemp("scripted")
    (folder / "auth.py").write_text(SCRIPT)
    (folder / "app.wsgi").write_text(APP)
    (folder / "broken.py").write_text("import nothing_of_the_kind\n")
    (folder / "poor.py").write_text("x = 1\n")
    (folder / "users").write_text("filed:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
    config = f"""
WSGIPassAuthorization Off
<AuthnProviderAlias wsgi scripts>
    WSGIAuthUserScript "{folder}/auth.py"
</AuthnProviderAlias>
<Location /in>
{WSGI_BASIC}
    Require valid-user
</Location>
<Location /group>
{WSGI_BASIC}
    WSGIAuthGroupScript "{folder}/auth.py"
    Require wsgi-group nobody admin
</Location>
<Location /all>
{WSGI_BASIC}
    WSGIAuthGroupScript "{folder}/auth.py"
    <RequireAll>
        Require valid-user
        Require wsgi-group staff
        Require wsgi-group admin
    </RequireAll>
</Location>
<Location /broken>
{WSGI_BASIC}
    WSGIAuthUserScript "{folder}/broken.py"
    Require valid-user
</Location>
<Location /poor>
{WSGI_BASIC}
    WSGIAuthUserScript "{folder}/poor.py"
    Require valid-user
</Location>
<Location /poorgroup>
{WSGI_BASIC}
    WSGIAuthGroupScript "{folder}/poor.py"
    Require wsgi-group staff
</Location>
<Location /alias>
    AuthType Basic
    AuthName aliased
    AuthUserFile "{folder}/users"
    AuthBasicProvider file scripts
    Require valid-user
</Location>
<Location /access>
    WSGIAccessScript "{folder}/auth.py"
    Require all granted
</Location>
<Location /any>
    WSGIAccessScript "{folder}/auth.py"
{WSGI_BASIC}
    Require valid-user
</Location>
""".replace("@DIR@", str(folder))
    running = start(folder / "app.wsgi", root=folder / "root", config=config)
    yield running
    finish_all([running])


@pytest.mark.parametrize(("path", "user", "status"), [
    ("/group", "yes", 200), ("/group", "latin", 401), ("/group", "name", 200), ("/group", "unicode", 401),
    ("/group", "thread", 401), ("/all", "yes", 200), ("/all", "name", 401), ("/poorgroup", "yes", 401),
    ("/broken", "yes", 500), ("/poor", "yes", 500),
    ("/alias", "yes", 200), ("/alias", "filed", 200), ("/alias", "no", 401),
])
def test_groups_and_aliases(scripted, path, user, status):
    password = "secret" if user == "filed" else "p\xe4ss"
    token = base64.b64encode(f"{user}:{password}".encode("latin-1")).decode()
    answer = scripted.get(path, headers={"Authorization": "Basic " + token})
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize(("query", "status"), [("", 200), ("yes", 200), ("no", 403), ("one", 403), ("raise", 403),
                                               ("host", 200)])
def test_access_script(scripted, query, status):
    assert scripted.get("/access/x?" + query).status_code == status


def test_environ_of_scripts(scripted):
    token = base64.b64encode(b"keys:x").decode()
    mark = len(scripted.log())
    scripted.request("POST", "/in/x?q", content=b"body", headers={
        "Authorization": "Basic " + token, "Content-Type": "text/x", "X-One": "1", "Proxy": "http://evil",
        "X_Under": "1", "Proxy-Authorization": "Basic x"})
    found = wait_for(lambda: re.search(r"RuntimeError: (.*)", scripted.log()[mark:]), 5, "the keys")
    keys = set(found.group(1).split())
    assert {"REQUEST_METHOD", "QUERY_STRING", "SCRIPT_NAME", "PATH_INFO", "REQUEST_URI", "SERVER_NAME", "SERVER_PORT",
            "SERVER_ADDR", "SERVER_SOFTWARE", "SERVER_SIGNATURE", "SERVER_PROTOCOL", "REMOTE_ADDR", "REMOTE_PORT",
            "DOCUMENT_ROOT", "CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_X_ONE", "HTTP_HOST", "apache.version",
            "mod_wsgi.version", "mod_wsgi.process_group", "mod_wsgi.application_group", "wsgi.errors",
            "mod_ssl.is_https", "mod_ssl.var_lookup"} <= keys
    assert not {"HTTP_AUTHORIZATION", "HTTP_PROXY_AUTHORIZATION", "HTTP_PROXY", "HTTP_X_UNDER", "wsgi.input",
                "SCRIPT_FILENAME"} & keys


def test_script_is_loaded_again_when_it_changes(site, tmp_path):
    running = site(WSGI_BASIC + "Require valid-user", **{"auth.py": "def check_password(e, u, p): return True\n"})
    assert running.get("/in", auth=("a", "b")).status_code == 200
    worker = running.get("/out").headers
    (tmp_path / "auth.py").write_text("def check_password(environ, user, password): return False\n")
    assert running.get("/in", auth=("a", "b")).status_code == 401
    (tmp_path / "auth.py").unlink()
    assert running.get("/in", auth=("a", "b")).status_code == 500
    assert running.get("/out").status_code == 200 and worker


def test_express_options(server, script, tmp_path):
    auth = script(SCRIPT, "auth.py")
    running = server(script(APP), "--auth-user-script", auth, "--auth-group-script", auth, "--auth-group", "staff",
                     "--host-access-script", auth)
    refused = running.get("/")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == f'Basic realm="127.0.0.1:{running.port}"'
    good = running.get("/", auth=("yes", "x"))
    assert good.status_code == 200 and fields(good)["REMOTE_USER"] == "yes"
    assert fields(good)["HTTP_AUTHORIZATION"].startswith("Basic ")  # express passes it on
    assert running.get("/", auth=("name", "x")).status_code == 401
    assert running.get("/?no", auth=("yes", "x")).status_code == 403


def test_digest_from_script_with_express(server, script):
    auth = script("""
import hashlib

def get_realm_hash(environ, user, realm):
    value = hashlib.md5(f"{user}:{realm}:secret".encode("latin-1")).hexdigest()
    return {"str": value, "bytes": value.encode(), "none": None, "bad": 3, "empty": ""}[user]
""", "auth.py")
    running = server(script(APP), "--auth-user-script", auth, "--auth-type", "digest")
    for user, status in (("str", 200), ("bytes", 200), ("none", 401), ("bad", 500), ("empty", 500), ("error", 500)):
        answer = running.get("/x", auth=httpx.DigestAuth(user, "secret"))
        assert answer.status_code == status, user
    assert running.get("/x", auth=httpx.DigestAuth("str", "wrong")).status_code == 401


def test_pipelined_requests_keep_their_order(site):
    running = site(WSGI_BASIC + "Require valid-user", **{"auth.py": SCRIPT})
    token = base64.b64encode(b"yes:x").decode()
    one = "GET {} HTTP/1.1\r\nHost: x\r\n{}\r\n"
    auth = f"Authorization: Basic {token}\r\n"
    text = one.format("/in/1", auth) + one.format("/out", "") + one.format("/in/2", "") + one.format("/in/3", auth)
    with running.conn() as conn:
        conn.send(text.encode() * 5)
        for _ in range(5):
            assert [conn.response()[0] for _ in range(4)] == [200, 200, 401, 200]


def test_many_clients_of_a_script(site):
    """Scripts and the application share few threads; nobody waits for ever, nobody gets another's user."""
    running = site(WSGI_BASIC + "Require valid-user", "--threads", "2", **{"auth.py": """
import time
from pathlib import Path

def check_password(environ, user, password):
    time.sleep(0.005)
    return user == password
"""})

    def client(number):
        with httpx.Client(base_url=running.url, trust_env=False, timeout=30) as http:
            for turn in range(10):
                name = f"user{number}-{turn}"
                good = http.get("/in", auth=(name, name))
                assert fields(good)["REMOTE_USER"] == name
                assert http.get("/in", auth=(name, "wrong")).status_code == 401
                assert http.get("/out").status_code == 200

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(client, number) for number in range(8)]:
            done.result()
