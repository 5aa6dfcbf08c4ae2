"""`check` and `run-config`: what the server makes of configuration files, its own and Debian's."""

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import modwsgi_go
from harness import COMMAND, ENVIRON, Server, finish_all, free_port

pytestmark = pytest.mark.ours

CONFIGS = Path(__file__).parent / "configs"
DEBIAN = Path("/etc/apache2")
HELLO = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"hello from " + environ["SCRIPT_FILENAME"].encode()]
"""


def run(*words, env=None):
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=60, env={**ENVIRON, **(env or {})}
    )


def check_json(file, *words):
    answer = run("check", "--json", *words, file)
    report = json.loads(answer.stdout)[str(file)]
    assert answer.returncode == (0 if report["usable"] else 1)
    return report


@pytest.fixture
def folder(tmp_path):
    """A server root with the files that the configurations name."""
    for name in ("app.wsgi", "scripts/site.wsgi", "mixed/index.wsgi", "named.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(HELLO.replace("application(", "app(") if name == "named.py" else HELLO)
    for name in ("htdocs", "lib", "static/media"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("robots.txt", "favicon.ico", "missing.html", "style.css"):
        (tmp_path / "static" / name).write_text(name)
    (tmp_path / "groups.txt").write_text("/ blue\n")
    return tmp_path


def instance(name, folder, port):
    text = (CONFIGS / f"{name}.conf").read_text()
    text = text.replace("@ROOT@", str(folder)).replace("@PORT@", str(port)).replace("@PREFIX@", sys.prefix)
    file = folder / f"{name}.conf"
    file.write_text(text)
    return file


def write(tmp_path, text):
    file = tmp_path / "httpd.conf"
    file.write_text(text)
    return file


def test_all_problems_at_once_with_place_cause_and_remedy(tmp_path):
    file = write(
        tmp_path, "Lisen 80\nListen 8000\nTimeout never\n<Location /x>\nListen 1\nKeepAliveTimeout 5\n</Location>\n"
    )
    answer = run("check", file)
    assert answer.returncode == 1
    for line in (1, 3, 5, 6):
        assert re.search(rf"^{re.escape(str(file))}:{line}: error: \w+: \S.* \[[A-Z-]+\]$", answer.stdout, re.M), (
            answer.stdout
        )
    assert re.search(r"^    remedy: .*Listen", answer.stdout, re.M)
    assert re.search(r": \d errors, .*would not start", answer.stdout)


def test_table_of_effects(tmp_path):
    file = write(
        tmp_path, "Listen 8000\nStartServers 3\nMaxMemFree 64\nThreadLimit 5\nThreadLimit 6\nSSLFIPS on\nTimeout x\n"
    )
    found = {(row["name"], row["effect"]): row["count"] for row in check_json(file)["directives"]}
    assert found == {
        ("Listen", "full"): 1,
        ("StartServers", "mapped"): 1,
        ("MaxMemFree", "ignored"): 1,
        ("ThreadLimit", "ignored"): 2,
        ("SSLFIPS", "refused"): 1,
        ("Timeout", "wrong"): 1,
    }
    table = run("check", file).stdout
    assert (
        re.search(r"^  ignored +3  ", table, re.M)
        and "ThreadLimit (2)" in table
        and re.search(r"^  refused +1  ", table, re.M)
    )


def test_good_file_and_several_files(tmp_path):
    good = write(tmp_path, "Listen 8000\n")
    bad = tmp_path / "bad.conf"
    bad.write_text("Listen\n")
    assert run("check", good).returncode == 0
    answer = run("check", good, bad)
    assert answer.returncode == 1
    assert f"{good}: 0 errors" in answer.stdout and f"{bad}: " in answer.stdout


def test_defines_and_server_root(tmp_path):
    file = write(tmp_path, "<IfDefine Extra>\nListen ${PORT}\n</IfDefine>\nInclude more.conf\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "more.conf").write_text("Timeout 5\n")
    assert check_json(file)["usable"] is False
    report = check_json(file, "-D", "Extra", "--define", "PORT=8000", "--server-root", tmp_path / "elsewhere")
    assert report["usable"] is True
    assert report["files"] == [str(file), str(tmp_path / "elsewhere" / "more.conf")]


def test_envvars_beside_the_file(tmp_path):
    file = write(tmp_path, "Listen ${SITE_PORT}\n")
    (tmp_path / "envvars").write_text('export SITE_PORT="80$((0))1"\n')
    assert check_json(file)["usable"] is True
    assert check_json(file, "--no-envvars")["usable"] is False
    other = tmp_path / "other"
    other.write_text("export SITE_PORT=none\n")
    assert check_json(file, "--envvars", other)["usable"] is False


def test_configtest_of_a_generated_root(tmp_path):
    (tmp_path / "app.wsgi").write_text(HELLO)
    (tmp_path / "more.conf").write_text("Timeout never\nLisen 1\n<Location /x>\nListen 2\n</Location>\n")
    root = tmp_path / "root"
    words = ("setup-server", tmp_path / "app.wsgi", "--server-root", root)
    assert run(*words).returncode == 0
    answer = subprocess.run([root / "apachectl", "configtest"], capture_output=True, text=True, timeout=60, env=ENVIRON)
    assert answer.returncode == 0 and answer.stderr.endswith("Syntax OK\n")
    assert run(*words, "--include-file", tmp_path / "more.conf").returncode == 0
    answer = subprocess.run([root / "apachectl", "configtest"], capture_output=True, text=True, timeout=60, env=ENVIRON)
    assert answer.returncode == 1 and "Syntax OK" not in answer.stderr
    for line in (1, 2, 4):
        assert f"more.conf:{line}: error" in answer.stderr


def test_usage():
    assert run("check").returncode == 2
    assert run("check", "--help").returncode == 0
    assert run("run-config", "a", "b").returncode == 2


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.conf")))
def test_configurations(folder, name):
    report = check_json(instance(name, folder, 8000))
    assert not [problem for problem in report["diagnostics"] if problem["severity"] == "error"], report["diagnostics"]


FOUND = sorted((CONFIGS / "found").glob("*.conf"))


@pytest.fixture(scope="module")
def found_reports(tmp_path_factory):
    """The reports about all configurations of the kind that tutorials and packages have, from one run."""
    folder = tmp_path_factory.mktemp("found")
    for file in FOUND:
        head = 'Listen 127.0.0.1:8080\nServerName host.example\nLogFormat "%h" combined\n'
        (folder / file.name).write_text(f'{head}Include "{file}"\n')
    files = [folder / file.name for file in FOUND]
    answer = run("check", "--json", *files, env={"APACHE_LOG_DIR": "/tmp"})
    return {Path(name).name: report for name, report in json.loads(answer.stdout).items()}


@pytest.mark.parametrize("file", FOUND, ids=lambda file: file.stem)
def test_configurations_of_others(found_reports, file):
    """Lines #! say which problem the next line has; there are no others but notices, and folders and users not here."""
    expected, pending = set(), []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if line.strip().startswith("#! "):
            pending.append(line.strip()[3:])
            continue
        expected |= {(number, problem) for problem in pending}
        pending.clear()
    report = found_reports[file.name]
    elsewhere = ("CORE-DOCUMENT-ROOT", "PROCESS-ACCOUNT", "WSGI-DIRECTORY")
    problems = {(problem["line"], f"{problem['severity']} {problem['code']}") for problem in report["diagnostics"]
                if problem["severity"] != "notice" and problem["code"] not in elsewhere}
    assert problems == expected, report["diagnostics"]
    accounts = [problem["severity"] for problem in report["diagnostics"] if problem["code"] == "PROCESS-ACCOUNT"]
    wrong = "error" in accounts or any(problem.startswith("error") for _, problem in expected)
    assert report["usable"] == (not wrong)
    for problem in report["diagnostics"]:
        if problem["code"] in ("HTTPD-NOT-AVAILABLE", "CONF-UNKNOWN-DIRECTIVE"):
            assert problem["suggestion"] or "mod_" in problem["message"], problem


