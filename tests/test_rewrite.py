"""mod_rewrite over real sockets: front controllers, canonical hosts, maintenance pages, maps, what applications see."""

import json
import os

import httpx
import pytest

APP = """
import json

def application(environ, start_response):
    body = environ["wsgi.input"].read()
    seen = {key: value for key, value in environ.items() if isinstance(value, str)}
    answer = json.dumps({"environ": seen, "body": body.decode("latin-1")}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]
"""

GROUP = """
WSGIProcessGroup "127.0.0.1:@PORT@"
WSGIApplicationGroup %{GLOBAL}
"""


@pytest.fixture
def site(server, script, tmp_path):
    """Factory: site(rules, files) -> a server whose host site.test has the rules, and the files in its root."""

    def factory(rules, files=(), mount="/app"):
        root = tmp_path / "site"
        for name, text in {"app.wsgi": APP, **dict(files)}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("@DOCS@", str(root)))
            if text.startswith("#!"):
                path.chmod(0o755)
        config = f"""{GROUP}
<VirtualHost *:@PORT@>
    ServerName site.test
    ServerAlias www.site.test old.test
    DocumentRoot "{root}"
    WSGIScriptAlias {mount} "{root}/app.wsgi"
    <Directory "{root}">
        Require all granted
        AllowOverride All
        Options +ExecCGI
    </Directory>
    {rules.replace("@DOCS@", str(root))}
</VirtualHost>
"""
        return server(script(APP), "--mount-point", "/main", config=config)

    return factory


def ask(running, path, host="site.test", method="GET", **kwargs):
    headers = {"Host": host, **kwargs.pop("headers", {})}
    return httpx.request(method, running.url + path, headers=headers, follow_redirects=False, **kwargs)


