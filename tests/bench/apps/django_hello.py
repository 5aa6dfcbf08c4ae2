"""Hello World in Django, one file, with the middleware of a new project's core."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY="benchmark", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, DEBUG=False,
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"])


def hello(request):
    return HttpResponse("Hello World!", content_type="text/plain")


urlpatterns = [path("", hello)]
application = get_wsgi_application()
