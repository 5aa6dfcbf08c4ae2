"""The compiled library as installed: what it links, what it gives away, how it is imported.

These tests run on a wheel, too; they need nothing but pytest and the installed package.
"""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import modwsgi_go
from modwsgi_go._gocore import _gocore

LIBRARY = Path(_gocore.__file__)
LINUX = sys.platform == "linux"


def tool(name):
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def python(code, *options, env=None):
    """Output of a fresh interpreter, outside of the source tree."""
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        cwd="/",
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_one_library_for_this_interpreter():
    assert LIBRARY.name == "_gocore" + sysconfig.get_config_var("EXT_SUFFIX")


def test_links_libc_only():
    if not LINUX:
        out = subprocess.run([tool("otool"), "-L", LIBRARY], capture_output=True, text=True, check=True).stdout
        assert "Python" not in out.partition("\n")[2]
        return
    out = subprocess.run([tool("ldd"), LIBRARY], capture_output=True, text=True, check=True).stdout
    names = {os.path.basename(line.split()[0]) for line in out.splitlines()}
    allowed = re.compile(r"linux-vdso|linux-gate|ld-linux|libc\.|libpthread\.|libdl\.|librt\.|libresolv\.|libm\.")
    assert {name for name in names if not allowed.match(name)} == set()


def test_tells_nothing_about_the_machine_that_built_it():
    content = LIBRARY.read_bytes()
    for path in re.findall(rb"/(?:home|root|Users|tmp|usr/local|opt)/[\w./+@-]{3,}", content):
        # Folders that Go's library and this server look into at run time.
        known = (b"/usr/local/share/", b"/usr/local/ssl", b"/usr/local/etc/", b"/usr/local/lib/", b"/usr/local/go/lib/",
                 b"/usr/local/bin")
        assert path.startswith(known), path
    assert os.fsencode(os.path.expanduser("~")) + b"/" not in content
    assert os.fsencode(sysconfig.get_path("include")) not in content


@pytest.mark.skipif(not LINUX, reason="ELF")
def test_stripped():
    out = subprocess.run([tool("readelf"), "-SW", LIBRARY], capture_output=True, text=True, check=True).stdout
    sections = set(re.findall(r"\]\s+(\.\S+)", out))
    assert ".text" in sections
    assert not {s for s in sections if s == ".symtab" or ".debug" in s}


def test_one_version_everywhere():
    assert _gocore.gocore_Version() == modwsgi_go.__version__ == importlib.metadata.version("modwsgi-go")
    assert ".".join(map(str, modwsgi_go.version)) == modwsgi_go.__version__


def test_versions_inside_the_server(server, tmp_path):
    """mod_wsgi.version is the level of mod_wsgi that is implemented, modwsgi_go.version that of this project."""
    script = tmp_path / "versions.wsgi"
    script.write_text(
        "import json, mod_wsgi, modwsgi_go\n"
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'application/json')])\n"
        "    return [json.dumps([mod_wsgi.version, environ['mod_wsgi.version'], modwsgi_go.version]).encode()]\n"
    )
    assert server(script).json("/") == [[6, 0, 5], [6, 0, 5], list(modwsgi_go.version)]


def test_package_import_is_cheap():
    code = (
        "import sys; before = set(sys.modules); import modwsgi_go; modwsgi_go.__version__; "
        "print(*sorted(set(sys.modules) - before))"
    )
    assert python(code) == "modwsgi_go"


def test_worker_imports_little():
    code = (
        "import sys; before = set(sys.modules); from modwsgi_go import _worker; "
        "from modwsgi_go._gocore import _gocore; "
        "print(*sorted(set(sys.modules) - before))"
    )
    assert python(code).split() == [
        "modwsgi_go",
        "modwsgi_go._gocore",
        "modwsgi_go._gocore._gocore",
        "modwsgi_go._worker",
    ]


def test_gopy_wrapper_leaves_the_working_directory_alone():
    code = "import os; os.chdir = None; from modwsgi_go._gocore import gocore; print(gocore.Version(), os.getcwd())"
    assert python(code) == f"{modwsgi_go.__version__} /"


def test_public_names():
    for name in modwsgi_go.__all__:
        assert getattr(modwsgi_go, name) is not None
    assert set(modwsgi_go.__all__) <= set(dir(modwsgi_go))
    with pytest.raises(AttributeError, match="nothing_like_this"):
        modwsgi_go.nothing_like_this  # noqa: B018


def test_typed_and_licensed():
    assert (Path(modwsgi_go.__file__).parent / "py.typed").exists()
    assert importlib.metadata.metadata("modwsgi-go")["License-Expression"] == "Apache-2.0"


def test_console_script():
    scripts = importlib.metadata.entry_points(group="console_scripts")
    assert scripts["mod_wsgi-express"].value == "modwsgi_go.express.main:main"


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="needs a free-threaded interpreter")
def test_free_threading_stays_on():
    code = "import sys; from modwsgi_go._gocore import _gocore; print(sys._is_gil_enabled())"
    assert python(code, env={"PYTHON_GIL": ""}) == "False"


def test_calls_release_the_gil():
    """A call into Go does not keep other threads from running (gopy saves the thread state)."""
    code = (
        "import threading; from modwsgi_go._gocore import _gocore\n"
        "work = lambda: [_gocore.gocore_Version() for _ in range(2000)]\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]; print('done')"
    )
    assert python(code) == "done"


def test_machine_of_the_library():
    if not LINUX:
        pytest.skip("ELF")
    out = subprocess.run([tool("readelf"), "-h", LIBRARY], capture_output=True, text=True, check=True).stdout
    wanted = {"x86_64": "X86-64", "aarch64": "AArch64"}.get(platform.machine())
    assert wanted is None or wanted in out
