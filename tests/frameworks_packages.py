"""Packages that some tests need and the server does not: installed once into .build/frameworks, for all later runs."""

import functools
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
REQUIREMENTS = Path(__file__).parent / "frameworks" / "requirements.txt"


@functools.cache
def folder():
    """The folder for sys.path; skips the test where the packages cannot be had."""
    key = REQUIREMENTS.read_bytes() + sys.version.encode()
    target = TOP / ".build" / "frameworks" / hashlib.sha256(key).hexdigest()[:16]
    if not (target / ".complete").exists():
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--upgrade",
            "--target",
            str(target),
            "-r",
            str(REQUIREMENTS),
        ]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if answer.returncode:
            pytest.skip(f"pip cannot install {REQUIREMENTS.name}: {answer.stderr[-300:]}")
        (target / ".complete").touch()
    return target
