"""Why a WSGI script is not served: the usual causes, each with its cure, for the error log.

python/explain.c calls the functions here after a script failed to load or had no application,
and writes each line that they return as WSGI0303. They only look at what there is (files,
names, the exception), never change anything, and never raise: no cause found is no line.
"""

from __future__ import annotations

import glob
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

VENV_NAMES = ("venv", ".venv", "env", ".env", "virtualenv")
PARENTS = 3  # folders above the script that are searched for virtual environments
USUAL_NAMES = ("application", "app", "wsgi", "wsgi_app", "api", "main", "server")


def load_failed(kind: type[BaseException], error: BaseException | None, path: str) -> list[str]:
    """Lines about an exception that came out of reading, compiling or executing the script at path."""
    try:
        return _load_failed(kind, error, path)
    except Exception:  # an explanation must not become an error of its own
        return []


def no_callable(module: ModuleType, name: str) -> list[str]:
    """Lines about a script that was executed but has nothing called name."""
    try:
        return _no_callable(module, name)
    except Exception:
        return []


def not_callable(found: object, name: str) -> list[str]:
    """Lines about what has the right name and cannot be called."""
    if isinstance(found, type(sys)):
        return [
            f"{name!r} is the module {found.__name__!r}: import the application from it, "
            f"from {found.__name__} import {name}"
        ]
    if isinstance(found, (str, bytes)):
        return [f"{name!r} is text; it must be the application itself, not its name"]
    return [f"{name!r} must be a function, a class or an object with a method __call__(environ, start_response)"]


def _load_failed(kind: type[BaseException], error: BaseException | None, path: str) -> list[str]:
    if issubclass(kind, PermissionError) and isinstance(error, PermissionError):
        return _permission(error.filename or path)
    if issubclass(kind, FileNotFoundError) and isinstance(error, FileNotFoundError) and error.filename in (path, None):
        return [_missing(path)]
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _no_module(error.name, path)
    if isinstance(error, ImportError):
        return _import_error(error, path)
    if kind.__name__ == "ImproperlyConfigured" and "DJANGO_SETTINGS_MODULE" in str(error):
        return [
            "Django does not know its settings: before get_wsgi_application(), call "
            "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')"
        ]
    if kind.__name__ == "AppRegistryNotReady":
        return ["the script uses Django's models before django.setup(): call get_wsgi_application() first"]
    if issubclass(kind, SystemExit):
        return [
            "a WSGI script must not end the process: code for the command line belongs under if __name__ == '__main__'"
        ]
    if issubclass(kind, (SyntaxError, UnicodeDecodeError)):
        version = ".".join(map(str, sys.version_info[:2]))
        return [f"the script is read by Python {version} ({sys.prefix})"]
    return []


def _no_callable(module: ModuleType, name: str) -> list[str]:
    names = vars(module)
    good = [n for n, value in names.items() if not n.startswith("_") and _application(value, module)]
    good.sort(key=lambda n: (USUAL_NAMES.index(n) if n in USUAL_NAMES else len(USUAL_NAMES), n))
    if good:
        found = good[0]
        return [
            f"the script has {found!r} ({_type(names[found])}): choose it with WSGICallableObject {found}, "
            f"callable-object={found} or --callable-object {found}, or write {name} = {found} into the script"
        ]
    for n in ("create_app", "make_app", "get_wsgi_application"):
        if callable(names.get(n)):
            return [
                f"the script has the function {n!r}, which makes an application: write {name} = {n}() into the script"
            ]
    return [f"a WSGI script must define {name}(environ, start_response), or import an application under that name"]


def _type(value: object) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _application(value: object, module: ModuleType) -> bool:
    """Whether a value may be a WSGI application: an instance with __call__, or a function of the script's own that
    takes two arguments."""
    if isinstance(value, (type, type(sys))) or not callable(value):
        return False
    code = getattr(value, "__code__", None)
    if code is not None:
        return getattr(value, "__module__", None) == module.__name__ and code.co_argcount == 2
    return type(value).__module__ != "builtins"


