"""Apache configuration: virtual hosts, files, access, redirects, error pages and the access log."""

import gzip
import re
import subprocess
import sys

import pytest

from harness import ENVIRON, REFERENCE, SINK, Server, finish_all, free_port, start, wait_for

CONFIG = """
WSGIProcessGroup "127.0.0.1:@PORT@"
WSGIApplicationGroup %{GLOBAL}
<VirtualHost *:@PORT@>
    ServerName one.test
    ServerAlias www.one.test *.one.test
    DocumentRoot "@ROOT@/../one"
    SetEnv SITE one
    WSGIScriptAlias /app "@ROOT@/../one/app.wsgi"
    Alias /files/ "@ROOT@/../one/files/"
    Redirect /old /app/new
    Redirect permanent /moved http://elsewhere.test
    Redirect gone /teapot
    RedirectMatch 302 ^/item/(\\d+)$ /app/item-$1
    ErrorDocument 404 "nothing of the kind here"
    ErrorDocument 403 /files/a.txt
    ErrorDocument 410 /app/refused
    LogFormat "%h %m %U%q %H %>s %b %{User-Agent}i %{Content-Type}o %D" tests
    CustomLog "@ROOT@/one_access" tests
    <Directory "@ROOT@/../one">
        Require all granted
    </Directory>
    <Location /files/private>
        Require all denied
    </Location>
    <LocationMatch ^/app/clos>
        <RequireAll>
            Require all granted
            Require not ip 127.0.0.1
        </RequireAll>
    </LocationMatch>
    <Location /local>
        Require ip 10.0.0.0/8
    </Location>
    <Files "*.secret">
        Require all denied
    </Files>
</VirtualHost>
<VirtualHost *:@PORT@>
    ServerName two.test
    SetEnv SITE two
    WSGIScriptAlias / "@ROOT@/../two/app.wsgi"
    WSGIPassAuthorization Off
    <Directory "@ROOT@/../two">
        Require all granted
    </Directory>
</VirtualHost>
"""

APP = """
def application(environ, start_response):
    keys = "SITE", "SCRIPT_NAME", "PATH_INFO", "REMOTE_USER", "REDIRECT_STATUS", "HTTP_AUTHORIZATION"
    body = "|".join(str(environ.get(key)) for key in keys).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


EXTRA = """
WSGIProcessGroup "127.0.0.1:@PORT@"
WSGIApplicationGroup %{GLOBAL}
SetEnv SITE main
WSGIScriptAlias /app "@ROOT@/../one/app.wsgi"
<Directory "@ROOT@/../one">
    Require all granted
</Directory>
"""
HEADERS = EXTRA + """
Header always set X-Site one
Header set X-Only-Good yes
RequestHeader set Authorization replaced
"""
REWRITE = EXTRA + """
<VirtualHost *:@PORT@>
ServerName other.test
</VirtualHost>
<VirtualHost *:@PORT@>
ServerName rewrite.test
RewriteEngine On
RewriteRule ^/short/(.*)$ /app/long/$1 [PT]
RewriteRule ^/away$ http://elsewhere.test/here [R=307,L]
RewriteCond %{HTTP_USER_AGENT} badbot
RewriteRule .* - [F]
</VirtualHost>
"""
AUTH = EXTRA + """
WSGIPassAuthorization Off
<Location /app/admin>
    AuthType Basic
    AuthName "Members"
    AuthUserFile "@ROOT@/../passwords"
    Require valid-user
