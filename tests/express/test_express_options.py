"""Options: both parsers agree, errors, exit codes, notices, refusals, and the banner."""

import os
import re

import pytest

from modwsgi_go.express import layout, main, parser, settings, table

PLAIN = [
    "",
    "app.wsgi",
    "app.wsgi --port 8080 --threads=3",
    "--port 0 app.wsgi",
    "--url-alias /a b --url-alias=/c d app.wsgi extra",
    "--setenv --port 80",
    "--log-to-terminal -- --port",
    "--python-path a --python-path b --port 1 --port 2",
    "--slow-requests 3 --initial-workers 1 -",
]
FULL = [
    "--thr 3 app.wsgi",
    "--port 0x10",
    "--port 010",
    "--port -1",
    "--switch-interval 0.5",
    "--initial-workers 0.25",
]


@pytest.mark.parametrize("line", PLAIN)
def test_the_quick_parser_reads_what_optparse_reads(line):
    assert parser.parse_plain(line.split()) == parser.parse_full("start-server", line.split())


@pytest.mark.parametrize("line", FULL)
def test_the_quick_parser_leaves_the_unusual_to_optparse(line):
    assert parser.parse_plain(line.split()) is None
    parser.parse_full("start-server", line.split())


def test_numbers_as_optparse_has_them():
    given, _ = parser.parse("start-server", ["--port", "0100", "--threads", "0x10"])
    assert (given["port"], given["threads"]) == (64, 16)


def test_variables_in_arguments(monkeypatch):
    monkeypatch.setenv("SITE_PORT", "81")
    given, names = parser.parse("start-server", ["--port", "$SITE_PORT", "${UNKNOWN_X}/a.wsgi"])
    assert given["port"] == 81
    assert names == ["${UNKNOWN_X}/a.wsgi"]


ERRORS = {
    "--no-such": "no such option: --no-such",
    "--port": "--port option requires 1 argument",
    "--setenv A": "--setenv option requires 2 arguments",
    "--port x": "option --port: invalid integer value: 'x'",
    "--s 1": "ambiguous option: --s",
    "--log-to-terminal=1": "--log-to-terminal option does not take a value",
    "--initial-workers 2": "option --initial-workers: value 2.0 needs to be within the range 0 to 1",
    "--ssl-certificate x": "option --https-port must be specified",
    "--https-port 8443": "requires --ssl-certificate",
    "--https-port 8000 --ssl-certificate x": "or that of --port",
    "--https-only": "requires --https-port",
    "--ssl-verify-client /x": "requires --https-port",
    "--ssl-port 8443 --ssl-certificate x --ssl-verify-client /x": "requires --ssl-ca-certificate-file",
    "--ssl-port 84 --ssl-certificate x --ssl-ca-certificate-file c --ssl-verify-client x": "begin with a slash",
    "--enable-telemetry --telemetry-service unix:/x": "exclude each other",
    "--telemetry-service tcp:x": "must be of the form unix:PATH",
    "--slow-requests 1": "requires --telemetry-service",
    "--slow-requests -1": "must not be negative",
    "--switch-interval 0": "must be positive",
    "--auth-user-script a --auth-type Form": "must be Basic or Digest",
    "--auth-group-script a": "requires --auth-user-script",
    "--debugger-startup": "requires --enable-debugger",
}


@pytest.mark.parametrize("line", ERRORS)
def test_errors_have_the_form_of_optparse(line, run):
    result = run("start-server", *line.split())
    assert result.code == 2
    assert result.out == ""
    first, blank, *rest = result.err.splitlines()
    assert (first, blank) == ("Usage: mod_wsgi-express start-server script [options]", "")
    assert rest[0].startswith("mod_wsgi-express: error: ")
    assert ERRORS[line] in rest[0]
    assert not result.root.exists()


def test_a_line_break_cannot_smuggle_in_a_directive(run):
    result = run("setup-server", "app.wsgi", "--setenv", "A", "1\nUser root")
    assert result.code == 2
    assert "--setenv" in result.err


