"""A real Flask site: templates, sessions, uploads, streaming, send_file and errors."""

import hashlib

import httpx
import pytest

from harness import HERE, finish_all, start

pytest.importorskip("flask", reason="Flask is not installed (tests/requirements.txt)")
SITE = HERE / "projects" / "flask_site"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    running = start(SITE / "app.wsgi", root=tmp_path_factory.mktemp("flask"))
    yield running
    finish_all([running])


@pytest.fixture
def client(site):
    with httpx.Client(base_url=site.url, trust_env=False, timeout=10) as one:
        yield one


def test_template(client, site):
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Notes &amp; more</title>" in answer.text and "<li>&lt;first&gt;</li>" in answer.text
    assert "second \N{SNOWMAN}" in answer.text
    assert f'href="{site.url}/note/7"' in answer.text
    assert float(answer.headers["x-took"]) >= 0


def test_url_and_arguments(client, site):
    answer = client.get("/note/5", params={"q": "caf\xe9 & more"}).json()
    assert answer["number"] == 5 and answer["args"] == {"q": "caf\xe9 & more"} and answer["root"] == ""
    assert answer["url"].startswith(site.url + "/note/5?q=")


def test_session_cookie(client):
    assert client.get("/me").status_code == 401
    answer = client.post("/login", data={"user": "ada"})
    assert answer.status_code == 302 and answer.headers["location"] == "/me"
    assert client.get("/me").json() == {"user": "ada", "visits": 1, "flashes": ["welcome"]}
    assert client.get("/me").json() == {"user": "ada", "visits": 2, "flashes": []}


def test_upload(client):
    small, large = b"small file\r\n--not a boundary\r\n", bytes(range(256)) * 12_000
    answer = client.post("/upload", data={"title": "two files"}, files={
        "a": ("a.txt", small, "text/plain"), "b": ("caf\xe9.bin", large, "application/octet-stream")}).json()
    assert answer["a"] == ["a.txt", "text/plain", hashlib.sha256(small).hexdigest(), len(small)]
    assert answer["b"][2:] == [hashlib.sha256(large).hexdigest(), len(large)]
    assert answer["fields"] == {"title": "two files"}


def test_upload_over_the_limit_of_the_application(client):
    assert client.post("/upload", files={"a": ("a", b"x" * (9 * 1024 * 1024))}).status_code == 413
    assert client.get("/note/1").status_code == 200


def test_json(client):
    assert client.post("/json", json={"a": [1, None, "\N{SNOWMAN}"]}).json() == {"a": [1, None, "\N{SNOWMAN}"]}
    assert client.post("/json", content=b"{bad", headers={"Content-Type": "application/json"}).status_code == 400


def test_stream_with_context(client):
    assert client.get("/stream?rows=2000&prefix=x").text == "".join(f"x,{i}\n" for i in range(2000))


def test_send_file(client):
    expected = (SITE / "notebook.py").read_bytes()
    answer = client.get("/download")
    assert answer.content == expected and answer.headers["content-length"] == str(len(expected))
    assert "notebook.py" in answer.headers["content-disposition"]
    assert client.get("/download", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    part = client.get("/download", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, expected[10:20])
    assert client.get("/memory").content == b"m" * 100_000
    assert client.head("/download").headers["content-length"] == str(len(expected))


def test_errors(client, site):
    client.get("/torn-down")
    answer = client.get("/fail")
    assert answer.status_code == 500 and "on purpose" not in answer.text
    site.wait_log("ZeroDivisionError: on purpose")
    assert "ZeroDivisionError" in client.get("/torn-down").json()
    assert client.get("/nowhere").status_code == 404
    assert client.post("/").status_code == 405
