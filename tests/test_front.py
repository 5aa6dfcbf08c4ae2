"""Process groups behind a front process: what the hop adds to the behaviour of requests.

What it must not change is tested by running the other files with MODWSGI_TEST_FRONT=1 (make test-front).
"""

import concurrent.futures
import os
import signal
import socket
import threading
import time

import httpx
import pytest

from harness import SECOND_GROUP, descendants, wait_for

APP = """
import os, time, json

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/kill":
        os.kill(os.getpid(), 9)
    if path == "/slow":
        open(environ["QUERY_STRING"], "a").write("begun ")
        time.sleep(1)
        open(environ["QUERY_STRING"], "a").write("done ")
    if path == "/early":
        start_response("403 Forbidden", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return [b"early"]
    if path == "/blocks":
        start_response("200 OK", [("Content-Type", "text/plain")])
        def blocks():
            for n in range(4):
                yield b"%d\\n" % n
                end = time.monotonic() + 20
                while not os.path.exists(environ["QUERY_STRING"] + str(n)) and time.monotonic() < end:
                    time.sleep(0.01)
        return blocks()
    if path == "/cut":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "100")])
        def broken():
            yield b"some"
            time.sleep(0.1)
            raise RuntimeError("in the middle")
        return broken()
    if path == "/file":
        file = open(environ["QUERY_STRING"], "rb")
        size = os.fstat(file.fileno()).st_size
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(size))])
        return environ["wsgi.file_wrapper"](file)
    if path == "/short":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10")])
        return []
    if path == "/note":
        environ["wsgi.errors"].write("noted\\n")
    if path == "/generated":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (b"x" * 100_000 for _ in range(120))
    if path == "/big":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x" * 5_000_000]
    data = json.dumps({"group": environ["mod_wsgi.process_group"], "pid": os.getpid(), "host": environ["HTTP_HOST"],
                       "remote": environ["REMOTE_ADDR"], "port": environ["REMOTE_PORT"],
                       "path": path, "read": len(environ["wsgi.input"].read())}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data))), ("X-App", "1")])
    return [data]
"""


@pytest.fixture
def site(server, script):
    def make(*options, config=""):
        return server(script(APP), *options, config=SECOND_GROUP + config)

    return make


def test_request_reaches_the_group_and_says_who_asked(site):
    running = site()
    with running.conn() as conn:
        conn.send(b"GET /a%20b HTTP/1.1\r\nHost: name.example\r\n\r\n")
        import json

        seen = json.loads(conn.response()[2])
        assert (seen["host"], seen["remote"], seen["path"], seen["read"]) == ("name.example", "127.0.0.1", "/a b", 0)
        assert seen["port"] == str(conn.sock.getsockname()[1])
    assert seen["pid"] in descendants(running.process.pid) and seen["pid"] != running.process.pid


