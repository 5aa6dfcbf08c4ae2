"""Configuration files as Python objects: check them, and look up what may stand in them.

Private module; its public names are those of modwsgi_go. The Go core does the work and
answers in JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from modwsgi_go._gocore import _gocore

Severity = Literal["notice", "warning", "error"]


class Diagnostic(NamedTuple):
    """What is wrong with a configuration, or ignored, where, and what would be right.

    severity is "error" when the configuration cannot be used. code is stable, for
    scripts. line counts from 1; 0 means the file as a whole. str() gives one line:
    file:line: severity: Directive: message (suggestion) [code].
    """

    severity: Severity
    code: str
    file: str
    line: int
    directive: str
    message: str
    suggestion: str
    text: str

    def __str__(self) -> str:
        return self.text


class ConfigError(ValueError):
    """A configuration that cannot be used. diagnostics holds every finding, not errors alone.

    file, line and directive are those of the first error.
    """

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        errors = [d for d in diagnostics if d.severity == "error"] or diagnostics
        super().__init__("\n".join(map(str, errors)) or "the configuration cannot be used")
        self.diagnostics = diagnostics
        self.file = errors[0].file if errors else ""
        self.line = errors[0].line if errors else 0
        self.directive = errors[0].directive if errors else ""


class DirectiveInfo(NamedTuple):
    """One directive that this server knows.

    syntax and context are as in the Apache manual. effect is "yes", "mapped" (by other means
    than in Apache), "ignored" (accepted without effect, for the sake of existing files) or "refused".
    """

    name: str
    module: str
    syntax: str
    context: str
    override: str
    default: str
    section: bool
    effect: str
    doc: str


class Config:
    """A configuration file, with the switches it is read with.

    server_root is the base of relative paths until a ServerRoot directive. defines are
    the -D switches: name -> value, or name -> "" for one that only <IfDefine> sees.
    Nothing is read before a method asks for it, and nothing is kept: each call reads anew.
    """

    __slots__ = ("defines", "file", "server_root")

    def __init__(
        self,
        file: str | os.PathLike[str],
        server_root: str | os.PathLike[str] | None = None,
        defines: Mapping[str, str] | None = None,
    ) -> None:
        self.file = os.path.abspath(file)
        self.server_root = os.path.abspath(server_root) if server_root is not None else os.path.dirname(self.file)
        self.defines = dict(defines or {})

    def __repr__(self) -> str:
        return f"Config({self.file!r}, server_root={self.server_root!r}, defines={self.defines!r})"

    def check(self) -> list[Diagnostic]:
        """Everything there is to say about the file, in the order of reading. Raises nothing."""
        found = json.loads(_gocore.gocore_CheckConfig(self.file, self.server_root, json.dumps(self.defines)))
        return [Diagnostic(**item) for item in found]

    def validate(self) -> list[Diagnostic]:
        """check(), but raises ConfigError when the configuration cannot be used."""
        found = self.check()
        if any(d.severity == "error" for d in found):
            raise ConfigError(found)
        return found

    def summary(self) -> dict[str, Any]:
        """What the file sets up: server_root, pid_file, error_log, user, group, listen, hosts
        (the main server first), process_groups, files (all that were read). Raises ConfigError."""
        answer = json.loads(_gocore.gocore_DescribeConfig(self.file, self.server_root, json.dumps(self.defines)))
        if answer["config"] is None:
            raise ConfigError([Diagnostic(**item) for item in answer["diagnostics"]])
        config: dict[str, Any] = answer["config"]
        return config


def directives() -> list[DirectiveInfo]:
    """Every directive that this version knows: those that have their effect, then the others."""
    return [DirectiveInfo(**row) for row in json.loads(_gocore.gocore_DirectivesJSON())]
