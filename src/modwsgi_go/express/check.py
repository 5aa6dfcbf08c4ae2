"""`mod_wsgi-express check FILE...`: what this server makes of configuration files.

Prints every problem of every file at once, with file, line, cause and remedy, and a table of what
becomes of the directives: in full effect, mapped to other means, ignored, refused, wrong. Exit 0
when the server would start with each of the files, else 1. --json prints the same for programs.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .fileargs import FileArguments

# The classes of the table: name in the report, title, what it means.
EFFECTS = (
    ("full", "in full effect", "as in Apache"),
    ("mapped", "mapped", "the effect is there, by other means than in Apache"),
    ("ignored", "ignored", "accepted without effect; nothing is less protected for it"),
    ("refused", "refused", "not available, and the site would be less protected without: no start"),
    ("wrong", "wrong", "misspelled, misplaced, or with wrong arguments: no start"),
)
INDENT = "    "


def main(words: Sequence[str]) -> int:
    """Runs the subcommand with the words after it; returns the exit code."""
    from . import fileargs

    arguments = fileargs.read("check", words, __doc__ or "", several=True)
    arguments.apply_envvars()
    reports = {file: report(file, arguments) for file in arguments.files}
    if arguments.json:
        import json

        print(json.dumps(reports, indent=2))
    else:
        sys.stdout.write("\n".join(render(file, found) for file, found in reports.items()))
    return 0 if all(found["usable"] for found in reports.values()) else 1


def report(file: str, arguments: FileArguments) -> dict[str, Any]:
    """The core's report about one configuration; see gocore.CheckReport."""
    import json

    from .._gocore import _gocore

    path = os.path.abspath(file)
    root = arguments.server_root or os.path.dirname(path)
    found: dict[str, Any] = json.loads(_gocore.gocore_CheckReport(path, root, json.dumps(arguments.defines)))
    return found


def render(file: str, found: dict[str, Any]) -> str:
    """The report for people, lines with their ends."""
    lines = [f"{file}: {plural(len(found['files']), 'file')} read"]
    counts = {"error": 0, "warning": 0, "notice": 0}
    # what hinders the start comes last: a terminal shows the end
    for problem in sorted(found["diagnostics"], key=lambda problem: list(reversed(counts)).index(problem["severity"])):
        counts[problem["severity"]] += 1
        where = (problem["file"] or file) + (f":{problem['line']}" if problem["line"] else "")
        subject = f"{problem['directive']}: " if problem["directive"] else ""
        lines.append(f"{where}: {problem['severity']}: {subject}{problem['message']} [{problem['code']}]")
        if problem["suggestion"]:
            lines.append(f"{INDENT}remedy: {problem['suggestion']}")
    lines += ["", "What becomes of the directives:"]
    for effect, title, meaning in EFFECTS:
        rows = [row for row in found["directives"] if row["effect"] == effect]
        if rows or effect in ("full", "refused"):
            lines += table_row(title, meaning, rows)
    said = ", ".join(plural(counts[severity], severity) for severity in counts)
    verdict = "the server would start with it" if found["usable"] else "the server would not start with it"
    lines += ["", f"{file}: {said}: {verdict}"]
    return "\n".join(lines) + "\n"


def table_row(title: str, meaning: str, rows: list[dict[str, Any]]) -> list[str]:
    """Count, meaning and names of one class."""
    import textwrap

    total = sum(row["count"] for row in rows)
    lines = [f"  {title:<15}{total:>5}  {meaning}"]
    names = ", ".join(row["name"] + (f" ({row['count']})" if row["count"] > 1 else "") for row in rows)
    indent = " " * 24
    return lines + textwrap.wrap(names, 110, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def plural(number: int, noun: str) -> str:
    """A count with its noun: 1 file, 2 files."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
