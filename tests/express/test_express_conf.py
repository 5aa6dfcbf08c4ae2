"""The generated httpd.conf, against golden files in golden/.

After a wanted change, `UPDATE_GOLDEN=1 pytest tests/express` rewrites them; look at
the difference before committing it.
"""

import os
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"

CASES = {
    "script": "app.wsgi",
    "default-application": "",
    "module": "--application-type module package.site --callable-object app",
    "missing-script": "nowhere.wsgi",
    "static": "--application-type static pages",
    "static-document-root": "--application-type static --document-root pages --directory-index start.html",
    "host-port": "app.wsgi --host 127.0.0.1 --port 8080 --server-backlog 50",
    "ipv6": "app.wsgi --host [::1]",
    "http2": "app.wsgi --http2",
    "processes": "app.wsgi --processes 3 --threads 1",
    "single-process-given": "app.wsgi --processes 1",
    "embedded": "app.wsgi --embedded-mode --processes 2 --threads 8 --python-path lib --maximum-requests 100",
    "python": "app.wsgi --working-directory . --python-path lib --python-path /opt/lib --python-eggs eggs"
    " --switch-interval 0.01",
    "blanks": 'app.wsgi --python-path my_lib/with@blank --setenv KEY a@"b"',
    "timeouts": "app.wsgi --startup-timeout 1 --shutdown-timeout 2 --restart-interval 3 --cpu-time-limit 4"
    " --graceful-timeout 5 --eviction-timeout 6 --deadlock-timeout 7 --inactivity-timeout 8 --request-timeout 9"
    " --interrupt-timeout 10 --connect-timeout 11 --socket-timeout 12 --queue-timeout 13"
    " --response-socket-timeout 14 --header-timeout 15 --header-max-timeout 16 --header-min-rate 17"
    " --body-timeout 18 --body-max-timeout 19 --body-min-rate 20 --daemon-backlog 21 --send-buffer-size 600"
    " --receive-buffer-size 700 --header-buffer-size 9000 --response-buffer-size 70000 --response-flush-delay 22",
    "no-read-timeouts": "app.wsgi --header-timeout 0 --body-timeout 0 --keep-alive-timeout 0",
    "read-timeout-clauses": "app.wsgi --header-max-timeout 0 --header-min-rate 0 --body-timeout 0",
    "mount-point": "app.wsgi --mount-point /api/",
    "document-root": "app.wsgi --document-root pages",
    "directory-index": "app.wsgi --document-root pages --directory-index index.html",
    "directory-listing": "--application-type static pages --directory-listing --enable-sendfile",
    "url-alias": "app.wsgi --url-alias /static static/ --url-alias /favicon.ico icon.ico --url-alias /static/x/ other",
    "rewrite-rules": "app.wsgi --rewrite-rules own.conf --document-root pages --url-alias /static static",
    "allow-override": "app.wsgi --allow-override FileInfo --allow-override Indexes --url-alias /static static",
    "add-handler": "app.wsgi --add-handler .txt text.py --add-handler .md md.py --document-root pages",
    "docs": "app.wsgi --enable-docs --url-alias /static static",
    "telemetry": "app.wsgi --telemetry-service unix:t.sock --telemetry-interval 2.5"
    " --telemetry-options +CaptureUserAgent --slow-requests 3",
    "cgi": "app.wsgi --with-cgi --document-root pages",
    "logs": "app.wsgi --log-directory logs --log-level warn@wsgi:info --access-log --error-log-name errors",
    "terminal": "app.wsgi --log-to-terminal --access-log --access-log-format combined",
    "status": "app.wsgi --server-status",
    "log-format": 'app.wsgi --access-log --access-log-name a.log --access-log-format %h@"%r" '
    '--error-log-format %l@"%M"',
    "virtual-host": "app.wsgi --server-name example.com --server-alias *.example.com --server-alias example.org",
    "allow-localhost": "app.wsgi --server-name example.com --allow-localhost",
    "www": "app.wsgi --server-name www.example.com --port 80",
    "https": "app.wsgi --https-port 8443 --ssl-certificate my@certs/site --host 127.0.0.1",
    "https-names": "app.wsgi --server-name www.example.com --server-alias example.org --https-port 443 --port 80"
    " --ssl-certificate-file c.pem --ssl-certificate-key-file k.pem --ssl-certificate-chain-file chain.pem"
    " --ssl-environment --https-only --hsts-policy max-age=63072000;@includeSubDomains",
    "https-clients": "app.wsgi --ssl-port 8443 --ssl-certificate-file c.pem --ssl-ca-certificate-file ca.pem"
    " --ssl-verify-client /admin --ssl-verify-client /admin/deep --https-only --proxy-mount-point /api http://127.0.0.1:9000/",
    "https-demand": "app.wsgi --https-port 8443 --ssl-certificate x --ssl-ca-certificate-file ca.pem"
    " --server-name a.example --allow-localhost",
    "errors": "app.wsgi --error-document 404 /missing.html --error-document 500 /it's.html --error-override",
    "compress": "app.wsgi --compress-responses",
    "proxies": "app.wsgi --proxy-mount-point /api http://127.0.0.1:9000/v1 --proxy-url-alias /api/new/ unix:/run/new.sock|http://new/"
    " --proxy-virtual-host other.example.com http://127.0.0.1:9001/ --proxy-timeout 7",
    "environment": "app.wsgi --setenv A 1 --setenv B 2 --passenv HOME --passenv LANG",
    "trusted-proxies": "app.wsgi --trust-proxy 10.0.0.0/8 --trust-proxy 127.0.0.1 --trust-proxy-header X-Forwarded-For"
    " --trust-proxy-header X-Forwarded-Proto",
    "authentication": "app.wsgi --host-access-script access.py --auth-user-script users.py --auth-type digest"
    " --auth-group-script groups.py --auth-group staff",
    "users": "app.wsgi --auth-user-script users.py --server-name example.com --port 80",
    "reload-on-changes": "app.wsgi --reload-on-changes",
    "small-things": "app.wsgi --ignore-activity /status --ignore-activity /ping --mime-types types"
    " --python-warnings error --python-warnings ignore::UserWarning",
    "disable-reloading": "app.wsgi --disable-reloading --reload-on-changes",
    "includes": "app.wsgi --include-file one.conf --include-file two.conf",
    "wsgi": "app.wsgi --map-head-to-get OFF --chunked-request --limit-request-body 100 --callable-object app"
    " --application-group site --process-group main --pid-file run/site.pid",
}


