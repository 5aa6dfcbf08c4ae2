"""The site of test_frameworks.py in Bottle."""

import hashlib
import os

from bottle import Bottle, abort, redirect, request, response, static_file

FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")
SECRET = "for tests"
application = Bottle()


@application.get("/")
def index():
    return "hello"


@application.get("/name/<name>", name="name")
def name(name):
    return {"name": name, "query": request.query.getunicode("q")}


@application.get("/absolute")
def absolute():
    root = request.urlparts
    return {
        "url": f"{root.scheme}://{root.netloc}{request.script_name}",
        "path": application.get_url("name", name="x"),
    }


@application.get("/session/<value>")
def remember(value):
    response.set_cookie("value", value, secret=SECRET, path="/")
    response.set_cookie("flash", f"kept {value}", secret=SECRET, path="/")
    redirect(request.script_name.rstrip("/") + "/session")


@application.get("/session")
def recall():
    flash = request.get_cookie("flash", secret=SECRET)
    response.delete_cookie("flash", path="/")
    return {"value": request.get_cookie("value", secret=SECRET), "messages": [flash] if flash else []}


@application.get("/cookies")
def cookies():
    response.set_cookie("one", "1", httponly=True)
    response.set_cookie("two", "2", path="/cookies")
    return "two"


@application.post("/upload")
def upload():
    file = request.files.file
    data = file.file.read()
    return {
        "name": file.raw_filename,
        "size": len(data),
        "digest": hashlib.sha256(data).hexdigest(),
        "note": request.forms.note,
    }


@application.post("/json")
def echo():
    return request.json


@application.get("/stream")
def stream():
    response.content_type = "text/plain"
    for n in range(1000):
        yield f"line {n}\n"


@application.get("/download")
def download():
    return static_file("style.css", root=FILES, download="copy.css")


@application.get("/static/<path:path>")
def static(path):
    return static_file(path, root=FILES)


@application.get("/forbidden")
def forbidden():
    abort(403, "no")


@application.get("/boom")
def boom():
    raise RuntimeError("boom of the site")


@application.error(404)
def missing(error):
    return "own page for what is missing"
