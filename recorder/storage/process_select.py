"""Selects processes together with their command lines, which are in a table of their own."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from . import data_dictionary
from .data_dictionary import Column

_COMMAND_COLUMNS = ("filename", "args", "argv", "argv_bytes")


@cache
def columns() -> tuple[Column, ...]:
    """Returns the columns of `processes` in order, with those of its row in `commands` in the place of command_id."""
    by_name = {column.name: column for column in data_dictionary.columns("commands")}
    found: list[Column] = []
    for column in data_dictionary.columns("processes"):
        found += [by_name[name] for name in _COMMAND_COLUMNS] if column.name == "command_id" else [column]
    return tuple(found)


def select(names: Iterable[str] | None = None) -> str:
    """Returns the SELECT and FROM clauses for these columns, by default all. It calls the tables p and c."""
    wanted = [column.name for column in columns()] if names is None else names
    listed = ", ".join(f"{'c' if name in _COMMAND_COLUMNS else 'p'}.{name}" for name in wanted)
    return f"SELECT {listed} FROM processes AS p LEFT JOIN commands AS c ON c.id = p.command_id"
