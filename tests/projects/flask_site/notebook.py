"""A small notebook site in Flask: templates, sessions, uploads, streaming and files."""

import hashlib
import io
import time

from flask import (
    Flask,
    Response,
    abort,
    flash,
    g,
    get_flashed_messages,
    jsonify,
    redirect,
    render_template,
    request,
    send_file,
    session,
    stream_with_context,
    url_for,
)


def create_app():
    app = Flask(__name__)
    app.config.update(SECRET_KEY="only for tests", MAX_CONTENT_LENGTH=8 * 1024 * 1024)
    torn_down = []

    @app.before_request
    def begin():
        g.began = time.perf_counter()

    @app.after_request
    def finish(response):
        response.headers["X-Took"] = f"{time.perf_counter() - g.began:.6f}"
        return response

    @app.teardown_request
    def teardown(error):
        torn_down.append(type(error).__name__)

    @app.get("/")
    def index():
        return render_template("index.html", title="Notes & more", notes=["<first>", "second \N{SNOWMAN}"])

    @app.get("/note/<int:number>")
    def note(number):
        return jsonify(number=number, url=request.url, root=request.root_path, args=request.args)

    @app.post("/login")
    def login():
        session["user"] = request.form["user"]
        flash("welcome")
        return redirect(url_for("me"))

    @app.get("/me")
    def me():
        if "user" not in session:
            abort(401)
        session["visits"] = session.get("visits", 0) + 1
        return jsonify(user=session["user"], visits=session["visits"], flashes=get_flashed_messages())

    @app.post("/upload")
    def upload():
        return jsonify({
            name: [file.filename, file.mimetype, hashlib.sha256(data := file.read()).hexdigest(), len(data)]
            for name, file in request.files.items()} | {"fields": request.form.to_dict()})

    @app.post("/json")
    def echo_json():
        return jsonify(request.get_json())

    @app.get("/stream")
    def stream():
        @stream_with_context
        def rows():
            for i in range(int(request.args.get("rows", 3))):
                yield f"{request.args.get('prefix', 'row')},{i}\n"

        return Response(rows(), mimetype="text/csv")

    @app.get("/download")
    def download():
        return send_file(__file__, as_attachment=True, download_name="notebook.py", conditional=True, max_age=60)

    @app.get("/memory")
    def memory():
        return send_file(io.BytesIO(b"m" * 100_000), mimetype="application/octet-stream")

    @app.get("/fail")
    def fail():
        raise ZeroDivisionError("on purpose")

    @app.get("/torn-down")
    def torn():
        seen = list(torn_down)
        torn_down.clear()
        return jsonify(seen)

    return app
