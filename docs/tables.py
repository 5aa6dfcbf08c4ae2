"""Writes docs/directives.md and docs/express-options.md from what the program itself knows.

    python docs/tables.py

tests/test_docs.py fails when one of them is not current.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from modwsgi_go import DirectiveInfo, directives
from modwsgi_go.express import table

HERE = Path(__file__).parent

DIRECTIVES = """\
# Directives

Made by `docs/tables.py` from `modwsgi_go.directives()`.

| effect | means |
| --- | --- |
| yes | as in Apache or mod_wsgi; [differences.md](differences.md) has the deliberate differences |
| mapped | has its effect by other means |
| ignored | accepted, with a notice where something is lost that was asked for |
| refused | stops the start: the site would be less protected without |

Contexts are Apache's: S server config, V virtual host, D directory (Directory, Location,
Files, If), H `.htaccess`, with the override class that permits it there.

"""
CONTEXTS = {"server config": "S", "virtual host": "V", "directory": "D", ".htaccess": "H"}

OPTIONS = """\
# Options of mod_wsgi-express

Made by `docs/tables.py` from the table that the command itself reads (`src/modwsgi_go/express/table.py`).
`start-server` and `setup-server` take all of them, Django's `manage.py runmodwsgi` all but those that name the
application. Names and defaults are those of mod_wsgi-express 6.

| word | means |
| --- | --- |
| works | as in mod_wsgi-express |
| differs | works; the last column says what is not the same |
| new | this project's own |
| notice | accepted; a notice on stderr says that it has no effect |
| refused | the command ends with exit 1: the site would be less protected if the option were ignored |

"""
# Options that work, but not quite as in mod_wsgi-express.
DIFFERENT = {
    "--chunked-request": "always on.",
    "--service-script": "names consist of letters, digits, `.`, `_` and `-`.",
    "--debug-mode": "a supervisor and one worker; the application's standard input and output are the command's.",
    "--connect-timeout":
        "counts with several process groups, also while no process starts; one group alone accepts connections itself.",
    "--enable-docs": "pages made from this program's own tables.",
    "--enable-gdb": "gdb follows the process of the application, and the server ends with gdb.",
    "--gdb-executable": "has its effect.",
    "--embedded-mode": "there is no process in front, so it differs from daemon mode only in its settings.",
    "--enable-sendfile": "files are sent by the kernel in any case.",
    "--header-buffer-size": "32768 there unless given.",
    "--hsts-policy": "quoted; a value with blanks needs no quotes of its own.",
    "--https-only": "an error without --https-port; status 302, as there.",
    "--https-port": "works without --server-name too; an error without a certificate.",
    "--ssl-verify-client": "an error without --ssl-ca-certificate-file.",
    "--mount-point": "a slash at the end does not count; the prefix ends at a path component.",
    "--response-flush-delay": "streamed blocks go out within 100 microseconds unless it is given.",
    "--rotate-logs": "refuses to start where rotatelogs is missing.",
    "--auth-type": "other words than Basic and Digest are refused.",
    "--auth-group-script": "refused without --auth-user-script.",
    "--shell-executable": "runs apachectl only.",
    "--directory-listing": "a directory without index is 403 without it, not 404.",
    "--log-to-terminal": "writes to the inherited descriptors; a redirected file is not truncated.",
    "--maximum-requests": "counts in embedded mode, too; the successor starts first.",
    "--daemon-backlog": "of the listener: the larger of it and --server-backlog.",
    "--response-buffer-size":
        "with several process groups; 256 KiB unless given: what a client may be behind before the application waits.",
    "--send-buffer-size": "of the connection to the client.",
    "--receive-buffer-size": "of the connection to the client.",
}
NEW = {"--maximum-requests-jitter", "--resident-memory-limit"}
EFFECTS = {table.WORKS: "works", table.NOTHING: "notice", table.APACHE: "notice", table.REFUSED: "refused"}


def cell(text: str) -> str:
    """Text of a table's cell: a bar would end it."""
    return text.replace("|", "\\|").replace("\n", " ")


def code(text: str) -> str:
    """The same as code; nothing for nothing."""
    return f"`{cell(text)}`" if text else ""


def row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def head(*names: str) -> tuple[str, str]:
    """The first two lines of a table."""
    return row(*names), row(*["---"] * len(names))


def directives_page() -> str:
    """Text of directives.md."""
    known = directives()
    own = [d for d in known if d.syntax]
    modules = sorted({d.module for d in own}, key=lambda name: (name != "core", name != "wsgi", name))
    lines = [DIRECTIVES.rstrip(), "", "Modules: " + ", ".join(f"[{name}](#{name})" for name in modules) + "."]
    for module in modules:
        lines += ["", f"## {module}", "", *head("syntax", "context", "default", "effect", "what it does")]
        for d in sorted((d for d in own if d.module == module), key=lambda d: d.name.lower()):
            places = " ".join(CONTEXTS.get(name) or code(name) for name in d.context.split(", ") if name)
            override = f" ({d.override})" if d.override and ".htaccess" in d.context else ""
            lines.append(row(code(d.syntax), cell(places + override), code(d.default), d.effect, cell(d.doc)))
    lines += ["", "## Known, but not available", "", "Directives of Apache modules that do not exist here.", "",
              *head("module", "effect", "directives", "why")]
    lines += unavailable(d for d in known if not d.syntax)
    return "\n".join(lines) + "\n"


def unavailable(rest: Iterable[DirectiveInfo]) -> list[str]:
    """A row for each module and reason."""
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for d in rest:
        groups[d.module, d.effect, d.doc.partition(": ")[2].rstrip(".")].append(d.name)
    return [row(module, effect, ", ".join(sorted(names)), cell(why))
            for (module, effect, why), names in sorted(groups.items())]


def options_page() -> str:
    """Text of express-options.md."""
    counts = Counter(word_of(r) for r in table.ROWS)
    summary = ", ".join(f"{counts[word]} {word}" for word in ("works", "differs", "new", "notice", "refused"))
    lines = [OPTIONS.rstrip(), "", f"Of {len(table.ROWS)} options: {summary}."]
    for title, rows in table.GROUPS:
        lines += ["", f"## {title}", "", *head("option", "default", "", "what it does")]
        for r in rows:
            # The hidden ones are other names, or switches that mod_wsgi-express does not advertise either.
            text = r.help or "Not in --help, as in mod_wsgi-express."
            if r.effect == table.APACHE:
                text += " Steers Apache itself."
            if r.name in DIFFERENT:
                text += " Here: " + DIFFERENT[r.name]
            default = "" if r.default is None or r.kind == table.FLAG else str(r.default)
            lines.append(row(code(f"{r.name} {r.metavar}".strip()), code(default), word_of(r), cell(text.strip())))
    return "\n".join(lines) + "\n"


def word_of(r: table.Row) -> str:
    """The word of an option's third column."""
    if r.effect == table.WORKS and r.name in NEW:
        return "new"
    if r.effect == table.WORKS and r.name in DIFFERENT:
        return "differs"
    return EFFECTS[r.effect]


PAGES = {"directives.md": directives_page, "express-options.md": options_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
