"""The mod_wsgi module as an application sees it: events with all their keys, request data, active requests, metrics."""

import json
import os
import signal
import time

import pytest

from harness import wait_for
from timed import Background, entered, other, pid

pytestmark = pytest.mark.ours

APP = """\
import json, os, sys, threading, time
import mod_wsgi

SEEN = []
FILE = os.environ["EVENT_LOG"]


def simple(value):
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, (list, tuple)):
        return [simple(item) for item in value]
    if isinstance(value, dict):
        return {str(key): simple(item) for key, item in value.items() if isinstance(item, (str, int, float, list))}
    return getattr(value, "__name__", type(value).__name__)


def listener(name, **data):
    with open(FILE, "a") as file:
        file.write(json.dumps([name, {key: simple(value) for key, value in data.items()}]) + "\\n")
    if name == "request_started":
        data["request_data"]["mark"] = data["request_environ"]["PATH_INFO"]
        if data["request_environ"]["PATH_INFO"] == "/replaced":
            return {"application_object": replacement}


def second(name, **data):
    if name == "request_started" and data.get("extra"):
        with open(FILE, "a") as file:
            file.write(json.dumps(["extra", {}]) + "\\n")


def giver(name, **data):
    return {"extra": True}


if SUBSCRIBE:
    mod_wsgi.subscribe_events(listener)
    mod_wsgi.subscribe_events(giver)
    assert mod_wsgi.subscribe_events(second) is second

    @mod_wsgi.subscribe_events
    def broken(name, **data):
        raise RuntimeError("a broken subscriber")


@mod_wsgi.subscribe_shutdown
def stopping(name, **data):
    with open(FILE, "a") as file:
        file.write(json.dumps(["shutdown callback", data]) + "\\n")


@mod_wsgi.subscribe_signals
def signalled(name, **data):
    with open(FILE, "a") as file:
        file.write(json.dumps(["signal callback", data]) + "\\n")


def replacement(environ, start_response):
    start_response("202 Accepted", [])
    return [b"replaced"]


class Closing:
    def __iter__(self):
        yield b"x"

    def close(self):
        raise ValueError("close")


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raise":
        raise KeyError("raised")
    if path == "/close":
        start_response("200 OK", [])
        return Closing()
    if path == "/timeout":
        raise mod_wsgi.RequestTimeout
    body = b"ok"
    if path == "/echo":
        body = environ["wsgi.input"].read()
    elif path == "/data":
        body = json.dumps(mod_wsgi.request_data()).encode()
    elif path == "/active":
        before = mod_wsgi.active_requests
        own = environ["mod_wsgi.request_id"]
        mine = before[own] is mod_wsgi.request_data()
        body = json.dumps({"id": own, "active": sorted(before), "mine": mine}).encode()
    elif path == "/outside":
        result = []
        def ask():
            try:
                mod_wsgi.request_data()
            except RuntimeError:
                result.append("RuntimeError")
        thread = threading.Thread(target=ask); thread.start(); thread.join()
        body = json.dumps(result).encode()
    elif path == "/metrics":
        names = ["request", "process", "server"]
        body = json.dumps({name: getattr(mod_wsgi, name + "_metrics")() for name in names}).encode()
    elif path == "/record":
        body = json.dumps(mod_wsgi.start_recording_metrics()).encode()
    elif path == "/sleep":
        time.sleep(0.3)
    elif path == "/long":
        with open(FILE, "a") as file:
            file.write(f"{os.getpid()} in /long\\n")
        time.sleep(1.5)
    elif path == "/names":
        body = json.dumps(sorted(name for name in dir(mod_wsgi) if not name.startswith("_"))).encode()
    elif path == "/module":
        names = ["process_group", "application_group", "maximum_processes", "threads_per_process", "version"]
        body = json.dumps([getattr(mod_wsgi, name) for name in names]).encode()
    elif path == "/":
        body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
"""


@pytest.fixture
def app(timed, script):
    """Factory: a server with the application above; events=False leaves it without subscribers."""

    def factory(options="threads=3", extra="", events=True):
        running = timed(options, extra, script(f"SUBSCRIBE = {events}\n" + APP))
        return running

    return factory


def published(running, name=None, **where):
    """The events in order, or those of a name whose payload has the given values."""
    path = running.root / "events"
    lines = (
        [json.loads(line) for line in path.read_text().splitlines() if line.startswith("[")] if path.exists() else []
    )
    if name is None:
        return lines
    return [
        data for kind, data in lines if kind == name and all(data.get(key) == value for key, value in where.items())
    ]


