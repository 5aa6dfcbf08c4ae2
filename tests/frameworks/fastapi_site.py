"""The site of test_frameworks.py in FastAPI, through a2wsgi."""

import hashlib
import os
from typing import Annotated

from a2wsgi import ASGIMiddleware
from fastapi import FastAPI, Form, HTTPException, Request, UploadFile
from fastapi.responses import FileResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.sessions import SessionMiddleware

FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")
app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key="for tests")
app.mount("/static", StaticFiles(directory=FILES), name="static")


@app.get("/", response_class=PlainTextResponse)
def index():
    return "hello"


@app.get("/name/{name}")
async def name(name: str, q: str | None = None):
    return {"name": name, "query": q}


@app.get("/absolute")
def absolute(request: Request):
    return {"url": str(request.url_for("index")), "path": request.url_for("name", name="x").path}


@app.get("/session/{value}")
def remember(request: Request, value: str):
    request.session["value"] = value
    request.session["flash"] = [f"kept {value}"]
    return RedirectResponse(request.url_for("recall"), 302)


@app.get("/session")
def recall(request: Request):
    return {"value": request.session.get("value"), "messages": request.session.pop("flash", [])}


@app.get("/cookies")
def cookies():
    answer = PlainTextResponse("two")
    answer.set_cookie("one", "1", httponly=True)
    answer.set_cookie("two", "2", path="/cookies")
    return answer


@app.post("/upload")
async def upload(file: UploadFile, note: Annotated[str, Form()]):
    data = await file.read()
    return {"name": file.filename, "size": len(data), "digest": hashlib.sha256(data).hexdigest(), "note": note}


@app.post("/json")
async def echo(request: Request):
    return await request.json()


@app.get("/stream")
def stream():
    return StreamingResponse((f"line {n}\n" for n in range(1000)), media_type="text/plain")


@app.get("/download")
def download():
    return FileResponse(os.path.join(FILES, "style.css"), filename="copy.css")


@app.get("/forbidden")
def forbidden():
    raise HTTPException(403)


@app.get("/boom")
def boom():
    raise RuntimeError("boom of the site")


@app.exception_handler(404)
async def missing(request, error):
    return PlainTextResponse("own page for what is missing", 404)


application = ASGIMiddleware(app)
