"""A guest book that forgets everything when its process ends."""

from flask import Flask, redirect, render_template, request, url_for

app = Flask(__name__)
entries = []


@app.get("/")
def index():
    return render_template("index.html", entries=entries)


@app.post("/sign")
def sign():
    name = request.form.get("name", "").strip()
    if name:
        entries.append(name[:100])
    return redirect(url_for("index"))
