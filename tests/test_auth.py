"""Authentication and access control: Basic, Digest, files of users and groups, host rules, and Python scripts."""

import base64
import concurrent.futures
import re
import shutil
import socket
import subprocess
import time

import httpx
import pytest

from harness import wait_for

pytestmark = pytest.mark.ours

APP = """
def application(environ, start_response):
    keys = "REMOTE_USER", "AUTH_TYPE", "HTTP_AUTHORIZATION", "SCRIPT_NAME", "PATH_INFO", "REDIRECT_REMOTE_USER"
    body = "".join(f"{key}={environ.get(key)}\\n" for key in keys).encode("latin-1")
    body += environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""



def htpasswd(*options, user="joe", password="secret"):
    """One line of a password file."""
    return subprocess.run(["htpasswd", "-nb", *options, user, password], capture_output=True, text=True,
                          check=True).stdout.strip()


def fields(response):
    return dict(line.split("=", 1) for line in response.text.splitlines() if "=" in line)


needs_htpasswd = pytest.mark.skipif(not shutil.which("htpasswd"), reason="htpasswd is not installed")


@pytest.fixture
def site(server, tmp_path):
    """Factory: site(text of <Location /in>, **files) -> Server with APP on /; @DIR@ is the folder of the files."""

    def factory(text, *options, outside="", **files):
        app = tmp_path / "app.wsgi"
        app.write_text(APP)
        for name, content in files.items():
            (tmp_path / name).write_text(content)
        config = f"WSGIPassAuthorization Off\n{outside}\n<Location /in>\n{text}\n</Location>\n"
        return server(app, *options, config=config.replace("@DIR@", str(tmp_path)))

    return factory


BASIC = """
AuthType Basic
AuthName "The realm"
AuthUserFile "@DIR@/users"
Require valid-user
"""


@needs_htpasswd
@pytest.mark.parametrize("options", ["-B", "-m", "-s"])
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


@pytest.mark.parametrize("path", ["/in", "/in/", "/in/x", "//in/x", "/%69n/x", "/./in/x", "/y/../in/x", "/in/%2e/x", "/in;x/../in"])
def test_no_way_around(site, path):
    running = site(BASIC, users="joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
    answer = running.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 401 "), answer


def test_authorization_is_passed_when_asked(site):
    running = site(BASIC + "WSGIPassAuthorization On", users="joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
    assert fields(running.get("/in", auth=("joe", "secret")))["HTTP_AUTHORIZATION"] == "Basic am9lOnNlY3JldA=="
