"""Header, RequestHeader, Expires* and SetEnvIf as clients and applications see them."""

import email.utils
import json

import pytest

from harness import FRONT, Conn, finish_all, start, wait_for

APP = """
import json

def application(environ, start_response):
    status = environ["QUERY_STRING"] or "200 OK"
    seen = {k: v for k, v in environ.items()
            if isinstance(v, str) and (k.startswith(("HTTP_", "E_")) or k == "CONTENT_TYPE")}
    headers = [("Content-Type", "application/json"), ("X-App", "app"), ("X-Same", "app"),
               ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    start_response(status.replace("%20", " "), headers)
    return [json.dumps(seen).encode()]
"""

CONFIG = """
WSGIProcessGroup "127.0.0.1:@PORT@"
WSGIApplicationGroup %{GLOBAL}
WSGIScriptAlias /app @DIR@/app.wsgi
WSGIScriptAlias /plain @DIR@/app.wsgi
WSGIScriptAlias /edit @DIR@/app.wsgi
WSGIScriptAlias /if @DIR@/app.wsgi
Alias /files @DIR@/files
<Directory @DIR@>
  Require all granted
</Directory>
<Location /app>
  Header set X-Same server
  Header always set X-Always "%{E_CLIENT}e %D"
  Header unset X-App
  Header edit Set-Cookie ^(.*)$ "$1; Secure"
  Header set X-Expr "expr=%{REQUEST_STATUS} %{resp:X-Same} %{tolower:%{REQUEST_METHOD}}"
  Header set X-If yes "expr=%{CONTENT_TYPE} == 'application/json'"
  Header set X-Never yes env=E_NONE
  Header merge Vary Cookie
</Location>
SetEnvIf User-Agent "^(test)" E_CLIENT=$1
SetEnvIfExpr "%{QUERY_STRING} =~ /4(..)/" E_STATUS=$1
BrowserMatch closer nokeepalive
<Location /edit>
  RequestHeader set X-New "made by %{E_CLIENT}e"
  RequestHeader unset X-Gone
  RequestHeader edit* X-Edit a b
  RequestHeader append X-More two
  RequestHeader set X_Odd forged
  RequestHeader set Proxy evil
  RequestHeader set Content-Type text/made
  RequestHeader set Cookie changed env=E_CLIENT
</Location>
<Location /if>
  <If "%{HTTP_ACCEPT} == 'teapot'">
    SetEnv E_WHERE if
    Header set X-Branch if
    Require all denied
  </If>
  <ElseIf "-R '127.0.0.0/8' && %{QUERY_STRING} == ''">
    SetEnv E_WHERE elseif
    Header set X-Branch elseif
  </ElseIf>
  <Else>
    SetEnv E_WHERE else
    Header set X-Branch else
  </Else>
</Location>
<Location /files>
  Header set X-File "%{E_CLIENT}e"
  Header echo ^X-Ping$
  Header always set X-Both error
  Header setifempty X-Both ok
  ExpiresActive On
  ExpiresByType text/css "access plus 1 hour"
  ExpiresByType image/* M60
  ExpiresDefault "now plus 2 minutes"
  Header append Cache-Control public env=E_CLIENT
</Location>
<Location /files/moved>
  Redirect /files/moved /files/a.txt
</Location>
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    path = tmp_path_factory.mktemp("site")
    (path / "app.wsgi").write_text(APP)
    (path / "files").mkdir()
    for name in "a.txt", "a.css", "a.png":
        (path / "files" / name).write_text("content of a file")
    running = start(str(path / "app.wsgi"), root=path / "server", config=CONFIG.replace("@DIR@", str(path)))
    yield running
    finish_all([running])


def seen(answer):
    return json.loads(answer.text)


def test_header_on_applications(site):
    answer = site.get("/app", headers={"User-Agent": "test/1"})
    assert answer.status_code == 200
    assert answer.headers.get_list("x-same") == ["server"]
    assert "x-app" not in answer.headers
    assert answer.headers.get_list("set-cookie") == ["a=1; Secure", "b=2; Secure"]
    assert answer.headers["x-expr"] == "200 server get"
    assert answer.headers["x-if"] == "yes"
    assert "x-never" not in answer.headers
    assert answer.headers["vary"] == "Cookie"
    client, took = answer.headers["x-always"].split()
    assert client == "test" and took.startswith("D=") and int(took[2:]) >= 0
    assert site.get("/app", headers={"User-Agent": "other"}).headers["x-always"].startswith("(null) ")


@pytest.mark.parametrize("status", ["404 Not Found", "302 Found", "500 Oops"])
def test_responses_of_applications_are_no_errors_of_the_server(site, status):
    answer = site.get("/app?" + status.replace(" ", "%20"))
    assert answer.status_code == int(status[:3])
    assert answer.headers["x-expr"] == f"{status[:3]} server get"
    assert "x-always" in answer.headers


def test_no_header_elsewhere(site):
    answer = site.get("/plain")
    assert answer.headers["x-app"] == "app" and answer.headers["x-same"] == "app"
    assert "x-always" not in answer.headers


def test_request_header_reaches_the_application(site):
    sent = {
        "User-Agent": "test",
        "X-Gone": "1",
        "X-Edit": "banana",
        "X-More": "one",
        "Cookie": "sent",
        "Content-Type": "text/sent",
    }
    environ = seen(site.get("/edit", headers=sent))
    assert environ["HTTP_X_NEW"] == "made by test"
    assert "HTTP_X_GONE" not in environ and "HTTP_X_ODD" not in environ and "HTTP_PROXY" not in environ
    assert environ["HTTP_X_EDIT"] == "bbnbnb"
    assert environ["HTTP_X_MORE"] == "one, two"
    assert environ["HTTP_COOKIE"] == "changed"
    assert environ["CONTENT_TYPE"] == "text/made"
    untouched = seen(site.get("/plain", headers=sent))
    assert (
        untouched["HTTP_X_GONE"] == "1"
        and untouched["HTTP_COOKIE"] == "sent"
        and untouched["CONTENT_TYPE"] == "text/sent"
    )


def test_set_env_if(site):
    environ = seen(site.get("/plain?404%20no", headers={"User-Agent": "test"}))
    assert environ["E_CLIENT"] == "test" and environ["E_STATUS"] == "04"
    environ = seen(site.get("/plain", headers={"User-Agent": "other"}))
    assert "E_CLIENT" not in environ and "E_STATUS" not in environ


def test_nokeepalive(site):
    with Conn(site.port) as conn:
        for path in "/plain", "/files/a.txt":
            conn.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: other\r\n\r\n".encode())
            assert "connection" not in conn.response()[1]
        conn.send(b"GET /plain HTTP/1.1\r\nHost: x\r\nUser-Agent: closer\r\n\r\n")
        assert conn.response()[1]["connection"] == "close"
        assert conn.closed()


def test_conditional_sections(site):
    denied = site.get("/if", headers={"Accept": "teapot"})
    assert denied.status_code == 403 and "x-branch" not in denied.headers
    answer = site.get("/if", headers={"Accept": "x"})
    assert answer.headers["x-branch"] == "elseif" and seen(answer)["E_WHERE"] == "elseif"
    assert "accept" in answer.headers["vary"].lower()
    answer = site.get("/if?201%20Made", headers={"Accept": "x"})
    assert (answer.status_code, answer.headers["x-branch"], seen(answer)["E_WHERE"]) == (201, "else", "else")


def test_files(site):
    answer = site.get("/files/a.txt", headers={"User-Agent": "test", "X-Ping": "pong"})
    assert answer.headers["x-file"] == "test" and answer.headers["x-ping"] == "pong"
    assert answer.headers.get_list("x-both") == ["ok", "error"] or answer.headers.get_list("x-both") == ["error", "ok"]
    assert answer.headers["cache-control"] == "max-age=120, public"
    date, expires = (email.utils.parsedate_to_datetime(answer.headers[name]) for name in ("date", "expires"))
    assert 118 <= (expires - date).total_seconds() <= 121
    assert site.get("/files/a.css", headers={"User-Agent": "x"}).headers["cache-control"] == "max-age=3600"
    image = site.get("/files/a.png", headers={"User-Agent": "x"})
    modified, expires = (
        email.utils.parsedate_to_datetime(image.headers[name]) for name in ("last-modified", "expires")
    )
    assert (
        expires - modified <= email.utils.datetime.timedelta(seconds=60)
        or image.headers["cache-control"] == "max-age=0"
    )
    cached = site.get("/files/a.css", headers={"If-None-Match": site.get("/files/a.css").headers["etag"]})
    assert cached.status_code == 304 and cached.headers["cache-control"].startswith("max-age=3600")


@pytest.mark.parametrize("path, status", [("/files/none", 404), ("/files/moved", 302)])
def test_own_pages_get_always_only(site, path, status):
    answer = site.get(path, headers={"User-Agent": "test"}, follow_redirects=False)
    assert answer.status_code == status
    assert answer.headers.get_list("x-both") == ["error"]
    assert "x-file" not in answer.headers and "expires" not in answer.headers


LOGS = """
LoadModule wsgi_module modules/mod_wsgi.so
CustomLog @DIR@/log-all "%U %>s"
CustomLog @DIR@/log-errors "%U %>s" "expr=%{REQUEST_STATUS} -ge 400"
CustomLog @DIR@/log-typed "%U" "expr=%{resp:X-App} == 'app' && %{REQUEST_URI} != '/skip'"
CustomLog @DIR@/log-agent "%U" "expr=%{HTTP_USER_AGENT} -strmatch 'log*'"
WSGIProcessGroup "127.0.0.1:@PORT@"
WSGIApplicationGroup %{GLOBAL}
Alias /files @DIR@/files
<Directory @DIR@>
  Require all granted
