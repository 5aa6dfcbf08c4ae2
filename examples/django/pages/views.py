"""A page that counts its visits in the session."""

from django.shortcuts import render


def index(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return render(request, "index.html", {"visits": request.session["visits"]})