def _permission(path: str) -> list[str]:
    """Names the first folder on the way that the process may not enter."""
    who = f"uid {os.geteuid()}"
    try:
        import pwd

        who = f"user {pwd.getpwuid(os.geteuid()).pw_name!r} ({who})"
    except (ImportError, KeyError):
        pass
    folder = ""
    for part in os.path.abspath(path).split(os.sep)[1:-1]:
        folder += os.sep + part
        if not os.access(folder, os.X_OK):
            return [
                f"the folder {folder} does not let {who} in: give it the permission x, for example chmod o+x {folder}"
            ]
    return [f"{path} cannot be read by {who}: give it the permission r, for example chmod o+r {path}"]


def _missing(path: str) -> str:
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(folder):
        parent = os.path.dirname(folder)
        if os.path.isdir(parent):
            return f"{path} does not exist: there is no {os.path.basename(folder)!r} in {parent}"
        folder = parent
    return f"{path} does not exist; its folder does"


def _no_module(name: str, path: str) -> list[str]:
    top = name.partition(".")[0]
    version = ".".join(map(str, sys.version_info[:2]))
    settings = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    if settings and (name == settings or settings.startswith(name + ".")):
        lines = [f"DJANGO_SETTINGS_MODULE is {settings!r}, and {name!r} is not on sys.path"]
    else:
        lines = []
    script = os.path.dirname(os.path.abspath(path))
    folders = [script]
    for _ in range(PARENTS):
        folders.append(os.path.dirname(folders[-1]))
    for folder in dict.fromkeys(folders):  # the project itself
        if _has_module(folder, top):
            return [
                *lines,
                f"{top!r} is in {folder}, which is not on sys.path: add it with python-path={folder} of "
                f"WSGIDaemonProcess, WSGIPythonPath {folder} or --python-path {folder}",
            ]
    for folder in dict.fromkeys([*folders, os.getcwd()]):  # another environment
        for env in VENV_NAMES:
            home = os.path.join(folder, env)
            if os.path.realpath(home) == os.path.realpath(sys.prefix):
                continue
            for packages in sorted(glob.glob(os.path.join(home, "lib", "python*", "site-packages"))):
                if _has_module(packages, top):
                    other = packages.split(os.sep)[-2].removeprefix("python")
                    cure = (
                        f"python-home={home} of WSGIDaemonProcess or WSGIPythonHome {home}"
                        if other == version
                        else f"install the server there, {home}/bin/pip install modwsgi-go, and start it from there"
                    )
                    return [
                        *lines,
                        f"{top!r} is installed in {home} (Python {other}), but this process runs with {sys.prefix} "
                        f"(Python {version}): {cure}",
                    ]
    if lines:
        return lines
    return [
        f"{top!r} is not installed in {sys.prefix} (Python {version}) and not in the folders of sys.path: "
        f"{sys.executable} -m pip install the package that has it, or add its folder with python-path"
    ]


def _has_module(folder: str, name: str) -> bool:
    base = os.path.join(folder, name)
    return (
        os.path.isfile(base + ".py")
        or os.path.isfile(os.path.join(base, "__init__.py"))
        or bool(glob.glob(glob.escape(base) + ".*.so"))
    )


def _import_error(error: ImportError, path: str) -> list[str]:
    text = str(error)
    if "relative import" in text:
        folder = os.path.dirname(os.path.abspath(path))
        return [
            "a WSGI script belongs to no package, so it has no relative imports: import by full name, "
            f"with {folder} or its parent on sys.path"
        ]
    if "partially initialized" in text or "circular import" in text:
        return ["two modules import each other: move one of the imports into the function that needs it"]
    if "undefined symbol" in text or "wrong ELF class" in text or "GLIBC" in text:
        return [
            "an extension module was built for another Python or system "
            f"than {sys.version.split()[0]} in {sys.prefix}: install it again there"
        ]
    if (
        error.name
        and error.path
        and os.path.dirname(os.path.abspath(path)) == os.path.dirname(os.path.abspath(error.path))
    ):
        return [
            f"{error.name!r} was found in {error.path}: "
            "if that is not the one that was meant, a file of the project hides a package"
        ]
    return []
