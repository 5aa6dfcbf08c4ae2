"""Listings of directories and the choice among variants

as browsers meet them: mod_autoindex, mod_negotiation, mod_mime.
"""

import gzip
import re

import pytest

from harness import finish_all, start

APP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SCRIPT_NAME"].encode()]
"""

CONFIG = """
AddLanguage en .en
AddLanguage fr .fr
AddEncoding gzip .gz
AddType text/css .css
LanguagePriority en fr
<Directory "@DOCS@">
    Options +MultiViews
    MultiviewsMatch NegotiatedOnly Handlers
    AddHandler wsgi-script .wsgi
    Options +ExecCGI
    PrecompressedFiles On
    IndexOptions FancyIndexing VersionSort
</Directory>
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    base = tmp_path_factory.mktemp("content")
    docs = base / "docs"
    (docs / "list" / "sub").mkdir(parents=True)
    for name in ("a<b.txt", "f-10", "f-9", ".hidden", "caf\xe9.txt", "list/x.txt", "list/.htaccess"):
        (docs / name).write_text(name)
    for name in ("page.html.en", "page.html.fr"):
        (docs / name).write_text(name)
    (docs / "style.css.gz").write_bytes(gzip.compress(b"p { color: red }" * 20, mtime=0))
    (docs / "ready.css").write_text("p { color: blue }")
    (docs / "ready.css.gz").write_bytes(gzip.compress(b"p { color: blue }", mtime=0))
    (docs / "hello.wsgi").write_text(APP)
    running = start(docs, "--application-type", "static", "--directory-listing", root=base / "root",
                    config=CONFIG.replace("@DOCS@", str(docs)))
    yield running
    finish_all([running])


def links(text):
    return re.findall(r'<a href="([^"?]+)"', text)


def test_listing(site):
    answer = site.get("/")
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/html;charset=UTF-8"
    found = links(answer.text)
    assert (
        found.index("f-9") < found.index("f-10")
        and "a%3Cb.txt" in found
        and "list/" in found
        and ".hidden" not in found
    )
    for link in found:
        assert site.get("/" + link).status_code == 200, link
    assert links(site.get("/list/").text) == ["../", "sub/", "x.txt"]


def test_listing_sorted_by_the_client(site):
    up, down = links(site.get("/?C=N;O=A").text), links(site.get("/?C=N;O=D").text)
    assert up == down[::-1]
    assert "<table>" in site.get("/?F=2").text


def test_head_of_a_listing(site):
    whole, head = site.get("/list/"), site.request("HEAD", "/list/")
    assert head.headers["content-length"] == str(len(whole.content)) and not head.content


def test_other_methods_on_a_directory(site):
    assert site.post("/list/").status_code in (403, 404, 405)
    assert site.get("/list").headers["location"].endswith("/list/")


def test_language_of_a_page(site):
    answer = site.get("/page", headers={"Accept-Language": "fr, en;q=0.5"})
    assert answer.text == "page.html.fr" and answer.headers["content-language"] == "fr"
    assert answer.headers["content-location"] == "page.html.fr" and "accept-language" in answer.headers["vary"]
    assert site.get("/page", headers={"Accept-Language": "en"}).text == "page.html.en"
    none = site.get("/page", headers={"Accept-Language": "it"})
    assert none.status_code == 406 and links(none.text) == ["page.html.en", "page.html.fr"]


def test_precompressed_file_by_multiviews(site):
    answer = site.get("/style.css", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip" and answer.text.startswith("p { color")
    again = site.get("/style.css", headers={"Accept-Encoding": "gzip", "If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_precompressed_file_beside_the_other(site):
    for _ in range(2):
        small = site.get("/ready.css", headers={"Accept-Encoding": "gzip"})
        assert small.headers["content-encoding"] == "gzip" and small.headers["content-type"] == "text/css"
        plain = site.get("/ready.css", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers and plain.text == small.text == "p { color: blue }"
        assert plain.headers["vary"] == small.headers["vary"] == "Accept-Encoding"
        assert plain.headers["etag"] != small.headers["etag"]


def test_script_without_its_extension(site):
    assert site.get("/hello").text == site.get("/hello.wsgi").text == "/hello.wsgi"


def test_large_directory(site):
    many = site.root.parent / "docs" / "many"
    many.mkdir()
    for number in range(300):
        (many / f"file{number}.txt").touch()
    assert len(links(site.get("/many/").text)) == 301
    assert site.get("/many/file7").status_code == 200
    assert site.get("/many/file").status_code == 404
