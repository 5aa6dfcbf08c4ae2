"""Makes the one shared library: gopy's binding of ./gocore plus everything it imports.

Steps, each skipped when its inputs are those of the last run (a stamp holds their
hash):

  tools    go build of gopy and goimports, whose versions go.mod fixes
  binding  gopy gen, clean-up, goimports, cgo's export header, PyBindGen -> gocore.c
  link     go build -buildmode=c-shared -> _gocore<EXT_SUFFIX>

MODWSGI_GO_TAGS in the environment names build tags for the library: `netconn` makes
Linux serve the way other systems do.

`gopy build` is not used: it links libpython, which a wheel must not do. The
binding is generated inside .build/ (a package has to lie inside the module to import
it); only its Python files and the library go to src/modwsgi_go/_gocore.

Run as a script it builds in place for the interpreter that runs it:
    python build/binding.py           build
    python build/binding.py --env     print the Go environment as shell exports
    python build/binding.py --asan    the package with an instrumented library into .build/asan
                                      (make asan); prints the folder for PYTHONPATH
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

import toolchain
from toolchain import BuildError

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".build"
PACKAGE = ROOT / "src" / "modwsgi_go" / "_gocore"
TOOLS = ("github.com/go-python/gopy", "golang.org/x/tools/cmd/goimports")
EXT_SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
LIBRARY = f"_gocore{EXT_SUFFIX}"
PYTHON_FILES = ("__init__.py", "gocore.py", "go.py")


def version() -> str:
    """The project's version, written once, in modwsgi_go/__init__.py."""
    text = (ROOT / "src" / "modwsgi_go" / "__init__.py").read_text("utf-8")
    match = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if match is None:
        raise BuildError("src/modwsgi_go/__init__.py has no __version__ line")
    return match[1]


def build(sanitize: str = "") -> Path:
    """Brings library and Python files up to date; returns the library's path in .build.

    sanitize: see toolchain.compile_environment.
    """
    toolchain.require_platform()
    go = toolchain.require_go()
    env = toolchain.compile_environment(str(ROOT), sanitize=sanitize)
    WORK.mkdir(exist_ok=True)
    out = WORK / f"binding{EXT_SUFFIX.rsplit('.', 1)[0]}{'-' + sanitize if sanitize else ''}"
    with _locked(WORK / "lock"):
        base = _hash_text(
            sys.version,
            EXT_SUFFIX,
            _output([go, "version"], env),
            env["CC"],
            env["CGO_CFLAGS"],
            env["GOFLAGS"],
            env["CGO_LDFLAGS"],
        )
        recipe = sorted((ROOT / "build").glob("*.py"))
        api = sorted(p for p in (ROOT / "gocore").glob("*.go") if not p.name.endswith("_test.go"))
        modules = [ROOT / "go.mod", ROOT / "go.sum"]

        bin_dir = WORK / "tools"
        with _step(bin_dir / "stamp", _hash_text(_output([go, "version"], env)), modules) as stale:
            if stale:
                _build_tools(go, env, bin_dir)
        with _step(out / "binding.stamp", base, [*recipe, *api]) as stale:
            if stale:
                _generate(go, env, bin_dir, out)
        with _step(out / "link.stamp", _hash_text(base, version(), _tags()), [*recipe, *modules, *_sources()]) as stale:
            if stale:
                _link(go, env, out, strip=not sanitize)
        _install_python(out)
    return out / LIBRARY


def install_in_place() -> Path:
    """build(), then puts the library into src/ for an editable install."""
    library = build()
    target = PACKAGE / LIBRARY
    if not target.exists() or target.stat().st_mtime_ns != library.stat().st_mtime_ns:
        replace(library, target)
    return target


def install_sanitized() -> Path:
    """A copy of the package with a library that AddressSanitizer watches; returns the folder for PYTHONPATH."""
    library = build("address")
    folder = WORK / "asan"
    shutil.rmtree(folder, ignore_errors=True)
    package = PACKAGE.parent
    shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    replace(library, folder / package.name / PACKAGE.name / LIBRARY)
    return folder


