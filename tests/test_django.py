"""A real Django project: database, sessions, CSRF, uploads, streaming, files; also through runmodwsgi."""

import hashlib
import os
import subprocess
import sys
import threading

import httpx
import pytest

from harness import ENVIRON, HERE, Server, finish_all, free_port, start

pytest.importorskip("django", reason="Django is not installed (tests/requirements.txt)")
SITE = HERE / "projects" / "django_site"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with a migrated database."""
    folder = tmp_path_factory.mktemp("django-data")
    subprocess.run([sys.executable, str(SITE / "manage.py"), "migrate", "-v0"], check=True, timeout=60,
                   env={**os.environ, "DJANGO_SITE_DATA": str(folder)})
    return folder


@pytest.fixture(scope="module")
def site(data, tmp_path_factory):
    running = start(None, "--application-type", "module", "--entry-point", "site_app.wsgi", "--working-directory", SITE,
                    root=tmp_path_factory.mktemp("django"), env={"DJANGO_SITE_DATA": str(data)})
    yield running
    finish_all([running])


@pytest.fixture
def client(site):
    with httpx.Client(base_url=site.url, trust_env=False, timeout=10) as one:
        yield one


def test_database_and_template(client):
    made = client.post("/items/0/", data={"name": "T\xe9a & co", "price": "3.50"})
    assert made.status_code == 201
    number = made.json()["id"]
    assert f'<a href="/items/{number}/">T\xe9a &amp; co</a> 3.50' in client.get("/").text
    answer = client.get(f"/items/{number}/").json()
    assert answer["name"] == "T\xe9a & co" and answer["url"] == f"{client.base_url}/items/{number}/"


def test_session_and_csrf(client):
    assert client.post("/cart/", data={"thing": "tea"}).status_code == 403
    token = client.get("/token/").text
    for thing in ("tea", "milk"):
        answer = client.post("/cart/", data={"thing": thing}, headers={"X-CSRFToken": token})
        assert answer.status_code == 200
    assert client.get("/cart/").json() == {"things": ["tea", "milk"]}
    assert httpx.get(f"{client.base_url}/cart/", trust_env=False).json() == {"things": []}


@pytest.mark.parametrize(("size", "kind"), [(1_000, "InMemoryUploadedFile"), (3_000_000, "TemporaryUploadedFile")])
def test_upload(client, size, kind):
    body = os.urandom(size)
    answer = client.post("/upload/", files={"file": ("data.bin", body)}).json()
    assert answer == {"size": size, "saved": size, "sha256": hashlib.sha256(body).hexdigest(), "kind": kind}


def test_stream_and_file(client):
    assert client.get("/stream/?rows=3000").text == "".join(f"{i},{i * i}\n" for i in range(3000))
    answer = client.get("/download/")
    assert answer.content == (SITE / "shop" / "views.py").read_bytes()
    assert answer.headers["content-length"] == str(len(answer.content))


def test_request_as_django_sees_it(client):
    answer = client.put("/echo/", content="b\xf6dy".encode(),
                        headers={"Content-Type": "text/plain", "X-Thing": "value"})
    assert answer.json() == {"body": "b\xf6dy", "path": "/echo/", "scheme": "http", "type": "text/plain",
                             "header": "value", "address": "127.0.0.1"}


def test_conditional_get(client):
    first = client.get("/token/")
    page = client.get("/")
    assert page.headers["etag"] and first.status_code == 200
    again = client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_errors(client, site):
    assert client.get("/fail/").status_code == 500
    assert client.get("/items/999999/").status_code == 404
    assert client.get("/cart").status_code == 301
    assert client.get("/", headers={"Host": "evil.test"}).status_code == 400
    site.wait_log("ArithmeticError: on purpose")


def test_many_threads_share_the_database(site):
    """Eight clients write at once through five server threads; every row arrives once."""
    made = []

    def buy(customer):
        with httpx.Client(base_url=site.url, trust_env=False, timeout=30) as one:
            for i in range(5):
                made.append(one.post("/items/0/", data={"name": f"c{customer}-{i}", "price": "1"}).json()["id"])

    threads = [threading.Thread(target=buy, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert len(made) == len(set(made)) == 40


def test_runmodwsgi(data, tmp_path):
    """manage.py runmodwsgi: the application and the static files come from the settings, the rest from options."""
    (data / "static").mkdir(exist_ok=True)
    (data / "static" / "site.css").write_text("body {}\n")
    port, root = free_port(), tmp_path / "root"
    site = Server([sys.executable, str(SITE / "manage.py"), "runmodwsgi", "--host", "127.0.0.1", "--port", str(port),
                   "--server-root", str(root), "--setenv", "SHOP", "open", "--url-alias", "/notes", str(HERE / "apps")],
                  tmp_path, port, cwd=tmp_path, env={**ENVIRON, "DJANGO_SITE_DATA": str(data)})
    try:
        site.wait_ready()
        assert site.get("/").status_code == 200
        assert site.get("/static/site.css").text == "body {}\n"
        assert site.get("/notes/kitchen_sink.wsgi").status_code == 200
        assert site.output().startswith("Successfully ran command.\nServer URL         : http://127.0.0.1:")
        assert 'SetEnv SHOP open' in (root / "httpd.conf").read_text().replace('"', "")
    finally:
        site.finish()


@pytest.mark.parametrize(("words", "code", "said"), [
    (["--setup-only"], 0, "Control Script"),
    (["--initial-workers", "2"], 2, "needs to be within the range 0 to 1"),
    (["--https-port", "8443"], 1, "CommandError: option --https-port requires --ssl-certificate"),
    (["--enable-debugger", "--entry-point", "x"], 2, "unrecognized arguments: --entry-point x"),
])
def test_runmodwsgi_ends_without_serving(data, tmp_path, words, code, said):
    done = subprocess.run(
        [sys.executable, str(SITE / "manage.py"), "runmodwsgi", "--server-root", tmp_path / "root", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**ENVIRON, "DJANGO_SITE_DATA": str(data)},
    )
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr
