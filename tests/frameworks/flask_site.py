"""The site of test_frameworks.py in Flask."""

import hashlib
import os

from flask import (
    Flask,
    Response,
    abort,
    flash,
    get_flashed_messages,
    jsonify,
    redirect,
    request,
    send_file,
    session,
    url_for,
)

FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")
application = Flask(__name__, static_folder=FILES, static_url_path="/static")
application.secret_key = "for tests"


@application.get("/")
def index():
    return "hello"


@application.get("/name/<name>")
def name(name):
    return jsonify(name=name, query=request.args.get("q"))


@application.get("/absolute")
def absolute():
    return jsonify(url=url_for("index", _external=True), path=url_for("name", name="x"))


@application.route("/session/<value>")
def remember(value):
    session["value"] = value
    flash(f"kept {value}")
    return redirect(url_for("recall"))


@application.get("/session")
def recall():
    return jsonify(value=session.get("value"), messages=get_flashed_messages())


@application.get("/cookies")
def cookies():
    answer = Response("two")
    answer.set_cookie("one", "1", httponly=True)
    answer.set_cookie("two", "2", path="/cookies")
    return answer


@application.post("/upload")
def upload():
    file = request.files["file"]
    data = file.read()
    return jsonify(
        name=file.filename, size=len(data), digest=hashlib.sha256(data).hexdigest(), note=request.form["note"]
    )


@application.post("/json")
def echo():
    return jsonify(request.get_json())


@application.get("/stream")
def stream():
    return Response((f"line {n}\n" for n in range(1000)), mimetype="text/plain")


@application.get("/download")
def download():
    return send_file(os.path.join(FILES, "style.css"), as_attachment=True, download_name="copy.css")


@application.get("/forbidden")
def forbidden():
    abort(403)


@application.get("/boom")
def boom():
    raise RuntimeError("boom of the site")


@application.errorhandler(404)
def missing(error):
    return "own page for what is missing", 404