</Directory>
"""


def test_conditions_of_access_logs(tmp_path):
    (tmp_path / "app.wsgi").write_text(APP)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("a")
    tmp_path.chmod(0o755)
    running = start(str(tmp_path / "app.wsgi"), root=tmp_path / "server", config=LOGS.replace("@DIR@", str(tmp_path)))
    try:
        for path, agent in [
            ("/app", "x"),
            ("/skip", "logger"),
            ("/app2?500%20Oops", "x"),
            ("/files/a.txt", "logger"),
            ("/files/a.txt", "x"),
            ("/files/none", "logger"),
        ]:
            running.get(path, headers={"User-Agent": agent})
        running.raw(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
    finally:
        finish_all([running])

    def lines(name):
        return (tmp_path / name).read_text().splitlines()

    everything = lines("log-all")
    assert everything[:6] == [
        "/app 200",
        "/skip 200",
        "/app2 500",
        "/files/a.txt 200",
        "/files/a.txt 200",
        "/files/none 404",
    ]
    assert lines("log-errors") == [line for line in everything if line.split()[-1] >= "400"]
    assert lines("log-typed") == ["/app", "/app2"]
    assert lines("log-agent") == ["/skip", "/files/a.txt", "/files/none"]


def test_shares_of_idle_and_busy_workers(server, script):
    """Header %i and %b: percentages of all Python threads, those of other processes a second old at most."""
    app = script("""
import threading
gate = threading.Event()

def application(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        gate.wait(30)
    if environ["PATH_INFO"] == "/open":
        gate.set()
    start_response("200 OK", [])
    return [b"x"]
""")
    running = server(app, "--processes", "1", "--threads", "4", config='Header always set X-Workers "%i %b"\n')

    def says(text):
        return wait_for(lambda: running.get("/missing-or-not").headers["x-workers"] == text, what=text)

    # Behind a front the request itself is over when its fields are made, and there is a fifth thread, of another group.
    idle, busy = ("i=100 b=0", "i=60 b=40") if FRONT else ("i=75 b=25", "i=25 b=75")
    running.get("/")
    says(idle)  # without a front there is the request itself
    waiting = [Conn(running.port) for _ in range(2)]
    for conn in waiting:
        conn.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    says(busy)
    running.get("/open")
    for conn in waiting:
        assert conn.response()[0] == 200
        conn.sock.close()
    says(idle)