</Location>
"""


def needs(*names):
    """Skips the test when this build does not know a directive (or runs against the reference: never)."""
    if not REFERENCE:
        from modwsgi_go import directives

        known = {directive.name.lower() for directive in directives() if directive.effect == "yes"}
        missing = [name for name in names if name.lower() not in known]
        if missing:
            pytest.skip(f"this build has no directive {', '.join(missing)}")


def prepare(base):
    for site in ("one", "two"):
        (base / site / "files" / "private").mkdir(parents=True)
        (base / site / "app.wsgi").write_text(APP)
        (base / site / "files" / "a.txt").write_text("file of " + site)
        (base / site / "files" / "private" / "b.txt").write_text("private")
        (base / site / "files" / "c.secret").write_text("hidden")
        (base / site / "index.html").write_text("index of " + site)
    # user:pass, SHA-1 form of htpasswd -s
    (base / "passwords").write_text("user:{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ=\n")


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    base = tmp_path_factory.mktemp("sites")
    prepare(base)
    running = start(SINK, "--mount-point", "/main", root=base / "root", config=CONFIG)
    yield running
    finish_all([running])


def ask(running, host, path, **headers):
    return running.get(path, headers={"Host": host, **headers})


def fields(answer):
    names = ("site", "script_name", "path_info", "user", "redirect_status", "authorization")
    return dict(zip(names, answer.text.split("|"), strict=True))


@pytest.mark.parametrize(("host", "site"), [
    ("one.test", "one"), ("ONE.test", "one"), ("www.one.test", "one"), ("any.one.test", "one"), ("one.test:80", "one"),
    ("two.test", "two"), ("one.test.", "one")])
def test_virtual_host_by_name(sites, host, site):
    assert fields(ask(sites, host, "/app"))["site"] == site


def test_unknown_host_goes_to_the_first(sites):
    """The first is that of the command's own application."""
    assert ask(sites, "unknown.test", "/main/events").status_code == 200
    assert ask(sites, "one.test", "/main/events").status_code == 404


def test_script_alias_splits_the_path(sites):
    got = fields(ask(sites, "one.test", "/app/a/b"))
    assert (got["script_name"], got["path_info"]) == ("/app", "/a/b")
    got = fields(ask(sites, "two.test", "/a/b"))
    assert (got["script_name"], got["path_info"]) == ("", "/a/b")


def test_alias_and_document_root(sites):
    assert ask(sites, "one.test", "/files/a.txt").text == "file of one"
    assert ask(sites, "one.test", "/").text == "index of one"
    assert ask(sites, "one.test", "/index.html").text == "index of one"


def test_denied(sites):
    """By URL, by file name and by address; the 403 shows the host's error document, a file."""
    for path in ("/files/private/b.txt", "/files/c.secret", "/local", "/app/closed"):
        answer = ask(sites, "one.test", path)
        assert (answer.status_code, answer.text) == (403, "file of one")


def test_error_document_by_the_application(sites):
    """An internal redirect: the application learns what failed in the REDIRECT_ variables."""
    got = fields(ask(sites, "one.test", "/teapot/%C3%A9"))
    assert (got["path_info"], got["redirect_status"]) == ("/refused", "410")


def test_error_document_text(sites):
    answer = ask(sites, "one.test", "/no/such/thing")
    assert (answer.status_code, answer.text) == (404, "nothing of the kind here")


@pytest.mark.parametrize(("path", "status", "location"), [
    ("/old", 302, "http://one.test{port}/app/new"), ("/old/x?q=1", 302, "http://one.test{port}/app/new/x?q=1"),
    ("/moved/y", 301, "http://elsewhere.test/y"),
    ("/item/42", 302, "http://one.test{port}/app/item-42")])
def test_redirects(sites, path, status, location):
    answer = ask(sites, "one.test", path)
    assert answer.status_code == status
    if location:
        got = answer.headers["location"]
        assert got in (location.format(port=""), location.format(port=f":{sites.port}"))


@pytest.fixture
def extra(server, tmp_path):
    """Factory: the kitchen sink with one more piece of configuration, and the application of site one at /app."""
    prepare(tmp_path)
    return lambda config, *args: server(SINK, *args, config=config)