def test_users_that_do_not_exist(tmp_path):
    """With them root's server would not start; without root nobody changes users."""
    file = write(tmp_path, "Listen 8000\nUser no-such-user\nWSGIDaemonProcess a group=no-such-group\n")
    severity = "error" if os.geteuid() == 0 else "warning"
    problems = [(p["line"], p["severity"], p["code"], p["directive"]) for p in check_json(file)["diagnostics"]]
    assert problems == [(2, severity, "PROCESS-ACCOUNT", "User"), (3, severity, "PROCESS-ACCOUNT", "WSGIDaemonProcess")]
    answer = run("run-config", file) if os.geteuid() == 0 else None
    if answer:
        assert answer.returncode == 1
        assert f'Syntax error on line 2 of {file}:\nUser: this system has no user "no-such-user"' in answer.stderr


def test_typos_in_process_groups_get_a_warning(tmp_path):
    """Numbers are read as mod_wsgi reads them, and directories may be mounted later: neither hinders the start."""
    (tmp_path / "jail/site").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    file = write(
        tmp_path,
        "Listen 8000\nWSGIPythonOptimize x\nWSGIDaemonProcess a threads=10s \\\n deadlock-timeout=x\n"
        f"WSGIDaemonProcess b home={tmp_path}/none\nWSGIDaemonProcess c chroot={tmp_path}/file home=/x\n"
        f"WSGIDaemonProcess d chroot={tmp_path}/jail home=/none\n"
        f"WSGIDaemonProcess e chroot={tmp_path}/jail home=/site threads=10\nWSGIDaemonProcess f home={tmp_path}\n",
    )
    report = check_json(file)
    problems = [(p["line"], p["severity"], p["code"], p["directive"], p["message"]) for p in report["diagnostics"]]
    number, directory, daemon = "WSGI-NUMBER", "WSGI-DIRECTORY", "WSGIDaemonProcess"
    start = "without it the processes of the group"
    assert report["usable"]
    assert problems == [
        (2, "warning", number, "WSGIPythonOptimize", '"x" is read as 0; give a whole number, in digits alone'),
        (3, "warning", number, daemon, 'option threads: "10s" is read as 10; give a whole number, in digits alone'),
        (3, "warning", number, daemon,
         'option deadlock-timeout: "x" is read as 0; give a whole number of seconds, in digits alone'),
        (5, "warning", directory, daemon, f'option home: {tmp_path}/none does not exist; {start} "b" cannot start'),
        (6, "warning", directory, daemon,
         f'option chroot: {tmp_path}/file is not a directory; {start} "c" cannot start'),
        (7, "warning", directory, daemon,
         f'option home: /none does not exist inside of chroot={tmp_path}/jail; {start} "d" cannot start'),
    ]  # fmt: skip


