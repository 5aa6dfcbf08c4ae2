"""What is measured: application, threads, processes, connections, and the request that wrk sends."""

from dataclasses import dataclass, field

BROWSER = {
    "Host": "www.example.com",
    "Connection": "keep-alive",
    "sec-ch-ua": '"Chromium";v="126", "Google Chrome";v="126", "Not-A.Brand";v="8"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Linux"',
    "Upgrade-Insecure-Requests": "1",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
                  "Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.8",
}


@dataclass(frozen=True)
class Scenario:
    """One row group: `app` is module:callable of tests/bench/apps; `length` is the body length of a right answer."""

    name: str
    title: str
    app: str
    threads: int
    connections: int
    processes: int = 1
    headers: dict = field(default_factory=dict)
    post: int = 0
    length: int = 12
    front: bool = False  # requests go through a front process to a process group of its own
    tls: bool = False
    streams: int = 0  # HTTP/2: so many requests at once on each connection (h2load instead of wrk)
    concurrent: bool = False  # needs requests that run at once: one-thread servers are left out


SCENARIOS = [
    Scenario("hello", "hello, Host header only", "basic:hello", 1, 32),
    Scenario("browser", "hello, browser headers", "basic:hello", 1, 32, headers=BROWSER),
    Scenario("browser5", "hello, browser headers", "basic:hello", 5, 32, headers=BROWSER),
    Scenario("proxied", "hello, browser headers, through a front process", "basic:hello", 5, 32, headers=BROWSER,
             front=True),
    Scenario("processes2", "hello, 2 processes", "basic:hello", 1, 64, processes=2),
    Scenario("sleep", "time.sleep(5 ms); 3,000/s possible", "basic:sleep", 15, 64, concurrent=True),
    Scenario("cpu", "1 ms of Python CPU", "basic:cpu", 5, 32, concurrent=True),
    Scenario("flask", "Flask hello", "flask_hello:application", 5, 32),
    Scenario("django", "Django hello", "django_hello:application", 5, 32),
    Scenario("body64k", "64 KiB body", "basic:body64k", 5, 32, length=65536),
    Scenario("body1m", "1 MiB body", "basic:body1m", 5, 16, length=1 << 20),
    Scenario("blocks", "generator, 100 blocks of 100 bytes", "basic:blocks", 5, 32, length=10_000),
    Scenario("post1k", "POST 1 KiB", "basic:post", 5, 32, post=1024, length=4),
    Scenario("post64k", "POST 64 KiB", "basic:post", 5, 32, post=65536, length=5),
    Scenario("conns1000", "hello, 1,000 connections", "basic:hello", 5, 1000),
    Scenario("file", "file wrapper, 1 MiB", "basic:file", 5, 16, length=1 << 20),
    Scenario("https", "hello over TLS, HTTP/1.1", "basic:hello", 5, 32, headers=BROWSER, tls=True),
    Scenario("h2", "hello over TLS, HTTP/2, 16 streams each", "basic:hello", 5, 8, headers=BROWSER, tls=True,
             streams=16),
    Scenario("https1m", "1 MiB body over TLS", "basic:body1m", 5, 16, length=1 << 20, tls=True),
]