def environ(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["environ"]


def test_pass_through_to_an_application(site):
    running = site("""
    RewriteEngine On
    RewriteRule ^/item/(\\d+)$ /app/show?id=$1 [PT,QSA,E=ITEM:$1]
""")
    seen = environ(ask(running, "/item/17?lang=en"))
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"], seen["QUERY_STRING"]) == ("/app", "/show", "id=17&lang=en")
    assert seen["REQUEST_URI"] == "/item/17?lang=en"
    assert seen["ITEM"] == "17"
    assert seen["SCRIPT_URL"] == "/item/17"
    assert seen["SCRIPT_URI"] == "http://site.test/item/17"


def test_a_body_survives_an_internal_redirect(site):
    running = site("", {".htaccess": "RewriteEngine On\nRewriteRule ^form$ /app/target?a=b [E=WAY:rule]\n"})
    answer = ask(running, "/form?x=y", method="POST", content=b"hello " * 1000)
    seen = environ(answer)
    assert answer.json()["body"] == "hello " * 1000
    assert (seen["REQUEST_METHOD"], seen["PATH_INFO"], seen["QUERY_STRING"]) == ("POST", "/target", "a=b")
    assert seen["REDIRECT_URL"] == "/form"
    assert seen["REDIRECT_QUERY_STRING"] == "a=b"  # as the rule left it
    assert seen["REDIRECT_STATUS"] == "200"
    assert seen["REDIRECT_WAY"] == "rule"


def test_wordpress_front_controller(site):
    """The rules that WordPress writes, with a script of ours in the place of index.php."""
    running = site(
        "AddHandler wsgi-script .wsgi\nDirectoryIndex app.wsgi",
        {
            "blog/.htaccess": """
# BEGIN WordPress
<IfModule mod_rewrite.c>
RewriteEngine On
RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]
RewriteBase /blog/
RewriteRule ^app\\.wsgi$ - [L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteRule . /blog/app.wsgi [L]
</IfModule>
# END WordPress
""",
            "blog/app.wsgi": APP,
            "blog/style.css": "body {}",
            "blog/images/x.txt": "x",
        },
    )
    assert ask(running, "/blog/style.css").text == "body {}"
    assert ask(running, "/blog/images/x.txt").text == "x"
    seen = environ(ask(running, "/blog/2024/05/hello-world/?page=2"))
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"], seen["QUERY_STRING"]) == ("/blog/app.wsgi", "", "page=2")
    assert seen["REDIRECT_URL"] == "/blog/2024/05/hello-world/"
    assert environ(ask(running, "/blog/"))["SCRIPT_NAME"].startswith("/blog/")
    assert ask(running, "/blog").headers["location"] == "http://site.test/blog/"


def test_script_at_the_root_of_a_site(site):
    """The configuration guide's way to have site.wsgi answer for every URL that is no file."""
    running = site(
        """
    AddHandler wsgi-script .wsgi
    RewriteEngine On
    RewriteCond %{DOCUMENT_ROOT}%{REQUEST_FILENAME} !-f
    RewriteRule ^(.*)$ /site.wsgi$1 [QSA,PT,L]
""",
        {"site.wsgi": APP, "robots.txt": "nobody"},
    )
    assert ask(running, "/robots.txt").text == "nobody"
    seen = environ(ask(running, "/any/where?q=1"))
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"], seen["QUERY_STRING"]) == ("/site.wsgi", "/any/where", "q=1")


def test_variables_for_directives_of_the_application(site):
    """E= chooses what %{ENV:} names, and sets what the application reads."""
    running = site("""
    SetEnv demo.debugging 0
    RewriteEngine On
    RewriteCond %{REMOTE_ADDR} ^127.0.0.1$
    RewriteRule . - [E=demo.debugging:1]
    RewriteCond %{REQUEST_URI} ^/~([^/]+)
    RewriteRule . - [E=GROUP:~%1]
    WSGIScriptAliasMatch ^/~[^/]+ "@DOCS@/app.wsgi"
    WSGIApplicationGroup %{ENV:GROUP}
""")
    seen = environ(ask(running, "/~joe/x"))
    assert seen["GROUP"] == "~joe"
    assert seen["mod_wsgi.application_group"] == "~joe"
    # SetEnv comes later, in the fixup phase, and wins, as in httpd whatever guides say
    assert seen["demo.debugging"] == "0"


CANONICAL = """
    RewriteEngine On
    RewriteCond %{HTTP_HOST} !^www\\.site\\.test$ [NC]
    RewriteCond %{HTTP_HOST} !=""
    RewriteRule ^/?(.*) http://www.site.test/$1 [L,R=301,NE]
"""


def test_canonical_host(site):
    running = site(CANONICAL)
    answer = ask(running, "/app/x?y=%20z", host="old.test")
    assert (answer.status_code, answer.headers["location"]) == (301, "http://www.site.test/app/x?y=%20z")
    assert environ(ask(running, "/app/x", host="WWW.site.test"))["PATH_INFO"] == "/x"


def test_maintenance_page(site, tmp_path):
    running = site(
        """
    RewriteEngine On
    ErrorDocument 503 /maintenance.html
    RewriteCond @DOCS@/maintenance.flag -f
    RewriteCond %{REQUEST_URI} !=/maintenance.html
    RewriteRule ^ - [R=503,L]
""",
        {"maintenance.html": "back soon"},
    )
    assert environ(ask(running, "/app"))["SCRIPT_NAME"] == "/app"
    flag = tmp_path / "site" / "maintenance.flag"
    flag.touch()
    answer = ask(running, "/app/x")
    assert (answer.status_code, answer.text) == (503, "back soon")
    flag.unlink()
    assert ask(running, "/app").status_code == 200


def test_maps(site, tmp_path):
    running = site(
        """
    RewriteEngine On
    RewriteMap pages "txt:@DOCS@/pages.txt"
    RewriteMap lower int:tolower
    RewriteMap ask "prg:@DOCS@/ask.sh"
    RewriteRule ^/page/(.+)$ /app/${pages:$1|unknown} [PT]
    RewriteRule ^/low/(.+)$ /app/${lower:$1} [PT]
    RewriteRule ^/ask/(.+)$ /app/${ask:$1|nothing} [PT]
""",
        {
            "pages.txt": "home index\nabout us\n",
            "ask.sh": "#!/bin/sh\nwhile read key\ndo case $key in no) echo NULL;; *) echo answer-$key-$$; esac\ndone\n",
        },
    )
    names = ("/page/home", "/page/x", "/low/ABC", "/ask/no")
    path = {name: environ(ask(running, name))["PATH_INFO"] for name in names}
    assert path == {"/page/home": "/index", "/page/x": "/unknown", "/low/ABC": "/abc", "/ask/no": "/nothing"}
    pages = tmp_path / "site" / "pages.txt"
    pages.write_text("home changed\n")
    os.utime(pages, (1, 1))
    assert environ(ask(running, "/page/home"))["PATH_INFO"] == "/changed"
    first = environ(ask(running, "/ask/x"))["PATH_INFO"]
    assert first.startswith("/answer-x-")
    assert environ(ask(running, "/ask/x"))["PATH_INFO"] == first, "the program goes on running"
    with httpx.Client(headers={"Host": "site.test"}) as client:
        answers = [client.get(f"{running.url}/ask/{n}").json()["environ"]["PATH_INFO"] for n in range(50)]
    assert [answer.split("-")[1] for answer in answers] == [str(n) for n in range(50)]


def test_refused_and_gone(site):
    running = site("""
    RewriteEngine On
    RewriteCond %{HTTP_USER_AGENT} "^Bad Bot"
    RewriteRule ^ - [F]
    RewriteRule ^/removed - [G]
    RewriteRule ^/teapot - [R=404]
""")
    assert ask(running, "/app", headers={"User-Agent": "Bad Bot/1"}).status_code == 403
    assert ask(running, "/app", headers={"User-Agent": "Good"}).status_code == 200
    assert ask(running, "/removed/x").status_code == 410
    assert ask(running, "/teapot").status_code == 404


def test_no_response_splitting(site):
    running = site("""
    RewriteEngine On
    RewriteRule ^/go/(.*)$ http://site.test/$1 [R,NE]
    RewriteRule ^/cookie/(.*)$ - [CO=name:$1:site.test,F]
""")
    for path in ("/go/a%0d%0aSet-Cookie:%20x=y", "/cookie/a%0d%0aX:%20y"):
        answer = ask(running, path)
        assert answer.status_code == 500
        assert "set-cookie" not in answer.headers
        assert "x" not in answer.headers


def test_log_of_the_rules(site):
    running = site("""
    LogLevel warn rewrite:trace3
    RewriteEngine On
    RewriteRule ^/a$ /app/b [PT]
""")
    assert ask(running, "/a").status_code == 200
    running.wait_log(r"rewrite:trace3.*applying pattern '\^/a\$' to uri '/a'")
    running.wait_log(r"rewrite:trace2.*rewrite '/a' -> '/app/b'")


def test_internal_redirect_loop(site):
    running = site("", {".htaccess": "RewriteEngine On\nRewriteRule ^loop(.*)$ loop$1x\n"})
    assert ask(running, "/loop").status_code == 500
    running.wait_log("more than 10 internal redirects")


def test_keep_alive_after_a_slow_decision(site):
    """A program's answer comes from another thread; the connection goes on all the same."""
    running = site(
        """
    RewriteEngine On
    RewriteMap ask "prg:@DOCS@/ask.sh"
    RewriteRule ^/ask/(.+)$ /app/${ask:$1} [PT]
""",
        {"ask.sh": "#!/bin/sh\nwhile read key; do sleep 0.05; echo $key; done\n"},
    )
    with running.conn() as conn:
        for n in range(3):
            conn.send(f"POST /ask/{n} HTTP/1.1\r\nHost: site.test\r\nContent-Length: 3\r\n\r\nabc".encode())
            status, _, body = conn.response()
            assert status == 200
            seen = json.loads(body)
            assert (seen["environ"]["PATH_INFO"], seen["body"]) == (f"/{n}", "abc")


# mod_wsgi-express: options that make the document root's rules count for the application too.

RULES = """
RewriteRule ^secret - [F]
RewriteRule ^old/(.*)$ /new/$1 [R=301,L]
RewriteRule ^inner/(.*)$ /app-path/$1?from=rule [QSA,E=RULED:yes]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteRule ^files/(.*)\\.txt$ /pages/$1.txt
"""


def documents(folder):
    for name, text in {
        "pages/a.txt": "a file",
        "index.txt": "top",
        ".hidden": "not for clients",
        "sub/index.html": "an index",
        "empty/dir/x.txt": "x",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_express_rewrite_rules(server, script, tmp_path):
    rules = tmp_path / "rules.conf"
    rules.write_text(RULES)
    docs = documents(tmp_path / "docs")
    running = server(script(APP), "--rewrite-rules", rules, "--document-root", docs)
    assert running.get("/secret/x").status_code == 403
    answer = running.get("/old/x?y=z")
    assert (answer.status_code, answer.headers["location"]) == (301, f"{running.url}/new/x?y=z")
    seen = running.json("/inner/x?a=b")["environ"]
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"], seen["QUERY_STRING"]) == ("", "/app-path/x", "from=rule&a=b")
    assert seen["REDIRECT_RULED"] == "yes"
    assert running.get("/files/a.txt").text == "a file"
    assert running.get("/pages/a.txt").text == "a file"
    seen = running.json("/any/path")["environ"]
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("", "/any/path")
    assert running.json("/")["environ"]["PATH_INFO"] == "/"
    assert running.json("/.hidden")["environ"]["PATH_INFO"] == "/.hidden"
    assert running.get("/sub/").text == "an index"
    assert running.json("/empty/dir/")["environ"]["PATH_INFO"] == "/empty/dir/"
    answer = running.client.post(running.url + "/inner/form", content=b"abc")
    assert (answer.json()["body"], answer.json()["environ"]["REQUEST_METHOD"]) == ("abc", "POST")


def test_express_rules_with_a_mount_point(server, script, tmp_path):
    rules = tmp_path / "rules.conf"
    rules.write_text("RewriteRule ^api/secret - [F]\n")
    running = server(script(APP), "--rewrite-rules", rules, "--mount-point", "/api")
    assert running.get("/api/secret").status_code == 403
    seen = running.json("/api/x/y")["environ"]
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/api", "/x/y")
    assert running.get("/other").status_code == 404


def test_express_htaccess(server, script, tmp_path):
    docs = documents(tmp_path / "docs")
    (docs / ".htaccess").write_text("RewriteEngine On\nRewriteRule ^no-entry - [F]\nRewriteRule ^go/(.*)$ /target/$1\n")
    running = server(script(APP), "--allow-override", "FileInfo", "--document-root", docs)
    assert running.get("/no-entry").status_code == 403
    assert running.json("/go/x")["environ"]["PATH_INFO"] == "/target/x"
    assert running.get("/pages/a.txt").text == "a file"
    assert running.get("/.htaccess").status_code == 403


def test_express_with_cgi(server, script, tmp_path):
    docs = documents(tmp_path / "docs")
    program = docs / "hello.cgi"
    program.write_text("#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello %s' \"$PATH_INFO\"\n")
    program.chmod(0o755)
    running = server(script(APP), "--with-cgi", "--document-root", docs)
    assert running.get("/hello.cgi").text == "hello "
    assert running.json("/x")["environ"]["PATH_INFO"] == "/x"


def test_express_add_handler(server, script, tmp_path):
    docs = documents(tmp_path / "docs")
    upper = script(
        """
def handle_request(environ, start_response):
    with open(environ["SCRIPT_FILENAME"], "rb") as file:
        body = file.read().upper() + environ["PATH_INFO"].encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
""",
        "upper.py",
    )
    running = server(script(APP), "--add-handler", ".txt", upper, "--document-root", docs)
    assert running.get("/pages/a.txt").text == "A FILE"
    assert running.get("/index.txt/more").status_code in (200, 404)
    assert running.json("/other")["environ"]["PATH_INFO"] == "/other"


def test_handler_script(site):
    """One WSGIHandlerScript serves any number of URLs, files or not."""
    running = site(
        """
    WSGIHandlerScript by-hand "@DOCS@/handler.py" application-group=%{GLOBAL}
    <Location /by-hand>
        SetHandler by-hand
    </Location>
    RewriteEngine On
    RewriteRule ^/forced/ - [H=by-hand]
""",
        {
            "handler.py": """
def handle_request(environ, start_response):
    names = ("SCRIPT_FILENAME", "mod_wsgi.request_handler", "mod_wsgi.handler_script")
    body = "|".join(environ[name] for name in names).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
""",
            "by-hand/file.txt": "raise SystemExit",
        },
    )
    for path, name in {
        "/by-hand/file.txt": "by-hand/file.txt",
        "/by-hand/none": "by-hand/none",
        "/forced/x": "forced",
    }.items():
        file, handler, script = ask(running, path).text.split("|")
        assert file.endswith("/site/" + name)
        assert handler == "by-hand"
        assert script.endswith("/handler.py")