def test_modules_whose_absence_leaves_a_site_open_are_refused(tmp_path):
    """What belongs to them usually stands in <IfModule>, where it would be skipped in silence."""
    file = write(tmp_path, "Listen 8000\nLoadModule security2_module modules/x.so\nLoadModule dav_module modules/y.so\n"
                 "<IfModule security2_module>\nSecRuleEngine On\n</IfModule>\n")
    report = check_json(file)
    assert not report["usable"]
    (problem,) = [problem for problem in report["diagnostics"] if problem["severity"] == "error"]
    assert problem["line"] == 2 and "mod_security" in problem["message"] and "<IfModule>" in problem["suggestion"]
    assert ("LoadModule", "refused", 1) in {(row["name"], row["effect"], row["count"]) for row in report["directives"]}


def test_what_hinders_the_start_is_printed_last(tmp_path):
    file = write(tmp_path, "Listen 8000\nBad\nThreadLimit 5\nLoadModule dav_module x\nDocumentRoot /none\n")
    answer = run("check", file)
    kinds = re.findall(r"^\S+:\d+: (\w+): ", answer.stdout, re.M)
    assert kinds == ["notice", "notice", "warning", "error"]


@pytest.fixture
def serve(tmp_path):
    """Factory: serve(file, port) runs a configuration file; every server is stopped and checked."""
    running = []

    def factory(file, port, *words):
        server = Server([*COMMAND, "run-config", *map(str, words), str(file)], tmp_path, port, str(tmp_path))
        running.append(server)
        server.wait_ready()
        return server

    yield factory
    finish_all(running)