COMMON = {"request_id", "request_data"}
TIMES = {"thread_id", "server_pid", "request_start", "queue_start", "daemon_start"}


def test_keys_of_request_events(app):
    running = app()
    assert running.post("/echo", b"12345678").text == "12345678"
    wait_for(lambda: published(running, "request_finished"), 5, "request_finished")
    assert [kind for kind, _ in published(running)] == [
        "request_started",
        "extra",
        "response_started",
        "request_finished",
    ]
    started, responded, finished = (
        published(running, name)[0] for name in ("request_started", "response_started", "request_finished")
    )
    assert set(started) == COMMON | TIMES | {
        "application_start",
        "daemon_connects",
        "daemon_restarts",
        "application_object",
        "callable_object",
        "request_environ",
    }
    assert set(responded) == COMMON | {"response_status", "response_headers", "exception_info"}
    assert set(finished) - {"extra"} == COMMON | TIMES | {
        "application_finish",
        "application_time",
        "input_reads",
        "input_length",
        "input_time",
        "output_writes",
        "output_length",
        "output_time",
        "status",
        "gil_wait_time",
        "gil_wait_count",
        "cpu_user_time",
        "cpu_system_time",
        "cpu_time",
    }
    assert (
        started["request_id"]
        == responded["request_id"]
        == finished["request_id"]
        == started["request_environ"]["mod_wsgi.request_id"]
    )
    assert started["server_pid"] == finished["server_pid"] == int(started["request_environ"]["mod_wsgi.server_pid"])
    assert started["application_object"] == started["callable_object"] == "application"
    assert responded["response_status"] == "200 OK" and responded["response_headers"] == [
        ["Content-Type", "text/plain"]
    ]
    assert finished["request_data"] == {"mark": "/echo"}
    assert (finished["input_reads"], finished["input_length"]) == (1, 8)
    assert (finished["output_writes"], finished["output_length"], finished["status"]) == (1, 8, 200)
    assert isinstance(started["thread_id"], int)
    now = time.time()
    assert (
        now - 60
        < started["request_start"]
        <= started["queue_start"]
        <= started["daemon_start"]
        <= started["application_start"]
        <= now
    )
    assert started["application_start"] <= finished["application_finish"] <= now
    assert 0 <= finished["cpu_time"] <= finished["application_time"] + 1e-6
    assert finished["gil_wait_count"] >= 1


def test_times_in_the_environ(timed, script):
    running = timed(
        "threads=1",
        "",
        script(
            "import json, time\n"
            "def application(environ, start_response):\n"
            "    if environ['PATH_INFO'] == '/sleep':\n"
            "        time.sleep(1)\n"
            "    start_response('200 OK', [])\n"
            "    return [json.dumps({k: v for k, v in environ.items() if k.endswith('_start')}).encode()]\n"
        ),
    )
    direct = running.json("/")
    assert direct["mod_wsgi.request_start"] <= direct["mod_wsgi.queue_start"] == direct["mod_wsgi.daemon_start"]
    for _ in range(5):  # whether the second request had to wait shows in its own times
        slow = Background(running, "/sleep")
        late = Background(running, "/")
        assert (slow.status(), late.status()) == (200, 200)
        times = late.answer.json()
        if times["mod_wsgi.daemon_start"] - times["mod_wsgi.queue_start"] > 0.1:
            break
    assert times["mod_wsgi.daemon_start"] - times["mod_wsgi.queue_start"] > 0.1
    assert times["mod_wsgi.daemon_start"] <= times["mod_wsgi.application_start"]


def test_application_time_and_replacement(app):
    running = app()
    running.get("/sleep")
    assert running.get("/replaced").text == "replaced"
    wait_for(lambda: len(published(running, "request_finished")) == 2, 5, "request_finished")
    slow, replaced = published(running, "request_finished")
    assert 0.3 <= slow["application_time"] < 5
    assert replaced["status"] == 202
    running.wait_log("a broken subscriber")
    running.wait_log("WSGI0112: .*raised while a subscriber of event 'request_started' ran")


@pytest.mark.parametrize(("path", "kind", "status"), [("/raise", "KeyError", 500), ("/close", "ValueError", 200)])
def test_request_exception(app, path, kind, status):
    running = app()
    assert running.get(path).status_code == status
    wait_for(lambda: published(running, "request_finished"), 5, "request_finished")
    (raised,) = published(running, "request_exception")
    assert set(raised) - {"extra"} == COMMON | {"exception_info"}
    assert raised["exception_info"][0] == kind
    assert published(running, "request_finished")[0]["status"] == status


