"""What the tests of authentication share: the application, sites with a closed corner, files of passwords."""

import shutil
import subprocess

import pytest

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


BASIC = """
AuthType Basic
AuthName "The realm"
AuthUserFile "@DIR@/users"
Require valid-user
"""


def site_factory(server, tmp_path):
    """site(text of <Location /in>, **files) -> Server with APP on /; @DIR@ is the folder of the files."""

    def factory(text, *options, outside="", **files):
        app = tmp_path / "app.wsgi"
        app.write_text(APP)
        for name, content in files.items():
            (tmp_path / name).write_text(content)
        config = f"WSGIPassAuthorization Off\n{outside}\n<Location /in>\n{text}\n</Location>\n"
        return server(app, *options, config=config.replace("@DIR@", str(tmp_path)))

    return factory