def test_response_and_request_headers(extra):
    needs("Header", "RequestHeader")
    running = extra(HEADERS, "--mount-point", "/main")
    good, bad = running.get("/app", headers={"Authorization": "sent"}), running.get("/main/raise?at=call")
    assert good.headers["x-site"] == "one" and good.headers["x-only-good"] == "yes"
    assert fields(good)["authorization"] == "replaced"
    assert bad.status_code == 500 and bad.headers["x-site"] == "one" and "x-only-good" not in bad.headers


def test_rewrite(extra):
    needs("RewriteRule", "RewriteCond")
    running = extra(REWRITE, "--mount-point", "/main")
    assert fields(ask(running, "rewrite.test", "/short/x"))["path_info"] == "/long/x"
    away = ask(running, "rewrite.test", "/away")
    assert (away.status_code, away.headers["location"]) == (307, "http://elsewhere.test/here")
    assert ask(running, "rewrite.test", "/app", **{"User-Agent": "badbot/1"}).status_code == 403
    assert ask(running, "other.test", "/short/x").status_code == 404


def test_access_log_has_the_format(sites):
    ask(sites, "one.test", "/app/logged?q=1", **{"User-Agent": "tester/1.0"})
    ask(sites, "one.test", "/no/such/logged", **{"User-Agent": "tester/1.0"})
    path = sites.root / "one_access"

    def found(pattern):
        return wait_for(lambda: path.exists() and re.search(pattern, path.read_text(), re.M), 5,
                        f"{pattern!r} in {path.read_text() if path.exists() else 'no file'}")

    size = len(ask(sites, "one.test", "/app/logged?q=1").content)
    found(rf"^127\.0\.0\.1 GET /app/logged\?q=1 HTTP/1\.1 200 {size} tester/1\.0 text/plain \d+$")
    found(r"^127\.0\.0\.1 GET /no/such/logged HTTP/1\.1 404 24 tester/1\.0 .* \d+$")


@pytest.mark.ours
def test_basic_authentication(extra):
    needs("AuthType", "AuthUserFile")
    running = extra(AUTH, "--mount-point", "/main")
    plain = running.get("/app/admin")
    assert plain.status_code == 401 and plain.headers["www-authenticate"] == 'Basic realm="Members"'
    assert running.get("/app/admin", auth=("user", "wrong")).status_code == 401
    good = running.get("/app/admin", auth=("user", "pass"))
    assert good.status_code == 200
    assert (fields(good)["user"], fields(good)["authorization"]) == ("user", "None")
    assert running.get("/app", auth=("user", "wrong")).status_code == 200


@pytest.mark.parametrize("style", ["common", "combined", "%m %>s"])
def test_express_access_log(server, style):
    running = server(SINK, "--access-log", "--access-log-format", style)
    running.get("/?q=1", headers={"User-Agent": "tester/2", "Referer": "http://from.test/"})
    common = r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /\?q=1 HTTP/1\.1" 200 12'
    expected = {"common": common + "$", "combined": common + r' "http://from\.test/" "tester/2"$',
                "%m %>s": r"^GET 200$"}
    wait_for(lambda: running.access_log.exists()
             and re.search(expected[style], running.access_log.read_text(), re.M), 5, "the line in the access log")


def test_error_document_option(server, script):
    (script("", "oops.html").parent / "docs").mkdir()
    docs = script("", "oops.html").parent / "docs"
    (docs / "oops.html").write_text("our own error page")
    running = server(SINK, "--document-root", docs, "--error-document", "500", "/oops.html")
    answer = running.get("/raise?at=call")
    assert (answer.status_code, answer.text) == (500, "our own error page")


def test_server_name_gate(server):
    running = server(SINK, "--server-name", "only.test")
    assert running.get("/", headers={"Host": "only.test"}).text == "Hello World!"
    assert running.get("/", headers={"Host": "other.test"}).status_code == 403


