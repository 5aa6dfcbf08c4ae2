"""Hello World in Flask."""

from flask import Flask

application = Flask(__name__)


@application.get("/")
def hello():
    return "Hello World!"
