"""The application of api.example.test: /v1/time answers with the time as JSON."""

import json
import time


def application(environ, start_response):
    known = environ["PATH_INFO"] == "/v1/time"
    body = json.dumps({"time": time.time()} if known else {"error": "no such path"}).encode()
    status = "200 OK" if known else "404 Not Found"
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
