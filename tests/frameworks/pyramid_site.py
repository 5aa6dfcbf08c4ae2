"""The site of test_frameworks.py in Pyramid."""

import hashlib
import os

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPFound
from pyramid.response import FileResponse, Response
from pyramid.session import JSONSerializer, SignedCookieSessionFactory

FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")


def index(request):
    return Response("hello")


def name(request):
    return {"name": request.matchdict["name"], "query": request.params.get("q")}


def absolute(request):
    return {"url": request.route_url("index"), "path": request.route_path("name", name="x")}


def remember(request):
    request.session["value"] = request.matchdict["value"]
    request.session.flash(f"kept {request.matchdict['value']}")
    return HTTPFound(request.route_url("recall"))


def recall(request):
    return {"value": request.session.get("value"), "messages": request.session.pop_flash()}


def cookies(request):
    answer = Response("two")
    answer.set_cookie("one", "1", httponly=True)
    answer.set_cookie("two", "2", path="/cookies")
    return answer


def upload(request):
    file = request.POST["file"]
    data = file.file.read()
    return {
        "name": file.filename,
        "size": len(data),
        "digest": hashlib.sha256(data).hexdigest(),
        "note": request.POST["note"],
    }


def echo(request):
    return request.json_body


def stream(request):
    return Response(app_iter=(b"line %d\n" % n for n in range(1000)), content_type="text/plain")


def download(request):
    answer = FileResponse(os.path.join(FILES, "style.css"), request=request)
    answer.content_disposition = 'attachment; filename="copy.css"'
    return answer


def forbidden(request):
    raise HTTPForbidden


def boom(request):
    raise RuntimeError("boom of the site")


def missing(request):
    return Response("own page for what is missing", status=404)


with Configurator(session_factory=SignedCookieSessionFactory("for tests", serializer=JSONSerializer())) as config:
    for view, pattern, renderer in (
        (index, "/", None),
        (name, "/name/{name}", "json"),
        (absolute, "/absolute", "json"),
        (remember, "/session/{value}", None),
        (recall, "/session", "json"),
        (cookies, "/cookies", None),
        (upload, "/upload", "json"),
        (echo, "/json", "json"),
        (stream, "/stream", None),
        (download, "/download", None),
        (forbidden, "/forbidden", None),
        (boom, "/boom", None),
    ):
        config.add_route(view.__name__, pattern)
        config.add_view(view, route_name=view.__name__, renderer=renderer)
    config.add_static_view("static", FILES)
    config.add_notfound_view(missing)
    application = config.make_wsgi_app()