def replace(source: Path, target: Path) -> None:
    """Copies atomically: a process that has the old library mapped keeps the old file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copy2(source, temporary)
    os.replace(temporary, target)


def _build_tools(go: str, env: dict[str, str], bin_dir: Path) -> None:
    """gopy and goimports into bin_dir, at the versions in go.mod."""
    bin_dir.mkdir(parents=True, exist_ok=True)
    # Plain tools: none of the interpreter's flags, so that one build serves all of them.
    env = {key: value for key, value in env.items() if key not in ("CGO_CFLAGS", "CGO_LDFLAGS")}
    _run([go, "build", "-o", f"{bin_dir}{os.sep}", *TOOLS], env, ROOT)


def _generate(go: str, env: dict[str, str], bin_dir: Path, out: Path) -> None:
    """gopy's Go file, the C half, and the Python wrapper, into out."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    # gopy calls `go` and `goimports` by name.
    env = dict(env, PATH=os.pathsep.join([str(bin_dir), os.path.dirname(go), env.get("PATH", os.defpath)]))
    _run(
        [
            str(bin_dir / "gopy"),
            "gen",
            "-no-make=true",
            "-name=gocore",
            f"-output={out}",
            f"-vm={sys.executable}",
            "./gocore",
        ],
        env,
        ROOT,
    )
    binding = out / "gocore.go"
    text = binding.read_text("utf-8")
    # The include path comes with CGO_CFLAGS, and linking libpython is what we do not want.
    text = re.sub(r"^#cgo (CFLAGS|LDFLAGS):.*\n", "", text, flags=re.MULTILINE)
    # In C23, which GCC compiles from version 15 on, the name is a keyword.
    text = re.sub(r"^typedef uint8_t bool;$", "#include <stdbool.h>", text, flags=re.MULTILINE)
    binding.write_text(_without_command(text), "utf-8")
    _run([str(bin_dir / "goimports"), "-w", str(binding)], env, out)
    # The header of the exported functions, without a link for its sake.
    _run(
        [
            go,
            "tool",
            "cgo",
            "-objdir",
            str(out / "obj"),
            "-exportheader",
            "gocore_go.h",
            "--",
            *shlex.split(env["CGO_CFLAGS"]),
            "gocore.go",
        ],
        env,
        out,
    )
    for leftover in out.glob("obj*"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    _run([sys.executable, "build.py"], env, out)
    source = out / "gocore.c"
    source.write_text(_declare_gil_not_used(source.read_text("utf-8")), "utf-8")
    for name in PYTHON_FILES:
        path = out / name
        path.write_text(_plain_python(path.read_text("utf-8"), name), "utf-8")


def _without_command(text: str) -> str:
    """Drops gopy's note of its command line: it names folders of this machine."""
    return re.sub(r"^(?:# )?gopy gen .*\n", "", text, flags=re.MULTILINE)


def _declare_gil_not_used(text: str) -> str:
    """A free-threaded interpreter turns the GIL back on for a module that does not object."""
    mark = "    return MOD_RETURN(m);"
    if text.count(mark) != 1:
        raise BuildError("PyBindGen's module function has changed; cannot declare Py_MOD_GIL_NOT_USED")
    return text.replace(
        mark,
        "#ifdef Py_GIL_DISABLED\n    PyUnstable_Module_SetGIL(m, Py_MOD_GIL_NOT_USED);\n#endif\n" + mark,
    )


def _plain_python(text: str, name: str) -> str:
    """gopy's wrapper without its detour over os.chdir, which is neither needed nor safe here."""
    if name == "__init__.py":
        return '"""The Go core (generated at build time). Private: use modwsgi_go."""\n'
    text = _without_command(text)
    text = re.sub(r"^(cwd = |currentdir = |os\.chdir\().*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^import os,\s*sys,\s*inspect,\s*collections$", "import collections", text, flags=re.MULTILINE)
    # go.py holds slices of basic types, which an API of strings and numbers never returns.
    if name == "gocore.py" and not re.search(r"\bgo\.", text):
        text = re.sub(r"^from \. import go\n", "", text, flags=re.MULTILINE)
    if "chdir" in text:
        raise BuildError(f"gopy's {name} has changed; it still calls chdir")
    return text


def _link(go: str, env: dict[str, str], out: Path, *, strip: bool) -> None:
    """The library. Unresolved Python symbols are the interpreter's to give."""
    ldflags = f"{'-s -w ' if strip else ''}-buildid= -X modwsgi/gocore.version={version()}"
    tags = [f"-tags={_tags()}"] if _tags() else []
    _run([go, "build", "-buildmode=c-shared", "-trimpath", *tags, f"-ldflags={ldflags}", "-o", LIBRARY, "."], env, out)


def _tags() -> str:
    """Extra build tags, comma-separated."""
    return os.environ.get("MODWSGI_GO_TAGS", "")


def _install_python(out: Path) -> None:
    """Copies the generated Python files into the package, when they differ."""
    PACKAGE.mkdir(parents=True, exist_ok=True)
    for name in PYTHON_FILES:
        target = PACKAGE / name
        content = (out / name).read_bytes()
        if not target.exists() or target.read_bytes() != content:
            target.write_bytes(content)


def _sources() -> list[Path]:
    """Every file that can change the library: Go, C, and embedded data, but no tests."""
    found = []
    for folder, dirs, files in os.walk(ROOT / "gocore"):
        dirs[:] = sorted(d for d in dirs if d != "testdata" and not d.startswith((".", "_")))
        found += [Path(folder, f) for f in files if not f.endswith("_test.go") and not f.startswith(".")]
    return sorted(found)


@contextlib.contextmanager
def _step(stamp: Path, base: str, inputs: Iterable[Path]) -> Iterator[bool]:
    """Yields whether a step has to run; remembers its inputs when it ran without error."""
    digest = _hash_files(base, inputs)
    stale = not stamp.exists() or stamp.read_text("utf-8") != digest
    if stale:
        stamp.unlink(missing_ok=True)
    yield stale
    if stale:
        stamp.write_text(digest, "utf-8")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two builds in one tree take turns."""
    with open(path, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _hash_text(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _hash_files(base: str, paths: Iterable[Path]) -> str:
    digest = hashlib.sha256(base.encode())
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def _output(command: list[str], env: dict[str, str]) -> str:
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _run(command: list[str], env: dict[str, str], cwd: Path) -> None:
    """Runs one step; a failure carries the step's own output."""
    shown = shlex.join([os.path.basename(command[0]), *command[1:]])
    print("+", shown, file=sys.stderr, flush=True)
    result = subprocess.run(
        command,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if result.returncode != 0:
        raise BuildError(f"{shown}\nexited with {result.returncode}:\n{result.stdout}")


def _print_environment() -> None:
    """Shell exports for go vet and go test of the packages with C code."""
    env = toolchain.compile_environment(str(ROOT), tests=True)
    for key in ("CC", "CGO_ENABLED", "CGO_CFLAGS", "CGO_LDFLAGS"):
        print(f"export {key}={shlex.quote(env[key])}")


if __name__ == "__main__":
    try:
        if sys.argv[1:] == ["--env"]:
            _print_environment()
        elif sys.argv[1:] == ["--asan"]:
            print(install_sanitized())
        else:
            print(install_in_place())
    except BuildError as error:
        sys.exit(f"error: {error}")