def test_timeout_is_no_exception_event(app):
    running = app()
    assert running.get("/timeout").status_code == 504
    wait_for(lambda: published(running, "request_finished"), 5, "request_finished")
    assert not published(running, "request_exception")
    assert published(running, "request_finished")[0]["status"] == 504


def test_process_stopping_comes_before_running_requests_end(app):
    running = app("threads=3 shutdown-timeout=10")
    first = pid(running)
    slow = Background(running, "/long")
    wait_for(lambda: (running.root / "events").read_text().count("in /long"), 5, "the request in progress")
    os.kill(first, signal.SIGTERM)
    assert slow.status() == 200
    wait_for(lambda: published(running, "shutdown callback"), 5, "the callback")
    kinds = [kind for kind, _ in published(running)]
    finished = len(kinds) - 1 - kinds[::-1].index("request_finished")
    assert kinds.index("process_stopping") < kinds.index("shutdown callback") < finished
    assert published(running, "process_stopping")[0]["shutdown_reason"] == "shutdown_signal"


def test_process_signal(app):
    running = app()
    first = pid(running)
    for number, name in ((signal.SIGHUP, "SIGHUP"), (signal.SIGUSR2, "SIGUSR2")):
        os.kill(first, number)
        wait_for(lambda name=name: published(running, "signal callback", signame=name), 5, name)
        assert published(running, "process_signal", signame=name)[0]["signum"] == number
    assert pid(running) == first, "no other effect"


def test_request_data_and_active_requests(app):
    running = app(events=False)
    assert running.json("/data") == {}
    assert running.json("/outside") == ["RuntimeError"]
    first = running.json("/active")
    assert first["active"] == [first["id"]] and first["mine"]
    slow = Background(running, "/long")
    wait_for(lambda: (running.root / "events").exists(), 5, "the request in progress")
    both = running.json("/active")
    assert len(both["active"]) == 2 and both["id"] in both["active"]
    assert slow.status() == 200
    assert len(running.json("/active")["active"]) == 1


def test_names_of_the_module(app):
    running = app("threads=3 processes=2", events=False)
    assert set(running.json("/names")) >= {
        "version",
        "process_group",
        "application_group",
        "maximum_processes",
        "threads_per_process",
        "FileWrapper",
        "RequestTimeout",
        "subscribe_events",
        "subscribe_shutdown",
        "subscribe_signals",
        "event_callbacks",
        "shutdown_callbacks",
        "signal_callbacks",
        "request_data",
        "start_recording_metrics",
        "request_metrics",
        "process_metrics",
        "server_metrics",
        "LogHandler",
        "active_requests",
    }
    assert running.json("/module") == ["app", "", 2, 3, [6, 0, 5]]


def test_nothing_is_measured_before_it_is_asked_for(app):
    running = app(events=False)
    assert running.json("/metrics") == {"request": None, "process": None, "server": None}
    assert running.json("/record") is None
    assert running.json("/metrics")["request"] is not None


PHASES = [
    "server_time",
    "queue_time",
    "daemon_time",
    "application_time",
    "request_time",
    "gil_wait_time",
    "input_read_time",
    "output_write_time",
]


def test_request_metrics(app):
    running = app("threads=2", events=False)
    running.get("/record")
    running.json("/metrics")  # begins an interval
    running.post("/echo", b"x" * 100)
    running.get("/sleep")
    running.get("/raise")
    got = running.json("/metrics")["request"]
    keys = {
        "pid",
        "start_time",
        "stop_time",
        "sample_period",
        "request_count",
        "request_throughput",
        "capacity_utilization",
        "request_threads_maximum",
        "request_threads_started",
        "request_threads_active",
        "request_threads_completed",
        "request_threads_buckets",
        "request_threads_busy_time",
        "request_threads_cpu_time",
        "request_threads_current_elapsed",
        "request_threads_max_duration",
        "cpu_user_utilization",
        "cpu_system_utilization",
        "cpu_utilization",
        "cpu_user_time",
        "cpu_system_time",
        "cpu_time",
        "memory_rss",
        "memory_max_rss",
        "status_1xx",
        "status_2xx",
        "status_3xx",
        "status_4xx",
        "status_5xx",
        "input_bytes",
        "input_reads",
        "output_bytes",
        "output_writes",
        "gil_wait_count",
    }
    keys |= {phase + suffix for phase in PHASES for suffix in ("", "_min_us", "_max_us", "_buckets")}
    assert set(got) == keys
    assert got["request_count"] == 4  # the three, and the one that began the interval
    assert sum(got["request_threads_completed"]) == 4
    assert (got["status_2xx"], got["status_5xx"]) == (3, 1)
    assert (got["input_bytes"], got["input_reads"]) == (100, 1)
    assert got["application_time_max_us"] >= 300_000
    assert sum(got["application_time_buckets"]) == 4 and len(got["application_time_buckets"]) == 65
    assert sum(got["application_time_buckets"][32:40]) == 1, "300 ms lie in 256 ... 320 ms, or later"
    assert got["stop_time"] - got["start_time"] == pytest.approx(got["sample_period"])
    assert got["request_throughput"] == pytest.approx(4 / got["sample_period"])
    assert 0 < got["capacity_utilization"] <= 1
    assert got["request_threads_maximum"] == got["request_threads_started"] == 2
    assert got["request_threads_active"] >= 1
    assert 1 << 20 < got["memory_rss"] <= got["memory_max_rss"]
    assert running.json("/metrics")["request"]["request_count"] == 1, "each call begins a new interval"