@pytest.mark.parametrize("size", [1, 100_000, 5_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies(site, size, chunked):
    running = site("--chunked-request")
    body = b"b" * size
    content = iter([body]) if chunked else body
    for _ in range(2):
        seen = running.post("/", content=content if not chunked else iter([body])).json()
        assert seen["read"] == size


def test_killed_process_is_a_502_that_the_log_explains(site):
    running = site(config='ErrorDocument 502 "gone"\n')
    answer = running.get("/kill")
    assert (answer.status_code, answer.text) == (502, "gone")
    record = running.wait_log(r"WSGI0146: process (\d+) of process group .* ended while it had the request 'GET /kill'")
    pid = record.group(1)
    running.wait_log(rf"\(pid {pid}\) was killed by SIGKILL")
    assert running.get("/").status_code == 200


def test_page_of_a_502_names_the_record(site):
    answer = site().get("/kill")
    assert answer.status_code == 502 and "WSGI0146" in answer.text


def test_requests_that_wait_survive_their_process(site, tmp_path):
    """One thread: the first request dies with the process, those behind it are served by the next one."""
    running = site("--threads", "1")
    victim = running.get("/").json()["pid"]
    begun = tmp_path / "begun"
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        first = pool.submit(running.get, f"/slow?{begun}")
        wait_for(begun.exists, what="the slow request to begin")
        rest = [pool.submit(running.get, "/") for _ in range(8)]
        time.sleep(0.2)  # on their way; that they are not there yet would be no failure
        os.kill(victim, signal.SIGKILL)
        assert first.result().status_code == 502
        answers = [r.result() for r in rest]
    assert {a.status_code for a in answers} == {200}
    assert victim not in {a.json()["pid"] for a in answers}


@pytest.mark.parametrize("reset", [False, True])
def test_client_that_leaves_takes_its_waiting_request_along(site, tmp_path, reset):
    running = site("--threads", "1")
    first, second = tmp_path / "first", tmp_path / "second"
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        slow = pool.submit(running.get, f"/slow?{first}")
        wait_for(first.exists, what="the slow request to begin")
        with running.conn() as half, socket.create_connection(("127.0.0.1", running.port)) as gone:
            gone.sendall(b"GET /slow?%s HTTP/1.1\r\nHost: x\r\n\r\n" % str(second).encode())
            half.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            half.sock.shutdown(socket.SHUT_WR)  # it has sent everything and waits
            time.sleep(0.2)
            if reset:
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            gone.close()
            assert slow.result().status_code == 200
            assert half.response()[0] == 200
    assert running.get("/").status_code == 200  # its turn came after that of the one that left
    assert not second.exists()


def test_early_response_to_an_upload(site):
    """The response is relayed although the client has not sent its body."""
    running = site()
    with running.conn() as conn:
        conn.send(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 2_000_000)
        status, fields, body = conn.response()
    assert (status, body) == (403, b"early") and fields["connection"] == "close"


def test_blocks_arrive_as_they_are_made(site, tmp_path):
    """No block is made before the one ahead of it has been seen."""
    seen = []
    with site().client.stream("GET", f"/blocks?{tmp_path}/seen") as answer:
        for line in answer.iter_lines():
            seen.append(line)
            (tmp_path / f"seen{line}").touch()
    assert seen == ["0", "1", "2", "3"]


def test_broken_response_is_visibly_cut(site):
    running = site()
    answer = running.raw(b"GET /cut HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Length: 100" in head and body == b"some"
    assert running.get("/").status_code == 200


def test_slow_reader_keeps_no_thread(site):
    running = site("--threads", "1")
    with running.conn() as conn:
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        conn.send(b"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        conn.sock.recv(1000)
        for _ in range(5):
            assert running.get("/").status_code == 200
        conn.sock.settimeout(10)
        size = 0
        while block := conn.sock.recv(1 << 20):
            size += len(block)
    assert size > 4_900_000


def test_hooks_and_filters_of_the_front(site):
    running = site(config="Header set X-Front yes\nHeader unset X-App\n"
                          "AddOutputFilterByType DEFLATE application/json text/plain\n")
    answer = running.get("/")
    assert answer.headers["x-front"] == "yes" and "x-app" not in answer.headers
    assert answer.headers["content-encoding"] == "gzip" and answer.json()["path"] == "/"
    answer = running.get("/big")
    assert answer.headers["content-encoding"] == "gzip" and len(answer.content) == 5_000_000


@pytest.mark.parametrize("filters", [False, True])
def test_response_without_its_body(site, filters):
    """The client learns at once that something is missing: the connection does not stay open without an answer."""
    running = site(config="AddOutputFilterByType DEFLATE text/plain\n" if filters else "")
    with running.conn() as conn:
        conn.sock.settimeout(3)
        conn.send(b"GET /short HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
        data = conn.sock.recv(1000)
        while block := conn.sock.recv(1000):
            data += block
    assert b"\r\n\r\n" in data and data.startswith(b"HTTP/1.1 502 " if filters else b"HTTP/1.1 200 OK\r\n")
    if filters:
        assert "WSGI0319" in running.log() and b"%s" not in data


def test_head_does_not_read_the_file(site, tmp_path):
    with open(tmp_path / "file", "wb") as file:
        file.truncate(1 << 40)
    with site("--threads=1").conn() as conn:
        conn.sock.settimeout(10)
        conn.send(f"HEAD /file?{tmp_path}/file HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert f"Content-Length: {1 << 40}\r\n".encode() in conn.sock.recv(1000)


def test_readers_that_leave_keep_no_place(site):
    """Clients that go away in the middle of a long response do not fill their process with requests that never end."""
    running = site("--processes=1", "--threads=1", "--daemon-backlog=2", "--connect-timeout=2")
    for _ in range(8):
        with running.conn() as conn:
            conn.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            assert conn.sock.recv(1000).startswith(b"HTTP/1.1 200")
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert running.get("/").status_code == 200


def test_group_whose_processes_do_not_start(site, script):
    """They may still come, as after any restart: the request waits for connect-timeout."""
    bad = script("import os\nos._exit(3)\n", "bad.wsgi")
    running = site(config=f"WSGIDaemonProcess bad connect-timeout=1\nWSGIScriptAlias /bad {bad} process-group=bad\n"
                          f"<Location /bad>\nRequire all granted\n</Location>\n"
                          f"WSGIImportScript {bad} process-group=bad application-group=%{{GLOBAL}}\n")
    answer = running.get("/bad")
    assert answer.status_code == 503
    running.wait_log("WSGI0116: .*process group 'bad'.*connect-timeout")


def test_group_that_takes_its_time_to_start(site, script, tmp_path):
    """A process that is there and not ready is waited for like one that computes, beyond connect-timeout."""
    slow = script(f"import os, time\nwhile not os.path.exists('{tmp_path}/go'): time.sleep(0.01)\n" + APP, "slow.wsgi")
    running = site(config=f"WSGIDaemonProcess slow connect-timeout=1 socket-timeout=30\n"
                          f"WSGIScriptAlias /slow {slow} process-group=slow\n"
                          f"<Location /slow>\nRequire all granted\n</Location>\n"
                          f"WSGIImportScript {slow} process-group=slow application-group=%{{GLOBAL}}\n")
    answers = []
    asking = threading.Thread(target=lambda: answers.append(running.get("/slow/", timeout=30)))
    asking.start()
    time.sleep(2)
    assert not answers
    (tmp_path / "go").touch()
    asking.join(30)
    assert answers[0].status_code == 200
    assert "WSGI0116" not in running.log()


@pytest.mark.parametrize("way", ["", "Header set X-Hook yes\n", "AddOutputFilterByType DEFLATE application/json\n"])
def test_log_id_of_records_of_the_application(site, way):
    """%L of the access log names the records that the application's process has written."""
    running = site(config=f'{way}ErrorLogFormat "id=%L %M"\nLogFormat "%U %L" ids\nCustomLog @ROOT@/ids.log ids\n')
    for _ in range(2):
        running.get("/note")
        running.get("/quiet")
    file = running.root / "ids.log"
    lines = wait_for(lambda: len(text := file.read_text().splitlines()) == 4 and text, what="the access log")
    ids = dict(line.split() for line in lines)
    assert ids["/quiet"] == "-" and f"id={ids['/note']} " in running.log()


@pytest.mark.parametrize("way", ["", "Header set X-Hook yes\n"])
def test_response_buffer_size(site, way):
    """What an application may write although its client does not read."""
    large, small = (site("--threads=1", f"--response-buffer-size={size}", config=way) for size in (16 << 20, 64 << 10))

    def unread(running):
        conn = running.conn()
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        conn.send(b"GET /generated HTTP/1.1\r\nHost: x\r\n\r\n")
        assert conn.sock.recv(100).startswith(b"HTTP/1.1 200")
        return conn

    with unread(large):
        assert large.get("/").status_code == 200, "its thread is free"
    with unread(small), pytest.raises(httpx.ReadTimeout):
        small.get("/", timeout=1)


def test_queue_timeout(site, tmp_path):
    running = site("--threads", "1", "--queue-timeout", "1")
    paths = [tmp_path / str(n) for n in range(3)]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        codes = sorted(r.result().status_code for r in [pool.submit(running.get, f"/slow?{p}") for p in paths])
    assert codes[0] == 200 and codes[-1] == 504
    running.wait_log("WSGI0084")
