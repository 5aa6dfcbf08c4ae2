"""The part of the packaging that pyproject.toml cannot say: one extension, compiled by Go.

The library itself is made by build/binding.py; build_ext only puts it in its place,
so that setuptools gives the wheel its platform tag and an editable install works.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "build"))

import binding
import toolchain


class BuildGo(build_ext):
    """build_ext for modwsgi_go._gocore._gocore, which has no C sources of its own."""

    def build_extension(self, ext: Extension) -> None:
        try:
            library = binding.build()
        except toolchain.BuildError as error:
            sys.exit(f"\nerror: {error}\n")
        binding.replace(library, Path(self.get_ext_fullpath(ext.name)))


setup(
    ext_modules=[Extension("modwsgi_go._gocore._gocore", sources=[])],
    cmdclass={"build_ext": BuildGo},
    # setuptools' own scratch folder is called build/, which is taken here.
    options={"build": {"build_base": ".build/setuptools"}},
)