@pytest.mark.parametrize(
    "name, path, text",
    [
        ("mounts", "/scripts/site.wsgi", "hello from @/scripts/site.wsgi"),
        ("mounts", "/short/site", "hello from @/scripts/site.wsgi"),
        ("mounts", "/flask/x", "hello from @/named.py"),
        ("files", "/style.css", "style.css"),
        ("files", "/anything", "hello from @/app.wsgi"),
        ("handlers", "/only/site.wsgi", "hello from @/scripts/site.wsgi"),
        ("handlers", "/mixed/", "hello from @/mixed/index.wsgi"),
        ("handlers", "/mixed/index", "hello from @/mixed/index.wsgi"),
        ("root-by-rewrite", "/some/page", "hello from @/scripts/site.wsgi"),
        ("variables", "/", "hello from @/app.wsgi"),
        ("group-by-variable", "/", "hello from @/app.wsgi"),
    ],
)
def test_run_config_serves(folder, serve, name, path, text):
    port = free_port()
    running = serve(instance(name, folder, port), port)
    assert running.get(path).text == text.replace("@", str(folder))


def test_stack_of_embedded_threads(tmp_path, serve):
    app, port = tmp_path / "app.wsgi", free_port()
    app.write_text("""
import resource

def application(environ, start_response):
    start_response("200 OK", [])
    return [str(resource.getrlimit(resource.RLIMIT_STACK)[0]).encode()]
""")
    config = f"Listen 127.0.0.1:{port}\nServerName x\nServerRoot {tmp_path}\nPidFile pid\nThreadStackSize 524288\n"
    running = serve(write(tmp_path, config + f"ErrorLog log\nWSGIScriptAlias / {app}\n"), port)
    assert running.get("/").text == "524288"


def test_run_config_reports_errors(tmp_path):
    answer = run("run-config", write(tmp_path, "Listen 127.0.0.1:0\n"))
    assert answer.returncode == 1 and "line 1" in answer.stderr


