"""WSGIDispatchScript: functions of a script choose where each request runs."""

import pytest

pytestmark = pytest.mark.ours

APP = """
import json

def answer(environ, start_response, name):
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps({'callable': name, 'group': environ['mod_wsgi.process_group'],
                        'application': environ['mod_wsgi.application_group'],
                        'named': environ['mod_wsgi.callable_object']}).encode()]

def application(environ, start_response):
    return answer(environ, start_response, 'application')

def other(environ, start_response):
    return answer(environ, start_response, 'other')
"""

DISPATCH = """
import json, mod_wsgi

def process_group(environ):
    if environ['QUERY_STRING'] == 'group':
        return 'nowhere'
    if environ['QUERY_STRING'] == 'same':
        return b'app'

def application_group(environ):
    if environ['QUERY_STRING'] == 'global':
        return '%{GLOBAL}'
    if environ['QUERY_STRING'] == 'raise':
        raise RuntimeError('no idea')
    if environ['QUERY_STRING'] == 'wrong':
        return 5
    return None

def callable_object(environ):
    if environ['QUERY_STRING'] == 'environ':
        texts = {k: v for k, v in environ.items() if isinstance(v, str)}
        print('ENVIRON', json.dumps(texts), file=environ['wsgi.errors'])
        print('KEYS', sorted(k for k in environ if k.startswith('wsgi.')), mod_wsgi.application_group == '')
    return environ.get('HTTP_X_CALLABLE')
"""


@pytest.fixture
def site(timed, script, tmp_path):
    dispatch = script(DISPATCH, "dispatch.py")
    running = timed(
        "threads=3",
        extra=f'WSGIDispatchScript "{dispatch}"\nSetEnv FROM_CONFIG yes\n'
        "WSGITrustedProxyHeaders X-Forwarded-For X-Forwarded-Proto\nWSGITrustedProxies 127.0.0.1\n",
        script=script(APP),
        preload=False,
    )
    running.dispatch = dispatch
    return running


def test_names_that_the_script_chooses(site):
    assert site.json("/") == {"callable": "application", "group": "app", "application": "", "named": "application"}
    assert site.json("/?same")["group"] == "app"
    assert site.json("/?global")["application"] == ""
    assert site.json("/", headers={"X-Callable": "other"}) == {
        "callable": "other",
        "group": "app",
        "application": "",
        "named": "other",
    }
    assert site.json("/")["callable"] == "application"
    assert site.get("/", headers={"X-Callable": "nothing"}).status_code == 500
    site.wait_log("WSGI0089: .* has no callable 'nothing'")


@pytest.mark.parametrize(
    ("query", "record"),
    [
        ("raise", r"WSGI0174: .*RuntimeError raised while running '.*dispatch.py', function 'application_group'"),
        ("wrong", "WSGI0306: .*TypeError: what 'application_group' of .* returned cannot be used"),
        ("group", 'WSGI0151: no WSGIDaemonProcess has the name "nowhere"'),
    ],
)
def test_failures_are_a_500(site, query, record):
    assert site.get("/?" + query).status_code == 500
    site.wait_log(record)
    assert site.get("/").status_code == 200


def test_environ(site):
    site.get(
        "/x?environ",
        headers={
            "X-Forwarded-For": "192.0.2.9",
            "X-Forwarded-Proto": "https",
            "Authorization": "Basic x",
            "X-Two": "a",
        },
    )
    import json

    environ = json.loads(site.wait_log(r"\] ENVIRON (\{.*\})$").group(1))
    assert environ["PATH_INFO"] == "/x" and environ["SCRIPT_NAME"] == "" and environ["QUERY_STRING"] == "environ"
    assert environ["FROM_CONFIG"] == "yes" and environ["HTTP_X_TWO"] == "a"
    assert environ["REMOTE_ADDR"] == "192.0.2.9" and environ["HTTPS"] == "1"
    assert environ["SCRIPT_FILENAME"].endswith("app.wsgi") and environ["mod_wsgi.process_group"] == ""
    assert environ["REQUEST_URI"] == "/x?environ" and environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert "HTTP_AUTHORIZATION" not in environ and "mod_wsgi.callable_object" not in environ
    site.wait_log(r"KEYS \['wsgi.errors'\] True")


def test_script_that_does_not_load(site):
    site.dispatch.write_text("def callable_object(:\n")
    assert site.get("/").status_code == 500
    site.wait_log("WSGI0105: cannot read or compile '.*dispatch.py'")
    site.dispatch.write_text("def callable_object(environ):\n    return 'other'\n")
    assert site.json("/")["callable"] == "other"


GROUPS = """
def process_group(environ):
    name = environ['QUERY_STRING']
    return '%{GLOBAL}' if name == 'embedded' else name or None

def application_group(environ):
    return environ.get('HTTP_X_INTERPRETER')
"""


def test_process_groups_and_interpreters(timed, script):
    """With several groups the script runs in the process in front, and the request goes to the group that it names."""
    app = script(
        APP.replace("import json", "import json, os, mod_wsgi").replace(
            "'callable': name,",
            "'callable': name, 'pid': os.getpid(), 'module': [mod_wsgi.process_group, mod_wsgi.application_group],",
        )
    )
    dispatch = script(GROUPS, "dispatch.py")
    extra = f'WSGIDispatchScript "{dispatch}"\nWSGIDaemonProcess second threads=2\n'
    extra += "WSGIRestrictProcess app second %{GLOBAL}\n"
    running = timed("threads=2", extra=extra, script=app, preload=False)
    first, second, embedded = running.json("/"), running.json("/?second"), running.json("/?embedded")
    assert [answer["module"] for answer in (first, second, embedded)] == [["app", ""], ["second", ""], ["", ""]]
    assert len({answer["pid"] for answer in (first, second, embedded)}) == 3
    assert running.json("/?second")["pid"] == second["pid"] and running.json("/")["pid"] == first["pid"]
    own = running.json("/?second", headers={"X-Interpreter": "own"})
    assert own["module"] == ["second", "own"] and own["pid"] == second["pid"]
    answer = running.client.post("/?second", content=b"x" * 300_000)
    assert answer.json()["pid"] == second["pid"]
    assert running.get("/?nowhere").status_code == 500
    running.wait_log('WSGI0149: process group "nowhere" is not among')
