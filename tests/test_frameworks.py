"""What people do with Flask, Django, Pyramid, Bottle and FastAPI: one site written in each, the same tests for all."""

import hashlib
import re

import httpx
import pytest

from frameworks_packages import folder
from harness import HERE, finish_all, start

pytestmark = [pytest.mark.timeout(900)]
SITES = ["flask", "django", "pyramid", "bottle", "fastapi"]
STYLE = (HERE / "frameworks" / "files" / "style.css").read_bytes()


def launch(name, root, *options):
    return start(HERE / "frameworks" / f"{name}_site.py", "--python-path", folder(), *options, root=root)


@pytest.fixture(scope="module", params=SITES)
def site(request, tmp_path_factory):
    running = launch(request.param, tmp_path_factory.mktemp(request.param), "--processes", "2")
    running.framework = request.param
    yield running
    finish_all([running])


@pytest.fixture
def client(site):
    with httpx.Client(base_url=site.url, trust_env=False, timeout=20) as one:
        yield one


def test_page(client):
    for _ in range(3):
        answer = client.get("/")
        assert (answer.status_code, answer.text) == (200, "hello")


@pytest.mark.parametrize("name", ["plain", "caf\xe9", "with space", "\u20ac", "a+b&c", "100%"])
def test_names_and_queries(client, name):
    answer = client.get("/name/" + httpx.QueryParams({"": name}).__str__()[1:].replace("+", "%20"), params={"q": name})
    assert answer.json() == {"name": name, "query": name}


def test_urls_of_its_own(site, client):
    answer = client.get("/absolute").json()
    assert answer["url"].rstrip("/") == site.url and answer["path"] == "/name/x"
    other = client.get("/absolute", headers={"Host": "example.test:8080"}).json()
    assert other["url"].rstrip("/") == "http://example.test:8080"


def test_session_redirect_and_flash(site, client):
    answer = client.get("/session/first")
    assert answer.status_code in (302, 303)
    assert answer.headers["location"] in ("/session", f"{site.url}/session")
    assert client.get("/session").json() == {"value": "first", "messages": ["kept first"]}
    assert client.get("/session").json() == {"value": "first", "messages": []}
    assert client.get("/session/second", follow_redirects=True).json()["value"] == "second"
    with httpx.Client(base_url=site.url, trust_env=False) as another:
        assert another.get("/session").json()["value"] is None


def test_several_cookies(client):
    fields = client.get("/cookies").headers.get_list("set-cookie")
    assert [field.partition("=")[0] for field in fields] == ["one", "two"]


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
def test_upload(client, size):
    data = bytes(i * 31 % 256 for i in range(min(size, 4096))) * (size // 4096 + 1)
    data = data[:size]
    answer = client.post("/upload", files={"file": ("r\xe9sum\xe9.bin", data)}, data={"note": "a note \u20ac"})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "name": "r\xe9sum\xe9.bin",
        "size": size,
        "digest": hashlib.sha256(data).hexdigest(),
        "note": "a note \u20ac",
    }


def test_json(client):
    value = {"list": [1, 2.5, None, "\u20ac"], "deep": {"x": "y" * 70_000}}
    assert client.post("/json", json=value).json() == value


def test_chunked_body(client):
    """A body of unknown length. Those who read only what CONTENT_LENGTH says see none."""
    answer = client.post("/json", content=iter([b'{"a"', b": 1}"]), headers={"Content-Type": "application/json"})
    assert answer.status_code in (200, 400, 500)
    assert client.get("/").text == "hello"


def test_stream(client):
    with client.stream("GET", "/stream") as answer:
        assert "content-length" not in answer.headers
        assert "".join(answer.iter_text()) == "".join(f"line {n}\n" for n in range(1000))


def test_download(client):
    answer = client.get("/download")
    assert answer.content == STYLE and answer.headers["content-length"] == str(len(STYLE))
    assert "copy.css" in answer.headers["content-disposition"] and answer.headers["content-disposition"].startswith(
        "attachment"
    )


def test_static_files(client):
    answer = client.get("/static/style.css")
    assert answer.content == STYLE and answer.headers["content-type"].startswith("text/css")
    modified = answer.headers["last-modified"]
    assert client.get("/static/style.css", headers={"If-Modified-Since": modified}).status_code in (200, 304)
    assert client.get("/static/none.css").status_code == 404


def test_error_pages(site, client):
    answer = client.get("/there-is-none")
    assert (answer.status_code, answer.text) == (404, "own page for what is missing")
    assert client.get("/forbidden").status_code == 403
    assert client.post("/", content=b"x").status_code in (200, 404, 405)
    answer = client.get("/boom")
    assert answer.status_code == 500 and "boom of the site" not in answer.text
    if site.framework != "fastapi":  # a2wsgi keeps it to itself
        site.wait_log("RuntimeError: boom of the site")
        assert re.search(r"File \".*_site\.py\", line \d+, in boom", site.log())
    assert client.get("/").text == "hello"


def test_head(client):
    for path in ("/", "/download", "/stream"):
        answer = client.head(path)
        assert answer.status_code in (200, 405) and answer.content == b""
    assert client.get("/").text == "hello"


@pytest.mark.parametrize("name", SITES)
def test_mounted_below_a_path(name, tmp_path):
    """--mount-point: links and redirects of the site begin with it."""
    running = launch(name, tmp_path / "root", "--mount-point", "/below")
    try:
        assert running.get("/below/").text == "hello"
        answer = running.json("/below/absolute")
        assert answer["url"].rstrip("/") == running.url + "/below" and answer["path"] == "/below/name/x"
        location = running.get("/below/session/x").headers["location"]
        assert location in ("/below/session", running.url + "/below/session")
        assert running.get("/").status_code in (403, 404)
    finally:
        finish_all([running])
