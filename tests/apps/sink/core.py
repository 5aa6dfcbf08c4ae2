"""What all parts of the kitchen sink share: the route table, replies, and the record of events."""

import json

EVENTS = []
ROUTES = {}
TEXT = [("Content-Type", "text/plain")]


def route(path):
    """Registers a handler (environ, start_response, query) for PATH_INFO, or for all paths below it."""

    def register(function):
        ROUTES[path] = function
        return function

    return register


def reply(start_response, body, status="200 OK", content_type="text/plain", headers=()):
    if isinstance(body, str):
        body = body.encode()
    start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body))), *headers])
    return [body]


def as_json(start_response, value):
    return reply(start_response, json.dumps(value), content_type="application/json")


class Body:
    """Iterable whose close() is recorded; the blocks may be callables (run when due)."""

    def __init__(self, name, blocks):
        self.name, self.blocks = name, blocks

    def __iter__(self):
        for block in self.blocks:
            yield block() if callable(block) else block

    def close(self):
        EVENTS.append("close " + self.name)