def test_compression(server):
    needs("AddOutputFilterByType")
    running = server(SINK, "--compress-responses")
    with running.conn() as conn:
        conn.send(b"GET /generator?count=500 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
        _, headers, body = conn.response()
    assert headers["content-encoding"] == "gzip" and "accept-encoding" in headers["vary"].lower()
    assert gzip.decompress(body) == b"".join(b"%05d " % i for i in range(500))
    assert "content-encoding" not in running.get("/", headers={"Accept-Encoding": "identity"}).headers


STANDALONE = """
Listen 127.0.0.1:@PORT@
ServerRoot "@ROOT@"
PidFile "@ROOT@/httpd.pid"
ErrorLog "@ROOT@/error_log"
<Directory "@ROOT@">
    Require all granted
</Directory>
WSGIDaemonProcess blue processes=1 threads=2
WSGIDaemonProcess green processes=2 threads=1
WSGIScriptAlias /blue "@ROOT@/group.wsgi" process-group=blue application-group=%{GLOBAL}
WSGIScriptAlias /green "@ROOT@/group.wsgi" process-group=green application-group=%{GLOBAL}
"""

GROUP = """
import os

def application(environ, start_response):
    body = "|".join(map(str, (environ["mod_wsgi.process_group"], os.getpid(), environ["wsgi.multithread"],
                              environ["wsgi.multiprocess"], environ["PATH_INFO"],
                              len(environ["wsgi.input"].read())))).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.mark.ours
def test_two_process_groups(tmp_path):
    """Requests travel from the front process to the group that they belong to."""
    port = free_port()
    (tmp_path / "group.wsgi").write_text(GROUP)
    conf = tmp_path / "httpd.conf"
    conf.write_text(STANDALONE.replace("@PORT@", str(port)).replace("@ROOT@", str(tmp_path)))
    code = "import sys; from modwsgi_go import Server; sys.exit(Server(sys.argv[1]).run())"
    running = Server([sys.executable, "-c", code, str(conf)], tmp_path, port, str(tmp_path), env=ENVIRON)
    try:
        running.wait_ready()
        blue = running.post("/blue/x", content=b"y" * 100_000).text.split("|")
        green = running.get("/green/x").text.split("|")
        assert blue[0] == "blue" and green[0] == "green"
        assert blue[1] != green[1]
    finally:
        running.finish()


def test_hand_written_configuration_with_one_process_group(tmp_path):
    """A complete httpd.conf without the express generator."""
    port = free_port()
    (tmp_path / "group.wsgi").write_text(GROUP)
    conf = tmp_path / "httpd.conf"
    lines = STANDALONE.replace("@PORT@", str(port)).replace("@ROOT@", str(tmp_path)).splitlines()
    conf.write_text("\n".join(line for line in lines if "green" not in line) + "\n")
    code = "import sys; from modwsgi_go import Server; sys.exit(Server(sys.argv[1]).run())"
    running = Server([sys.executable, "-c", code, str(conf)], tmp_path, port, str(tmp_path), env=ENVIRON)
    try:
        running.wait_ready()
        blue = [running.post("/blue/x", content=b"y" * 100_000).text.split("|") for _ in range(20)]
        assert {tuple(a[:1] + a[2:]) for a in blue} == {("blue", "True", "True", "/x", "100000")}
    finally:
        running.finish()


@pytest.mark.ours
def test_setup_server_writes_a_configuration_that_serves(tmp_path):
    """setup-server generates, apachectl starts and stops."""
    port, root = free_port(), tmp_path / "root"
    subprocess.run([sys.executable, "-m", "modwsgi_go", "setup-server", str(SINK), "--host", "127.0.0.1", "--port",
                    str(port), "--server-root", str(root)], check=True, capture_output=True, timeout=20)
    running = Server([str(root / "apachectl"), "start", "-DFOREGROUND"], root, port, str(tmp_path))
    try:
        running.wait_ready()
        assert running.get("/").text == "Hello World!"
        stopped = subprocess.run([str(root / "apachectl"), "stop"], capture_output=True, text=True, timeout=20)
        assert stopped.returncode == 0, stopped.stderr
        assert running.process.wait(10) == 0
    finally:
        running.finish()
