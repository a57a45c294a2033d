"""SQL as text."""

from __future__ import annotations


def literal(text: str) -> str:
    """Returns a string literal for engines in which only quotes are special."""
    return "'" + text.replace("'", "''") + "'"
