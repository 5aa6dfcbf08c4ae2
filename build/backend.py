"""In-tree build backend (PEP 517, PEP 660): setuptools.build_meta around the Go build.

The binding is generated before setuptools looks at the tree, because its Python files
belong to the package; setup.py's build_ext then puts the library where it belongs.
There is no __init__.py in this folder on purpose: a package named `build` here would
hide the tool of that name from `python -m build`.
"""

from __future__ import annotations

import sys
from typing import Any

import toolchain
from setuptools import build_meta

Settings = dict[str, Any] | None


def _build() -> None:
    # Imported late: binding needs fcntl, and metadata can be had without it.
    import binding

    try:
        binding.build()
    except toolchain.BuildError as error:
        # One readable paragraph instead of a traceback through three frontends.
        sys.exit(f"\nerror: {error}\n")


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """setuptools' requirements, plus Go or a C compiler where the machine has none."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *toolchain.missing_requirements()]


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    """As for a wheel."""
    return [*build_meta.get_requires_for_build_editable(config_settings), *toolchain.missing_requirements()]


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    """Nothing is compiled for a source distribution."""
    return list(build_meta.get_requires_for_build_sdist(config_settings))


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    """Metadata alone; no compiling."""
    return build_meta.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: Settings = None) -> str:
    """Metadata alone; no compiling."""
    return build_meta.prepare_metadata_for_build_editable(metadata_directory, config_settings)


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Compiles, then packs the wheel of this interpreter."""
    _build()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """Compiles into src/ and packs a wheel that points there."""
    _build()
    return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """Sources with the recipe; MANIFEST.in names them."""
    return build_meta.build_sdist(sdist_directory, config_settings)
