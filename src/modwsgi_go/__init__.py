"""The job of Apache httpd and mod_wsgi for Python, in one extension module.

The usual way in is the command `mod_wsgi-express`. The same from a program:

    from modwsgi_go import Config, ConfigError, Server

    config = Config("httpd.conf")
    for diagnostic in config.check():
        print(diagnostic)
    sys.exit(Server(config).run())

Importing this package loads nothing: the library comes with the first use.
"""

TYPE_CHECKING = False  # typing's constant, without importing typing
if TYPE_CHECKING:
    from modwsgi_go._config import Config, ConfigError, Diagnostic, DirectiveInfo, directives
    from modwsgi_go._server import Server, ServerStatus

__version__ = "0.1.0"
version = tuple(int(part) for part in __version__.split(".")[:3])
"""The same as numbers. `mod_wsgi.version`, inside the server, is the level of mod_wsgi that this project implements."""

__all__ = [
    "Config",
    "ConfigError",
    "Diagnostic",
    "DirectiveInfo",
    "Server",
    "ServerStatus",
    "__version__",
    "directives",
    "version",
]

_HOME = {
    "Config": "_config",
    "ConfigError": "_config",
    "Diagnostic": "_config",
    "DirectiveInfo": "_config",
    "directives": "_config",
    "Server": "_server",
    "ServerStatus": "_server",
}


def __getattr__(name: str) -> object:
    """Imports a public name's module at its first use (PEP 562)."""
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