def test_process_metrics(app):
    running = app("threads=2", events=False)
    running.get("/record")
    running.get("/sleep")
    got = running.json("/metrics")["process"]
    assert set(got) == {
        "pid",
        "restart_time",
        "current_time",
        "running_time",
        "request_count",
        "request_busy_time",
        "request_threads",
        "active_requests",
        "cpu_user_time",
        "cpu_system_time",
        "cpu_time",
        "memory_rss",
        "memory_max_rss",
        "threads",
    }
    assert got["request_count"] == 2 == sum(thread["request_count"] for thread in got["threads"])
    assert got["request_busy_time"] >= 0.3
    assert got["active_requests"] == 1 and got["request_threads"] == 2
    assert [thread["thread_id"] for thread in got["threads"]] == [1, 2]


def test_server_metrics(app):
    running = app("threads=2 processes=2 server-metrics=On", events=False)
    wait_for(lambda: len(running.json("/metrics")["server"]["processes"]) == 2, 10, "both processes")
    slow = Background(running, "/long?with=query")
    wait_for(lambda: (running.root / "events").exists(), 5, "the request in progress")
    got = running.json("/metrics")["server"]
    assert {key for key in got if key != "processes"} == {
        "server_limit",
        "thread_limit",
        "running_generation",
        "restart_time",
        "current_time",
        "running_time",
    }
    assert len(got["processes"]) == 2 and got["thread_limit"] == 2 and got["running_generation"] == 1
    assert {p["process_num"] for p in got["processes"]} == {0, 1}
    process = got["processes"][0]
    assert (
        set(process) == {"process_num", "pid", "generation", "quiescing", "workers"} and process["quiescing"] is False
    )
    workers = [worker for p in got["processes"] for worker in p["workers"]]
    assert len(workers) == 4
    assert set(workers[0]) == {
        "thread_num",
        "generation",
        "status",
        "access_count",
        "bytes_served",
        "start_time",
        "stop_time",
        "last_used",
        "client",
        "request",
        "vhost",
    }
    busy = {worker["request"]: worker for worker in workers if worker["status"] == "W"}
    assert set(busy) == {"GET /long?with=query", "GET /metrics"}
    assert busy["GET /metrics"]["client"] == "127.0.0.1"
    assert busy["GET /metrics"]["vhost"] == f"127.0.0.1:{running.port}"
    assert slow.status() == 200


def test_server_metrics_follow_replacements(app):
    running = app("threads=2 server-metrics=On graceful-timeout=10", events=False)
    first = pid(running)
    slow = Background(running, "/long")
    entered(running, first, "/long")
    os.kill(first, signal.SIGUSR1)
    other(running, first)
    seen = {p["pid"]: p["quiescing"] for p in running.json("/metrics")["server"]["processes"]}
    assert seen.get(first, True) is True and len(seen) in (1, 2)
    assert slow.status() == 200
    wait_for(
        lambda: first not in {p["pid"] for p in running.json("/metrics")["server"]["processes"]},
        10,
        "the place to be cleared",
    )


def test_import_scripts_run_in_order(timed, tmp_path, script):
    order = tmp_path / "order"
    scripts = [
        script(
            "from mod_wsgi import process_group, application_group\n"
            f"open({str(order)!r}, 'a').write('{n} %s %s\\n' % (process_group, application_group))\n",
            f"import{n}.wsgi",
        )
        for n in (2, 1, 3)
    ]
    lines = "\n".join(f'WSGIImportScript "{one}" process-group=app application-group=%{{GLOBAL}}' for one in scripts)
    running = timed("threads=3", lines)
    assert running.get("/").status_code == 200
    assert order.read_text().splitlines() == ["2 app ", "1 app ", "3 app "]
