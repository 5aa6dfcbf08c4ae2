"""Agents that watch an application: they wrap the callable on import, or through events of the mod_wsgi module."""

import json

import pytest

from frameworks_packages import folder
from harness import finish_all, start

pytestmark = [pytest.mark.timeout(900)]

SITE = """
from flask import Flask, abort

application = Flask(__name__)

@application.get("/")
def index():
    return "hello"

@application.get("/stream")
def stream():
    def lines():
        for n in range(5):
            yield f"{n}\\n"
    return lines(), {"Content-Type": "text/plain"}

@application.get("/boom")
def boom():
    raise RuntimeError("boom")
"""

# Loaded before the application, as an agent's start-up module is.
OPENTELEMETRY = """
import json
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

class ToFile(SpanExporter):
    def export(self, spans):
        with open(RECORD, "a") as file:
            for span in spans:
                attributes = {key: value for key, value in span.attributes.items() if isinstance(value, (str, int))}
                line = {"name": span.name, "attributes": attributes, "parent": span.parent is not None,
                        "ms": (span.end_time - span.start_time) / 1e6}
                file.write(json.dumps(line) + "\\n")
        return SpanExportResult.SUCCESS

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ToFile()))
trace.set_tracer_provider(provider)
FlaskInstrumentor().instrument()
"""

WSGI_MIDDLEWARE = """
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
application = OpenTelemetryMiddleware(application)
"""

SENTRY = """
import json
import sentry_sdk
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware
from sentry_sdk.transport import Transport

class ToFile(Transport):
    def capture_envelope(self, envelope):
        with open(RECORD, "a") as file:
            for item in envelope.items:
                payload = item.payload.json
                if payload:
                    file.write(json.dumps({"type": item.headers["type"], "event": payload}, default=str) + "\\n")
    def flush(self, timeout, callback=None):
        pass

sentry_sdk.init(dsn="http://key@localhost/1", transport=ToFile, traces_sample_rate=1.0)
"""

EVENTS = """
import json, mod_wsgi

class Wrapped:
    def __init__(self, application):
        self.application = application
    def __call__(self, environ, start_response):
        mod_wsgi.request_data()["wrapped"] = environ["PATH_INFO"]
        return self.application(environ, start_response)

def watch(name, **data):
    if name == "request_started":
        return {"application_object": Wrapped(data["application_object"])}
    if name in ("request_finished", "request_exception"):
        line = {"name": name, "data": data["request_data"], "status": data.get("status"),
                "error": repr(data["exception_info"][1]) if "exception_info" in data else None}
        with open(RECORD, "a") as file:
            file.write(json.dumps(line) + "\\n")

mod_wsgi.subscribe_events(watch)
"""


@pytest.fixture
def watched(tmp_path, script):
    """Factory: a server with an agent; records() reads what the agent has written."""
    running = []

    def factory(agent, site=SITE, after=""):
        record = tmp_path / "record"
        record.touch()
        path = script(f"RECORD = {str(record)!r}\n{agent}\n{site}\n{after}")
        running.append(start(path, "--python-path", folder(), root=tmp_path / "root"))
        running[-1].records = lambda: [json.loads(line) for line in record.read_text().splitlines()]
        return running[-1]

    yield factory
    finish_all(running)


def use(site):
    assert site.get("/").text == "hello"
    assert site.get("/stream").text == "0\n1\n2\n3\n4\n"
    assert site.get("/boom").status_code == 500
    assert site.get("/none").status_code == 404
    assert site.get("/").text == "hello"


def test_opentelemetry_in_flask(watched):
    """The instrumentation wraps Flask.wsgi_app and patches classes when it is imported."""
    site = watched(OPENTELEMETRY)
    use(site)
    spans = site.records()
    assert len(spans) == 5, spans
    status = [
        span["attributes"].get("http.status_code", span["attributes"].get("http.response.status_code"))
        for span in spans
    ]
    assert status == [200, 200, 500, 404, 200]
    assert all(0 <= span["ms"] < 10_000 for span in spans)


def test_opentelemetry_wsgi_middleware(watched):
    """The plain WSGI middleware; a trace that comes in a header is continued."""
    site = watched(OPENTELEMETRY.replace("FlaskInstrumentor().instrument()", ""), after=WSGI_MIDDLEWARE)
    use(site)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    site.get("/", headers={"traceparent": trace})
    spans = site.records()
    assert len(spans) == 6 and [span["parent"] for span in spans] == [False] * 5 + [True]
    attributes = spans[0]["attributes"]
    assert attributes.get("http.method", attributes.get("http.request.method")) == "GET"
    assert str(attributes.get("http.host", attributes.get("server.address"))).startswith("127.0.0.1")


def test_sentry(watched):
    """sentry-sdk hooks into Flask when it is there; the error's event has the traceback and the request."""
    site = watched(SENTRY)
    use(site)
    records = site.records()
    errors = [record["event"] for record in records if record["type"] == "event"]
    assert len(errors) == 1, records
    value = errors[0]["exception"]["values"][-1]
    assert value["type"] == "RuntimeError" and value["value"] == "boom"
    assert value["stacktrace"]["frames"][-1]["function"] == "boom"
    assert errors[0]["request"]["url"] == f"{site.url}/boom" and errors[0]["request"]["env"]["SERVER_PORT"] == str(
        site.port
    )
    assert len([record for record in records if record["type"] == "transaction"]) == 5


def test_sentry_wsgi_middleware(watched):
    site = watched(
        SENTRY,
        site="""
def application(environ, start_response):
    if environ["PATH_INFO"] == "/late":
        start_response("200 OK", [])
        def body():
            yield b"begun"
            raise ValueError("late")
        return body()
    raise KeyError("early")
application = SentryWsgiMiddleware(application)
""",
    )
    assert site.get("/early").status_code == 500
    with pytest.raises(Exception, match=r"incomplete|peer closed"):
        site.get("/late")
    values = [
        record["event"]["exception"]["values"][-1]["type"] for record in site.records() if record["type"] == "event"
    ]
    assert values == ["KeyError", "ValueError"]


def test_agent_that_uses_events(watched):
    """What mod_wsgi's own events are for: the callable is wrapped for each request, errors are seen with their data."""
    site = watched(EVENTS)
    use(site)
    records = site.records()
    assert [record["data"]["wrapped"] for record in records if record["name"] == "request_finished"] == [
        "/",
        "/stream",
        "/boom",
        "/none",
        "/",
    ]
    assert [record["status"] for record in records if record["name"] == "request_finished"] == [200, 200, 500, 404, 200]
    assert not [record for record in records if record["name"] == "request_exception"], (
        "Flask answers for errors itself"
    )
