"""argv of start-server and setup-server -> the options that were given.

Two readers of the same table. `parse_plain` handles what nearly every call
consists of: options written out in full, with well-formed values. Whatever it
is not sure about (abbreviations, errors, --help, octal numbers) it leaves to
`parse_full`, which is optparse and defines what is right. Importing optparse
and building its 150 options takes longer than all the rest of the command.
"""

from __future__ import annotations

import os

from . import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import _ArgumentGroup
    from collections.abc import Sequence
    from optparse import Option, OptionParser
    from typing import Any, NoReturn

PROG = "mod_wsgi-express"


def parse(command: str, argv: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Returns the given options by destination name, and the positionals.

    Variables ($NAME) in the words are replaced from the environment first.
    Errors and --help end the process as optparse does: exit 2 and 0.
    """
    words = [os.path.expandvars(word) for word in argv]
    plain = parse_plain(words)
    if plain is not None:
        return plain
    return parse_full(command, words)


def parse_plain(words: Sequence[str]) -> tuple[dict[str, Any], list[str]] | None:
    """Reads words if all of them are plain; None leaves them to parse_full."""
    given: dict[str, Any] = {}
    positionals: list[str] = []
    index, end = 0, len(words)
    while index < end:
        word = words[index]
        index += 1
        if word == "--":
            positionals.extend(words[index:])
            break
        if word[:1] != "-" or word == "-":
            positionals.append(word)
            continue
        name, equals, value = word.partition("=")
        row = table.BY_NAME.get(name)
        if row is None:
            return None
        kind = row.kind
        if kind == table.FLAG:
            if equals:
                return None
            given[row.dest] = True
            continue
        values = [value] if equals else []
        wanted = 2 if kind == table.PAIRS else 1
        while len(values) < wanted:
            if index >= end:
                return None
            values.append(words[index])
            index += 1
        if kind == table.PAIRS:
            given.setdefault(row.dest, []).append((values[0], values[1]))
        elif kind == table.LIST:
            given.setdefault(row.dest, []).append(values[0])
        else:
            parsed = _plain_value(kind, values[0])
            if parsed is None:
                return None
            given[row.dest] = parsed
    return given, positionals


def _plain_value(kind: str, text: str) -> str | int | float | None:
    """Converts a value; None if it is not written in the ordinary way."""
    if kind == table.TEXT:
        return text
    # A leading zero means octal to optparse, and isdigit alone knows more than ASCII.
    if text.isascii() and text.isdigit() and (text == "0" or text[0] != "0"):
        number = int(text)
        if kind == table.INT:
            return number
        if kind == table.FLOAT or number <= 1:
            return float(number)
    return None


def parse_full(command: str, words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Reads words with optparse; the same result as parse_plain where that has one."""
    values, positionals = build(command).parse_args(list(words))
    given = {dest: value for dest, value in vars(values).items() if value is not None}
    return given, positionals


def fail(command: str, message: str) -> NoReturn:
    """Ends the process as optparse ends it on errors: usage, message, exit 2."""
    build(command).error(message)


def build(command: str) -> OptionParser:
    """The optparse parser of a command, made of the table.

    Defaults stay out of it, so that what was given can be told from what was not;
    the help shows them in words.
    """
    from optparse import SUPPRESS_HELP, OptionGroup, OptionParser

    parser = OptionParser(prog=PROG, usage=f"%prog {command} script [options]")
    for title, rows in table.GROUPS:
        group = OptionGroup(parser, title)
        parser.add_option_group(group)
        for row in rows:
            text = SUPPRESS_HELP if row.hidden else _help(row)
            if row.kind == table.FLAG:
                group.add_option(row.name, action="store_true", dest=row.dest, help=text)
                continue
            extra: dict[str, Any] = {}
            if row.kind == table.PAIRS:
                extra = {"action": "append", "nargs": 2}
            elif row.kind == table.LIST:
                extra = {"action": "append"}
            elif row.kind == table.INT:
                extra = {"type": "int"}
            elif row.kind == table.FLOAT:
                extra = {"type": "float"}
            elif row.kind == table.FRACTION:
                extra = {
                    "type": "float",
                    "action": "callback",
                    "callback": _store_fraction,
                }
            group.add_option(row.name, dest=row.dest, metavar=row.metavar, help=text, **extra)
    return parser


def add_to_argparse(group: _ArgumentGroup, row: table.Row) -> None:
    """Adds an option to a parser of argparse, for Django's command; None stands for not given."""
    from argparse import SUPPRESS, ArgumentTypeError

    def fraction(text: str) -> float:
        value = float(text)
        if not 0 <= value <= 1:
            raise ArgumentTypeError(f"value {value} needs to be within the range 0 to 1")
        return value

    text = SUPPRESS if row.hidden else _help(row).replace("%", "%%")
    if row.kind == table.FLAG:
        group.add_argument(row.name, action="store_true", default=None, help=text)
        return
    extra: dict[str, Any] = {"metavar": row.metavar}
    if row.kind == table.PAIRS:
        extra = {"action": "append", "nargs": 2, "metavar": tuple(row.metavar.split(" ", 1))}
    elif row.kind == table.LIST:
        extra["action"] = "append"
    elif row.kind == table.INT:
        extra["type"] = int
    elif row.kind == table.FLOAT:
        extra["type"] = float
    elif row.kind == table.FRACTION:
        extra["type"] = fraction
    group.add_argument(row.name, help=text, **extra)


def _store_fraction(option: Option, name: str, value: float, parser: OptionParser) -> None:
    """Callback of optparse: a value within 0 to 1."""
    if not 0 <= value <= 1:
        from optparse import OptionValueError

        raise OptionValueError(f"option {name}: value {value} needs to be within the range 0 to 1")
    assert parser.values is not None and option.dest is not None
    setattr(parser.values, option.dest, value)


def _help(row: table.Row) -> str:
    """Help text with the default and a word about options without effect."""
    text = row.help
    if row.default is not None and row.kind != table.FLAG:
        text += f" Default: {row.default}."
    if row.effect == table.NOTHING:
        text += " No effect, as in mod_wsgi."
    elif row.effect == table.APACHE:
        text += " No effect here."
    elif row.effect == table.REFUSED:
        text += " Not available yet."
    return text
