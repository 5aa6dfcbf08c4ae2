"""One WSGI application with a path for every behaviour that the tests ask about.

Plain WSGI, standard library only. Handlers live in the package `sink`, each named
after its path; `EVENTS` records what happened behind the response (close() calls,
errors seen by the application) and is read and emptied with GET /events.
"""

from urllib.parse import parse_qs

from sink import body, failure, files, forks, response, seen  # noqa: F401  (they register their routes)
from sink.core import EVENTS, ROUTES, as_json, reply, route


def application(environ, start_response):
    query = {key: values[-1] for key, values in parse_qs(environ["QUERY_STRING"], keep_blank_values=True).items()}
    path = environ["PATH_INFO"]
    handler = ROUTES.get(path) or ROUTES.get("/" + path.split("/")[1]) if path != "/" else ROUTES["/"]
    return (handler or not_found)(environ, start_response, query)


@route("/")
def hello(environ, start_response, query):
    return reply(start_response, "Hello World!")


@route("/events")
def events(environ, start_response, query):
    seen_events, EVENTS[:] = list(EVENTS), []
    return as_json(start_response, seen_events)


def not_found(environ, start_response, query):
    return reply(start_response, "no such path", "404 Not Found")