@pytest.mark.parametrize("words", [[], ["serve"], ["--port", "80"]])
def test_without_a_command_there_is_usage_and_exit_2(words, capsys):
    assert main.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: mod_wsgi-express command [params]")
    assert "mod_wsgi-express: error: " in err.splitlines()[-1]


def test_help_and_version_of_the_command_itself(capsys):
    assert main.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Usage: mod_wsgi-express command [params]") and "    run-config " in out
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mod_wsgi-express (modwsgi-go) ")


def test_a_script_that_does_not_exist_is_noticed(run):
    result = run("setup-server", "missing.wsgi")
    assert result.code == 0
    assert re.search(r"notice: /.*/missing\.wsgi does not exist: requests fail until it does\n", result.err)
    assert "does not exist" not in run("setup-server", "app.wsgi").err


def test_help_of_a_command_names_every_option_that_is_not_hidden(capsys):
    with pytest.raises(SystemExit) as end:
        main.main(["start-server", "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    for row in table.ROWS:
        assert (f"{row.name}" in out) or row.hidden, row.name
    assert "--ssl-port" not in out


HARMLESS = ["--verbose-debugging"]


@pytest.mark.parametrize("line", HARMLESS)
def test_options_without_effect_are_said_once(line, run):
    result = run("setup-server", "app.wsgi", *line.split())
    assert result.code == 0
    assert result.err == f"mod_wsgi-express: notice: option {line.split()[0]} has no effect, as in mod_wsgi\n"


def test_options_of_https_without_effect_are_said(run):
    result = run("setup-server", "app.wsgi", "--hsts-policy", "max-age=1", "--ssl-environment")
    assert result.code == 0
    assert "--hsts-policy has no effect without --https-only" in result.err
    assert "--ssl-environment has no effect without --https-port" in result.err


def test_https_in_banner_and_environment(run):
    named = ["--ssl-certificate", "site", "--server-name", "example.com"]
    result = run("setup-server", "app.wsgi", "--https-port", "8443", *named)
    assert result.out.splitlines()[1] == "Server URL (HTTPS) : https://example.com:8443/"
    assert "MOD_WSGI_HTTPS_PORT=8443" in (result.root / "apachectl").read_text().replace("'", "")
    result = run("setup-server", "app.wsgi", "--https-port", "443", "--ssl-certificate", "site")
    assert result.out.splitlines()[1] == "Server URL (HTTPS) : https://localhost/"


def test_rules_in_the_server_root_count(run):
    run.file("root/rewrite.conf", "# nothing\n\n")
    assert run("setup-server", "app.wsgi").code == 0
    assert "RewriteEngine" not in (run("setup-server", "app.wsgi").root / "httpd.conf").read_text()
    run.file("root/rewrite.conf", "RewriteRule ^/secret - [F]\n")
    result = run("setup-server", "app.wsgi")
    assert result.code == 0
    text = (result.root / "httpd.conf").read_text()
    assert "RewriteOptions InheritDownBefore" in text and "rewrite.conf" in text
    assert "WSGIFileOrApplication On Rules" in text


def test_a_file_of_rules_is_not_created(run):
    result = run("setup-server", "app.wsgi", "--rewrite-rules", "own.conf")
    assert result.code == 0
    assert not (result.root / "rewrite.conf").exists()
    assert "own.conf" in (result.root / "httpd.conf").read_text()
    assert "Rewrite Rules" in result.out


def test_harmless_forms_of_refused_options(run):
    result = run("setup-server", "app.wsgi", "--allow-override", "None", "--auth-type", "Digest")
    assert (result.code, result.err) == (0, "")


BANNER = """\
Server URL         : http://localhost:8000/
Server Root        : @FOLDER@/root
Server Conf        : @FOLDER@/root/httpd.conf
Error Log File     : @FOLDER@/root/error_log (warn)
Rewrite Rules      : @FOLDER@/root/rewrite.conf
Environ Variables  : @FOLDER@/root/envvars
Control Script     : @FOLDER@/root/apachectl
Operating Mode     : daemon
Request Capacity   : 5 (1 process * 5 threads)
Request Timeout    : 60 (seconds)
Startup Timeout    : 15 (seconds)
Queue Backlog      : 100 (connections)
Queue Timeout      : 45 (seconds)
Server Capacity    : 20 (event/worker), 20 (prefork)
Server Backlog     : 500 (connections)
Locale Setting     : C.UTF-8
"""


def test_banner(run):
    result = run("start-server", "app.wsgi", "--setup-only")
    assert result.code == 0
    assert result.out.replace(str(run.folder), "@FOLDER@") == BANNER


def test_banner_lines_that_depend_on_options(run):
    words = "app.wsgi --port 80 --server-name example.com --access-log --startup-log --interrupt-timeout 3"
    words += " --startup-timeout 0 --processes 4 --threads 10 --envvars-script vars.sh"
    lines = run("setup-server", *words.split()).lines()
    assert lines["Server URL"] == "http://example.com/"
    assert lines["Access Log File"].endswith("/root/access_log")
    assert lines["Startup Log File"].endswith("/root/startup_log")
    assert lines["Environ Variables"].endswith("/vars.sh")
    assert lines["Interrupt Timeout"] == "3 (seconds)"
    assert "Startup Timeout" not in lines
    assert lines["Request Capacity"] == "40 (4 processes * 10 threads)"
    # 70 slots: 4 processes of 17 are not enough, so 5.
    assert lines["Server Capacity"] == "85 (event/worker), 70 (prefork)"


def test_banner_in_embedded_mode(run):
    lines = run("setup-server", "app.wsgi", "--embedded-mode").lines()
    assert lines["Operating Mode"] == "embedded"
    assert "Request Timeout" not in lines


def test_default_server_root(monkeypatch):
    monkeypatch.setenv("TMPDIR", "/scratch/")
    monkeypatch.setattr("sys.platform", "linux")
    assert settings.default_server_root("localhost", 80) == f"/scratch/mod_wsgi-localhost:80:{os.getuid()}"


def test_a_default_server_root_that_others_can_write_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    root = tmp_path / f"mod_wsgi-localhost:8000:{os.getuid()}"
    root.mkdir()
    root.chmod(0o777)
    assert main.main(["setup-server"]) == 1
    assert str(root) in capsys.readouterr().err
    root.chmod(0o755)
    assert main.main(["setup-server"]) == 0


def test_a_server_root_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main.main(["setup-server", "--server-root", str(tmp_path / "file" / "root")]) == 1
    assert "setting up" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"LANG": "de_DE.UTF-8"}, "de_DE.UTF-8"),
        ({"LC_ALL": "fr_FR.UTF-8", "LANG": "de_DE.UTF-8"}, "fr_FR.UTF-8"),
        ({"LANGUAGE": "nl_NL:en"}, "nl_NL"),
    ],
)
def test_locale_of_the_command(variables, name, monkeypatch):
    for variable in ("LC_ALL", "LC_CTYPE", "LANG", "LANGUAGE"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert settings.default_locale() == name


def test_the_plain_locale_gives_way_to_utf8(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    assert settings.default_locale() in ("en_US.UTF-8", "C.UTF-8", "C")


def test_module_commands(capsys, monkeypatch):
    monkeypatch.setattr(main, "library_path", lambda: "/x/lib.so")
    assert main.main(["module-location"]) == 0
    assert capsys.readouterr().out == "/x/lib.so\n"
    assert main.main(["module-config"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == 'LoadModule wsgi_module "/x/lib.so"'
    assert main.main(["module-config", "extra"]) == 2
    assert main.main(["install-module"]) == 1


def test_every_name_and_destination_is_there_once():
    names = [row.name for row in table.ROWS]
    assert len(names) == len(set(names))
    assert layout and len(names) >= 147
