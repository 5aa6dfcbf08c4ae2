"""Views of the Django test project: database, sessions, CSRF, uploads, streaming, files."""

import hashlib
from pathlib import Path

from django.core.files.storage import default_storage
from django.db import transaction
from django.http import FileResponse, Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from .models import Item


def index(request):
    return render(request, "index.html", {"items": Item.objects.order_by("id")})


@csrf_exempt
def item(request, number):
    if request.method == "POST":
        with transaction.atomic():
            made = Item.objects.create(name=request.POST["name"], price=request.POST["price"])
        return JsonResponse({"id": made.id}, status=201)
    found = Item.objects.filter(pk=number).first()
    if found is None:
        raise Http404
    return JsonResponse({"name": found.name, "price": str(found.price), "url": request.build_absolute_uri()})


def token(request):
    return HttpResponse(get_token(request), content_type="text/plain")


def cart(request):
    """Session in the database; a POST needs the CSRF token."""
    things = request.session.get("things", [])
    if request.method == "POST":
        things.append(request.POST["thing"])
        request.session["things"] = things
    return JsonResponse({"things": things})


@csrf_exempt
def upload(request):
    sent = request.FILES["file"]
    digest = hashlib.sha256()
    for chunk in sent.chunks():
        digest.update(chunk)
    name = default_storage.save(sent.name, sent)
    return JsonResponse({"size": sent.size, "sha256": digest.hexdigest(), "saved": default_storage.size(name),
                         "kind": type(sent).__name__})


def stream(request):
    rows = int(request.GET.get("rows", "3"))
    return StreamingHttpResponse((f"{i},{i * i}\n" for i in range(rows)), content_type="text/csv")


def download(request):
    return FileResponse(Path(__file__).open("rb"), as_attachment=True)


def fail(request):
    raise ArithmeticError("on purpose")


@csrf_exempt
def echo(request):
    return JsonResponse({"body": request.body.decode(), "path": request.path, "scheme": request.scheme,
                         "type": request.content_type, "header": request.headers.get("X-Thing"),
                         "address": request.META["REMOTE_ADDR"]})