@pytest.mark.skipif(not (DEBIAN / "apache2.conf").exists(), reason="needs /etc/apache2 of Debian's package apache2")
class TestDebian:
    def test_untouched_tree_has_no_errors(self):
        report = check_json(DEBIAN / "apache2.conf")
        assert report["usable"] is True, report["diagnostics"]
        assert not [problem for problem in report["diagnostics"] if problem["code"] == "CONF-UNDEFINED-VARIABLE"]

    def test_every_module_and_conf_that_is_available(self, tmp_path):
        """All that `a2enmod` and `a2enconf` could switch on, at once."""
        text = (DEBIAN / "apache2.conf").read_text()
        for word in ("mods", "conf"):
            assert f"IncludeOptional {word}-enabled/" in text
            text = text.replace(f"IncludeOptional {word}-enabled/", f"IncludeOptional {word}-available/")
        file = write(tmp_path, f'ServerRoot "{DEBIAN}"\n{text}')
        report = check_json(file, "--envvars", DEBIAN / "envvars")
        # ports.conf listens on 443, where no site speaks TLS yet
        codes = {problem["code"] for problem in report["diagnostics"] if problem["severity"] != "notice"}
        assert codes <= {"SSL-ADDRESS"}

    @pytest.mark.skipif(not shutil.which("apache2"), reason="apache2 is not installed")
    def test_every_directive_of_every_module_is_known(self, tmp_path):
        """`apache2 -L` lists what the modules of this machine know."""
        lines = [f"ServerRoot {tmp_path}", f"DefaultRuntimeDir {tmp_path}", "ServerName x", "Listen 9", "ErrorLog log"]
        for file in sorted((DEBIAN / "mods-available").glob("*.load")):
            if file.stem not in ("mpm_prefork", "mpm_worker"):
                for line in re.findall(r"^\s*(LoadModule .*)", file.read_text(), re.M):
                    lines += [line] if Path(line.split()[2]).exists() else []
        file = write(tmp_path, "\n".join(lines) + "\n")
        answer = subprocess.run(["apache2", "-f", file, "-L"], capture_output=True, text=True, timeout=60)
        listed = set(re.findall(r"^<?(\w+)>? \(\w+\.c\)?$", answer.stdout, re.M))
        assert len(listed) > 500, answer.stderr
        known = {directive.name.lower() for directive in modwsgi_go.directives()}
        # obsolete, an error or of no effect in httpd as well; of its own debugging; of mod_wsgi for Python 2
        gone = {"fancyindexing", "lua_____bytecodehack", "macroignoreemptyargs", "macroignorebadnesting", "mdomainset",
                "ssllog", "sslloglevel", "wsgilazyinitialization", "wsginewrelicconfigfile", "wsginewrelicenvironment"}
        assert {name.lower() for name in listed} - known - gone == set()

    def test_default_site_with_an_application(self, tmp_path, serve):
        """The tree as installed, on another port and with other folders for logs, and one line in the default site."""
        conf, port = tmp_path / "apache2", free_port()
        shutil.copytree(DEBIAN, conf, symlinks=True)
        (tmp_path / "log").mkdir()
        (tmp_path / "app.wsgi").write_text(HELLO)

        def edit(name, *changes):
            text = (conf / name).read_text()
            for old, new in changes:
                assert re.search(old, text, re.M), (name, old)
                text = re.sub(old, new, text, flags=re.M)
            (conf / name).write_text(text)

        user = pwd.getpwuid(os.getuid()).pw_name
        edit(
            "envvars",
            (r"(/var)?/run/apache2\$SUFFIX", f"{tmp_path}/run"),  # without /var since Debian 14
            (r"(/var|/run)/lock/apache2\$SUFFIX", f"{tmp_path}/lock"),
            (r"/var/log/apache2\$SUFFIX", f"{tmp_path}/log"),
            (r"APACHE_RUN_USER=.*", f"APACHE_RUN_USER={user}"),
            (r"APACHE_RUN_GROUP=.*", f"APACHE_RUN_GROUP='#{os.getgid()}'"),
        )
        edit("ports.conf", (r"^Listen 80$", f"Listen 127.0.0.1:{port}"))
        site = "sites-enabled/000-default.conf"
        edit(
            site,
            (r"\*:80>", f"*:{port}>"),
            (
                r"(?=</VirtualHost>)",
                f"WSGIScriptAlias /app {tmp_path}/app.wsgi\n"
                f"<Directory {tmp_path}>\nRequire all granted\n</Directory>\n",
            ),
        )
        running = serve(conf / "apache2.conf", port)
        assert running.get("/app/x").text == f"hello from {tmp_path}/app.wsgi"
        index = running.get("/")
        root = Path("/var/www/html/index.html")
        assert index.status_code == (200 if root.exists() else 404)
        from harness import wait_for

        log = tmp_path / "log" / "access.log"
        wait_for(
            lambda: log.exists() and '"GET /app/x HTTP/1.1" 200' in log.read_text(), 5, "the line in the access log"
        )


def test_a_file_that_cannot_be_read_is_all_there_is_to_say(tmp_path):
    answer = run("check", tmp_path / "none.conf")
    assert answer.returncode == 1
    assert "none.conf: 1 error, 0 warnings, 0 notices" in answer.stdout and "Listen" not in answer.stdout


def test_problems_of_the_whole_carry_the_name_of_the_file(tmp_path):
    (tmp_path / "empty.conf").write_text("")
    answer = run("check", tmp_path / "empty.conf")
    assert f"{tmp_path}/empty.conf: error: no Listen directive" in answer.stdout
