"""The error log says what is wrong with a script, what probably is the cause, and the cure (docs/errors.md)."""

import types

import pytest

from modwsgi_go import _explain

START = "def {name}(environ, start_response):\n    start_response('200 OK', [])\n    return [b'x']\n"

CASES = [
    # the script, what the log has besides the usual records
    (
        "import there_is_no_such_module_here\n",
        [
            "WSGI0109: cannot execute script",
            r"WSGI0174: \[script .*ModuleNotFoundError raised while loading",
            "WSGI0303: 'there_is_no_such_module_here' is not installed in ",
        ],
    ),
    ("def application(:\n", ["WSGI0105: cannot read or compile", "WSGI0303: the script is read by Python 3"]),
    (
        "raise SystemExit(3)\n",
        ["WSGI0107: SystemExit while loading", r"WSGI0175: \[script .*ignored", "__name__ == '__main__'"],
    ),
    (
        START.format(name="app"),
        [
            "WSGI0089: .* has no callable 'application'",
            r"WSGI0303: the script has 'app' \(builtins.function\): .*--callable-object app",
        ],
    ),
    ("def create_app():\n    pass\n", ["WSGI0089", r"application = create_app\(\)"]),
    ("x = 1\n", ["WSGI0089", r"must define application\(environ, start_response\)"]),
    ("application = 5\n", ["WSGI0304: 'application' in .* is not callable: it is of type int", "__call__"]),
    ("import json as application\n", ["WSGI0304", "from json import application"]),
    ("from . import something\n", ["WSGI0109", "WSGI0303: a WSGI script belongs to no package"]),
    ("import near_by\n", ["WSGI0109", "WSGI0303: 'near_by' is in .*, which is not on sys.path"]),
    ("import elsewhere\n", ["WSGI0303: 'elsewhere' is installed in .*/venv .*but this process runs with"]),
    (
        "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'mysite.settings'\nimport mysite.settings\n",
        ["WSGI0303: DJANGO_SETTINGS_MODULE is 'mysite.settings'"],
    ),
]


@pytest.mark.ours
@pytest.mark.parametrize(("source", "records"), CASES)
def test_scripts_that_cannot_be_served(server, script, tmp_path, source, records):
    (tmp_path / "near_by.py").write_text("")
    packages = tmp_path / "venv" / "lib" / "python3.99" / "site-packages" / "elsewhere"
    packages.mkdir(parents=True)
    (packages / "__init__.py").write_text("")
    running = server(script(source))
    assert running.get("/").status_code == 500
    for record in records:
        running.wait_log(record)


RETURNS = [
    ("return None", "application returned NoneType, .* is a return statement missing"),
    ("return 'text'", "blocks must be bytes, but one is str: encode it"),
    ("return b'bytes'", r"blocks must be bytes, but one is int: return a list of bytes, \[data\]"),
    ("return 5", "application returned int, which is no iterable of bytes"),
    ("start_response('OK', []); return []", "ValueError: status b'OK' is not three digits"),
    ("start_response('200 OK', {}); return []", "TypeError: expected response headers as list, got dict"),
    ("start_response('200 OK', [['a', 'b']]); return []", "TypeError: each response header must be a tuple, got list"),
    (
        "start_response('200 OK', [('a', 5)]); return []",
        "TypeError: response header name and value must be str, got str and int",
    ),
    (
        "start_response('200 OK', [('a', 'b\\n')]); return []",
        "ValueError: response header value contains CR, LF or NUL",
    ),
    (
        "start_response('200 OK', [('a b', 'c')]); return []",
        "ValueError: response header name contains an invalid character",
    ),
    (
        "start_response('200 OK', [('Content-Length', 'x')]); return [b'y']",
        "ValueError: response header Content-Length is not one decimal number",
    ),
    ("start_response(b'200 OK', []); return []", "TypeError: expected status as str, got bytes"),
    ("start_response('200 \\u20ac', []); return []", "UnicodeEncodeError"),
    ("return []", r"RuntimeError: .*without calling start_response\(\)"),
]


@pytest.mark.ours
def test_responses_that_are_none(server, script):
    lines = ["def application(environ, start_response):", "    n = int(environ['QUERY_STRING'])"]
    for n, (statement, _) in enumerate(RETURNS):
        start = "" if "start_response" in statement or statement == "return []" else "start_response('200 OK', []); "
        lines.append(f"    if n == {n}: {start}{statement}")
    running = server(script("\n".join(lines) + "\n"))
    for n, (_, record) in enumerate(RETURNS):
        assert running.get(f"/?{n}").status_code == 500
        running.wait_log(record)


def test_permission_names_the_folder(tmp_path, monkeypatch):
    closed = tmp_path / "closed"
    closed.mkdir()
    monkeypatch.setattr(_explain.os, "access", lambda path, mode: path != str(closed))
    lines = _explain.load_failed(
        PermissionError, PermissionError(13, "no", str(closed / "app.wsgi")), str(closed / "app.wsgi")
    )
    assert len(lines) == 1 and f"the folder {closed} does not let" in lines[0] and f"chmod o+x {closed}" in lines[0]


@pytest.mark.parametrize("kind", [KeyError, ImportError, OSError, SyntaxError, SystemExit, PermissionError])
def test_nothing_is_raised(kind):
    assert isinstance(_explain.load_failed(kind, None, "relative"), list)
    assert isinstance(_explain.load_failed(kind, kind(), ""), list)
    assert _explain.no_callable(types.ModuleType("m"), "x")
