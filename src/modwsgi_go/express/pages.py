"""The pages of --enable-docs: every option of the command and every directive, as this installation has them.

    python -m modwsgi_go.express.pages FOLDER

They are made by a process of their own: it loads the Go library, which must see the
environment of the server and not that of the command that prepares it.
"""

from __future__ import annotations

import html
import os
import sys

from modwsgi_go import __version__, directives

from . import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

STYLE = """\
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em }
body { color: #222; background: #fff }
table { border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid #ddd; padding: .3em .6em; text-align: left; vertical-align: top }
code { white-space: nowrap }
h2 { margin-top: 2em }
nav a { margin-right: 1em }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #181818 }
  td, th { border-color: #444 }
  a { color: #8bf }
}
"""
NAMES = (("index.html", "Start"), ("options.html", "Options"), ("directives.html", "Directives"))
EFFECTS = {
    table.WORKS: "yes",
    table.NOTHING: "no effect, as in mod_wsgi",
    table.APACHE: "no effect: steers Apache itself",
    table.REFUSED: "refused",
}


def page(title: str, body: Iterable[str]) -> str:
    """A complete page."""
    links = " ".join(f'<a href="{name}">{text}</a>' for name, text in NAMES)
    lines = "\n".join(body)
    return (
        f"<!DOCTYPE html>\n<!-- modwsgi-go {__version__} -->\n"
        f'<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>\n<style>\n{STYLE}</style></head>\n'
        f"<body>\n<nav>{links}</nav>\n<h1>{title}</h1>\n{lines}\n</body>\n</html>\n"
    )


def rows(head: Iterable[str], lines: Iterable[tuple[str, ...]]) -> Iterable[str]:
    """A table. The first cell of each line is code."""
    yield "<table><tr>" + "".join(f"<th>{text}</th>" for text in head) + "</tr>"
    for first, *rest in lines:
        cells = "".join(f"<td>{html.escape(text)}</td>" for text in rest)
        yield f"<tr><td><code>{html.escape(first)}</code></td>{cells}</tr>"
    yield "</table>"


def start() -> str:
    """index.html."""
    return page(
        f"modwsgi-go {__version__}",
        [
            "<p>This server does the job of Apache httpd and mod_wsgi in one Python package.</p>",
            '<p><a href="options.html">Options</a> of <code>mod_wsgi-express start-server</code>, and the '
            '<a href="directives.html">directives</a> of configuration files that it knows. '
            "<code>mod_wsgi-express check FILE</code> says what becomes of a configuration.</p>",
        ],
    )


def options() -> str:
    """options.html."""
    body: list[str] = []
    for title, group in table.GROUPS:
        shown = [row for row in group if not row.hidden]
        body.append(f"<h2>{html.escape(title)}</h2>")
        lines = (
            (
                f"{row.name} {row.metavar}".strip(),
                "" if row.default is None or row.kind == table.FLAG else str(row.default),
                EFFECTS[row.effect],
                row.help,
            )
            for row in shown
        )
        body += rows(("option", "default", "works", "what it does"), lines)
    return page("Options of mod_wsgi-express", body)


def known_directives() -> str:
    """directives.html."""
    body: list[str] = []
    known = [d for d in directives() if d.syntax]
    for module in sorted({d.module for d in known}, key=lambda name: (name not in ("core", "wsgi"), name)):
        body.append(f"<h2>{html.escape(module)}</h2>")
        mine = sorted((d for d in known if d.module == module), key=lambda d: d.name.lower())
        lines = ((d.syntax, d.context, d.default, d.effect, d.doc) for d in mine)
        body += rows(("syntax", "context", "default", "effect", "what it does"), lines)
    return page("Directives", body)


def write(folder: str) -> None:
    """Writes the pages; index.html last, by which layout.py knows that they are complete."""
    os.makedirs(folder, exist_ok=True)
    for name, text in (("options.html", options()), ("directives.html", known_directives()), ("index.html", start())):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    write(sys.argv[1])
