"""What the generated handler.wsgi imports: loads the application in a worker process.

It stands between server and application for everything but a plain script: modules,
Paste configurations, and any application under the reload monitor. Once loaded it is
out of the way: handler.wsgi exports the application's own callable, and the server has
worked out SCRIPT_NAME and PATH_INFO already.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class ApplicationHandler:
    """An application, and how to tell that its source has changed.

    application is the WSGI callable; target the file whose change asks for a reload,
    "" if there is none.
    """

    application: Callable[..., Any]
    target: str

    def __init__(
        self,
        *,
        application_type: str,
        entry_point: str,
        callable_object: str = "application",
        reload_on_changes: bool = False,
    ) -> None:
        """Loads the application; its exceptions pass through.

        application_type is module or paste, or anything else for a script. The monitor
        of reload_on_changes starts only after the application has loaded, so that it
        sees all of its modules.
        """
        self.entry_point = entry_point
        self.callable_object = callable_object
        if application_type == "module":
            self._load_module()
        elif application_type == "paste":
            self._load_paste()
        else:
            self._load_script()
        self.mtime = _mtime(self.target)
        if reload_on_changes:
            from . import reloader

            reloader.start_reloader()

    def _load_module(self) -> None:
        __import__(self.entry_point)
        module = sys.modules[self.entry_point]
        self.target = getattr(module, "__file__", None) or ""
        self.application = getattr(module, self.callable_object)

    def _load_paste(self) -> None:
        self.target = self.entry_point
        # A dependency of the application, not of the server.
        deploy = __import__("paste.deploy", fromlist=["loadapp"])
        self.application = deploy.loadapp("config:" + self.entry_point)

    def _load_script(self) -> None:
        """Executes a file of any name as the module __wsgi__, as express always has."""
        self.target = self.entry_point
        module = type(sys)("__wsgi__")
        module.__file__ = self.entry_point
        with open(self.entry_point, "rb") as file:
            code = compile(file.read(), self.entry_point, "exec", dont_inherit=True)
        sys.modules["__wsgi__"] = module
        try:
            exec(code, module.__dict__)
        except BaseException:
            del sys.modules["__wsgi__"]
            raise
        self.application = getattr(module, self.callable_object)

    def reload_required(self, resource: str) -> bool:
        """Whether the source differs from what was loaded; a vanished file does.

        The server asks before a request; resource is the script of the request, which
        the server watches itself.
        """
        return bool(self.target) and _mtime(self.target) != self.mtime

    # Only files count, and this server notices when they change: it asks then, not before each request.
    reload_required._modwsgi_seldom = True  # type: ignore[attr-defined]


class ResourceHandler:
    """Scripts for files by the extension of their URL: --add-handler."""

    def __init__(self, scripts: dict[str, str]) -> None:
        """scripts: path of the script by extension, as it was typed. Loads them all."""
        self.resources = {extension: self._load(extension, path) for extension, path in scripts.items()}

    @staticmethod
    def _load(extension: str, path: str) -> Callable[..., Any]:
        """Executes a script as a module of its own; handle_request wins over application."""
        name = "".join(char if char.isalnum() or char == "_" else "_" for char in extension)
        module = type(sys)(f"__wsgi_resource{name}__")
        module.__file__ = path
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec", dont_inherit=True)
        sys.modules[module.__name__] = module
        try:
            exec(code, module.__dict__)
        except BaseException:
            del sys.modules[module.__name__]
            raise
        entry: Callable[..., Any] = getattr(module, "handle_request", None) or module.application
        return entry

    def handle_request(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """The WSGI callable of the handler; SCRIPT_FILENAME is the file that was asked for."""
        return self.resources[os.path.splitext(environ["SCRIPT_NAME"])[1]](environ, start_response)


def _mtime(path: str) -> int | None:
    """Modification time in nanoseconds; None if the file cannot be seen."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None