@pytest.mark.parametrize("name", CASES)
def test_configuration_is_as_recorded(name, run, monkeypatch):
    run.file("icon.ico")
    # @ stands for a blank inside a word.
    words = [word.replace("@", " ") for word in CASES[name].split()]
    result = run("setup-server", *words)
    assert result.code == 0, result.err
    text = result.read().replace(str(run.folder), "@FOLDER@")
    golden = GOLDEN / f"{name}.conf"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_no_golden_file_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.conf")} == set(CASES)


def test_handler_stands_between_only_where_needed(run):
    assert run("setup-server", "app.wsgi").code == 0
    assert not (run.folder / "root/handler.wsgi").exists()
    assert run("setup-server", "app.wsgi", "--reload-on-changes").code == 0
    assert "reload_on_changes=True" in (run.folder / "root/handler.wsgi").read_text()


def test_files_in_the_default_document_root_are_served(run):
    run.file("root/htdocs/robots.txt")
    assert "WSGIFileOrApplication On" in run("setup-server", "app.wsgi").read()


def test_setup_again_leaves_unchanged_files_alone(run):
    result = run("setup-server", "--application-type", "module", "site")
    times = {path: path.stat().st_mtime_ns for path in result.root.iterdir() if path.is_file()}
    run("setup-server", "--application-type", "module", "site")
    assert times == {path: path.stat().st_mtime_ns for path in result.root.iterdir() if path.is_file()}


def test_rotated_logs(run):
    """The program's path differs between systems, so this is not among the recorded files."""
    program = run.file("my rotatelogs")
    os.chmod(program, 0o755)
    words = ["app.wsgi", "--rotate-logs", "--max-log-size", "7", "--access-log"]
    text = run("setup-server", *words, "--rotatelogs-executable", program).read()
    root = run.folder / "root"
    for directive, name in (("ErrorLog", "error_log"), ("CustomLog", "access_log")):
        assert f'{directive} "|\\"{program}\\" {root}/{name}.%Y-%m-%d-%H_%M_%S 7M"' in text
    assert "rotatelogs" not in run("setup-server", *words, "--log-to-terminal").read()
    missing = run("setup-server", *words, "--rotatelogs-executable", "/nowhere/rotatelogs")
    assert missing.code == 1 and "/nowhere/rotatelogs" in missing.err
    assert run("setup-server", *words, "--max-log-size", "0").code == 2
