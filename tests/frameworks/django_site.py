"""The site of test_frameworks.py in Django: one file, signed cookies for sessions, messages in cookies."""

import hashlib
import json
import os

import django
from django.conf import settings

FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")
settings.configure(
    SECRET_KEY="for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DEBUG=False,
    INSTALLED_APPS=["django.contrib.messages", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.middleware.common.CommonMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MESSAGE_STORAGE="django.contrib.messages.storage.cookie.CookieStorage",
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"server": {"class": "mod_wsgi.LogHandler"}},
        "root": {"handlers": ["server"]},
        "loggers": {"django": {"handlers": ["server"], "propagate": False}},
    },
)
django.setup()

from django.contrib import messages  # noqa: E402
from django.core.exceptions import PermissionDenied  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import FileResponse, HttpResponse, HttpResponseNotFound, JsonResponse, StreamingHttpResponse  # noqa: E402
from django.shortcuts import redirect  # noqa: E402
from django.urls import path, reverse  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from django.views.static import serve  # noqa: E402


def index(request):
    return HttpResponse("hello", content_type="text/plain")


def name(request, name):
    return JsonResponse({"name": name, "query": request.GET.get("q")})


def absolute(request):
    return JsonResponse({"url": request.build_absolute_uri(reverse("index")), "path": reverse("name", args=["x"])})


def remember(request, value):
    request.session["value"] = value
    messages.info(request, f"kept {value}")
    return redirect("recall")


def recall(request):
    return JsonResponse(
        {"value": request.session.get("value"), "messages": [str(m) for m in messages.get_messages(request)]}
    )


def cookies(request):
    answer = HttpResponse("two")
    answer.set_cookie("one", "1", httponly=True)
    answer.set_cookie("two", "2", path="/cookies")
    return answer


@csrf_exempt
def upload(request):
    file = request.FILES["file"]
    data = file.read()
    return JsonResponse(
        {"name": file.name, "size": len(data), "digest": hashlib.sha256(data).hexdigest(), "note": request.POST["note"]}
    )


@csrf_exempt
def echo(request):
    return JsonResponse(json.loads(request.body))


def stream(request):
    return StreamingHttpResponse((f"line {n}\n" for n in range(1000)), content_type="text/plain")


def download(request):
    return FileResponse(open(os.path.join(FILES, "style.css"), "rb"), as_attachment=True, filename="copy.css")


def forbidden(request):
    raise PermissionDenied


def boom(request):
    raise RuntimeError("boom of the site")


def handler404(request, exception):
    return HttpResponseNotFound("own page for what is missing")


urlpatterns = [
    path("", index, name="index"),
    path("name/<str:name>", name, name="name"),
    path("absolute", absolute),
    path("session/<str:value>", remember),
    path("session", recall, name="recall"),
    path("cookies", cookies),
    path("upload", upload),
    path("json", echo),
    path("stream", stream),
    path("download", download),
    path("forbidden", forbidden),
    path("boom", boom),
    path("static/<path:path>", serve, {"document_root": FILES}),
]
application = get_wsgi_application()
