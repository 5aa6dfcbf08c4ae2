"""Paths that try to get at what is not to be seen. The statuses are those of httpd 2.4 on the same tree."""

import os

import pytest

from harness import ENVIRON, finish_all, parse, start

CONFIG = """
<Directory "@DOCS@/nolink">
    Options None
</Directory>
<Directory "@DOCS@/owner">
    Options SymLinksIfOwnerMatch
</Directory>
<Files ".ht*">
    Require all denied
</Files>
Alias /al "@DOCS@/in"
Alias /als/ "@DOCS@/in/"
Alias /one "@DOCS@/f.txt"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    base = tmp_path_factory.mktemp("paths")
    docs = base / "docs"
    for name in ("in", "nolink", "owner", "a b", "x%2fy"):
        (docs / name).mkdir(parents=True)
    for name in ("f.txt", "in/f.txt", "q?.txt", "b\\s.txt", "dots..", ".htpasswd", "x%2fy/f.txt"):
        (docs / name).write_text(name)
    (base / "outside.txt").write_text("outside")
    os.mkfifo(docs / "fifo")
    for name, target in {
        "dirlink": "in",
        "loop": "loop",
        "device": "/dev/zero",
        "nolink/file": "../f.txt",
        "nolink/dir": "../in",
        "owner/same": "../f.txt",
        "up": "..",
    }.items():
        (docs / name).symlink_to(target)
    running = start(
        docs,
        "--application-type",
        "static",
        root=base / "root",
        config=CONFIG.replace("@DOCS@", str(docs)),
        env=ENVIRON,
    )
    running.docs = docs
    yield running
    finish_all([running])


def status(site, target, method=b"GET"):
    answer = site.raw(method + b" " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    code, _, body = parse(answer)
    assert b"outside" not in body
    return code


@pytest.mark.parametrize(
    "target",
    [
        b"/f.txt",
        b"/in/../f.txt",
        b"//f.txt",
        b"///in///f.txt",
        b"/./f.txt",
        b"/.//./f.txt",
        b"/in/%2e%2e/f.txt",
        b"/in/.%2e/f.txt",
        b"/f%2etxt",
        b"/%66.txt",
        b"/f.txt/../f.txt",
        b"/dots..",
        b"/q%3f.txt",
        b"/b%5cs.txt",
        b"/b\\s.txt",
        b"/x%252fy/f.txt",
        b"/dirlink/f.txt",
        b"/owner/same",
        b"/al/f.txt",
        b"//al/f.txt",
        b"/%61l/f.txt",
        b"/als/f.txt",
        b"/one",
        b"/f.txt?../../outside.txt",
        b"http://x/f.txt",
    ],
)
def test_served(site, target):
    assert status(site, target) == 200
    assert status(site, target) == 200  # from the cache, if it is a plain one


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/../outside.txt", 400),
        (b"/%2e%2e/outside.txt", 400),
        (b"/in/../../outside.txt", 400),
        (b"/in/%2e%2e/%2e%2e/outside.txt", 400),
        (b"/..%2foutside.txt", 404),
        (b"/in/..%2f..%2foutside.txt", 404),
        (b"/..%5coutside.txt", 404),
        (b"/..\\outside.txt", 404),
        (b"/%252e%252e/outside.txt", 404),
        (b"/%c0%ae%c0%ae/outside.txt", 404),
        (b"/..;/outside.txt", 404),
        (b"/.../outside.txt", 404),
        (b"/in%2ff.txt", 404),
        (b"/%2fin/f.txt", 404),
        (b"/x%2fy/f.txt", 404),
        (b"/f.txt%00", 404),
        (b"/f.txt%00.html", 404),
        (b"/%00", 404),
        (b"/f.txt%", 400),
        (b"/f.txt%zz", 400),
        (b"/f.txt.", 404),
        (b"/f.txt/", 404),
        (b"/f.txt/x", 404),
        (b"/f.txt;x", 404),
        (b"/dots../", 404),
        (b"/.htpasswd", 403),
        (b"/%2ehtpasswd", 403),
        (b"/.htpasswd/x", 403),
        (b"/.ht", 403),
        (b"/fifo", 403),
        (b"/device", 403),
        (b"/loop", 403),
        (b"/loop/x", 403),
        (b"/nolink/file", 403),
        (b"/nolink/dir/f.txt", 403),
        (b"/nolink/dir", 403),
        (b"/alf.txt", 404),
        (b"/al../f.txt", 404),
        (b"/al/..%2ff.txt", 404),
        (b"/als", 404),
        (b"/al%2ff.txt", 404),
        (b"/onex", 404),
        (b"/one/x", 404),
        (b"/" + b"a" * 300, 403),
        (b"/%ff%fe", 404),
        (b"f.txt", 400),
        (b"*", 400),
    ],
)
def test_refused(site, target, expected):
    assert status(site, target) == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_link_of_another_owner(site):
    link = site.docs / "owner" / "theirs"
    link.symlink_to("/etc/passwd")
    os.lchown(link, 12345, 12345)
    assert status(site, b"/owner/theirs") == 403


def test_link_that_comes_after_the_file_was_cached(site):
    page = site.docs / "nolink" / "page.txt"
    page.write_text("page")
    assert status(site, b"/nolink/page.txt") == 200
    page.unlink()
    page.symlink_to("../f.txt")
    assert status(site, b"/nolink/page.txt") == 403
