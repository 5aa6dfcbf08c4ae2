"""Words and lines of a configuration file: how values are quoted."""

from __future__ import annotations


def quote(text: str) -> str:
    """A word in double quotes, as the configuration's lexer takes them apart."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def value(text: str) -> str:
    """The value of a key=value parameter, quoted when it has to be."""
    plain = text and all(char.isalnum() or char in "_./:,+@%{}-" for char in text)
    return text if plain else quote(text)


def name_or_quote(text: str) -> str:
    """%{GLOBAL} and the like stay bare, as people write them; names are quoted."""
    return text if text.startswith("%{") and text.endswith("}") and " " not in text else quote(text)


def indent(text: str) -> str:
    """Lines of a section, each with its end."""
    return "".join(f"    {line}\n" for line in text.splitlines())
