"""`manage.py runmodwsgi`: serves a Django project with the options of start-server.

Enabled by "modwsgi_go.express" in INSTALLED_APPS. The application comes from
settings.WSGI_APPLICATION, so there is no positional argument and none of the options that
would name another one; for the rest the table of mod_wsgi-express applies (see ..table).
STATIC_URL is served from STATIC_ROOT, unless WhiteNoise does that.
"""

from __future__ import annotations

import os
import sys

from django.conf import settings as site
from django.core.management.base import BaseCommand, CommandError

from modwsgi_go.express import main, parser, serve, settings, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import Any

# Options that WSGI_APPLICATION stands for.
FROM_SETTINGS = ("application_type", "entry_point", "callable_object")
WHITENOISE = "whitenoise.middleware.WhiteNoiseMiddleware"


class Command(BaseCommand):  # type: ignore[misc]  # Django has no types
    """The command as Django calls it."""

    help = "Serves this project with the server of mod_wsgi-express."
    # The server reports on its own what an application that cannot be loaded has to say.
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, argparser: ArgumentParser) -> None:
        """The options of start-server, group by group."""
        for title, rows in table.GROUPS:
            group = argparser.add_argument_group(title)
            for row in rows:
                if row.dest not in FROM_SETTINGS:
                    parser.add_to_argparse(group, row)

    def handle(self, *args: object, **options: Any) -> None:
        """Sets the server root up and serves until a signal ends it."""
        given = {row.dest: options[row.dest] for row in table.ROWS if options.get(row.dest) is not None}
        for row in table.ROWS:
            if row.kind == table.PAIRS and row.dest in given:
                given[row.dest] = [(first, second) for first, second in given[row.dest]]
        module, callable_object = application()
        given.update(application_type="module", entry_point=module, callable_object=callable_object)
        given.setdefault("working_directory", project_directory())
        alias = static_alias()
        if alias:
            given["url_alias"] = [alias, *given.get("url_alias", [])]

        self.stdout.write("Successfully ran command.")
        try:
            s = main.prepare("start-server", sys.argv[2:], given, [])
        except (settings.UsageError, settings.Unavailable) as error:
            raise CommandError(str(error)) from None
        if not s.setup_only:
            sys.exit(serve.start(s))


def application() -> tuple[str, str]:
    """Module and callable of settings.WSGI_APPLICATION."""
    path = getattr(site, "WSGI_APPLICATION", None) or ""
    module, dot, name = path.rpartition(".")
    if not dot:
        raise CommandError('settings.WSGI_APPLICATION must name the application, as in "mysite.wsgi.application"')
    return module, name


def project_directory() -> str:
    """BASE_DIR, else the folder in which the project's package lies."""
    base: str | os.PathLike[str] | None = getattr(site, "BASE_DIR", None)
    if base:
        return os.path.abspath(base)
    package = os.environ.get("DJANGO_SETTINGS_MODULE", "").partition(".")[0]
    file: str | None = getattr(sys.modules.get(package), "__file__", None)
    if not file:
        return os.getcwd()
    # A settings module without a package is a file in the project's folder.
    folder = os.path.dirname(os.path.abspath(file))
    return os.path.dirname(folder) if os.path.basename(file) == "__init__.py" else folder


def static_alias() -> tuple[str, str] | None:
    """URL path and folder of the static files; None if somebody else serves them."""
    if WHITENOISE in (getattr(site, "MIDDLEWARE", None) or ()):
        return None
    url: str | None = getattr(site, "STATIC_URL", None)
    root: str | os.PathLike[str] | None = getattr(site, "STATIC_ROOT", None)
    if not url or not root or not url.startswith("/"):
        return None
    return url.rstrip("/") or "/", os.fspath(root)
