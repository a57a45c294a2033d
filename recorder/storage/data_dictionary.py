"""The data dictionary: descriptions of tables and columns, parsed from the comments in the SQL of ddl.py."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from . import ddl

_HEAD = re.compile(r"^-- (?P<doc>.*)\nCREATE (?P<kind>TABLE|VIEW) (?P<name>\w+)", re.MULTILINE)
_COLUMN = re.compile(r"^    (?P<name>[a-z_]+) (?P<type>INTEGER|TEXT|BLOB|ANY)(?P<rest>.*)$")


@dataclass(frozen=True)
class Column:
    """A column of a table. references: the table that it refers to."""

    name: str
    type: str
    description: str
    is_key: bool
    is_required: bool
    is_derived: bool
    references: str | None


@dataclass(frozen=True)
class Table:
    """A table with its columns, or a view without columns. select: the SELECT of a view."""

    name: str
    description: str
    columns: tuple[Column, ...]
    select: str | None


@cache
def all_tables() -> tuple[Table, ...]:
    """Returns the tables and views of a recording file, in the order of their creation."""
    return tuple(_table(statement) for statement in ddl.TABLES)


def columns(table: str) -> tuple[Column, ...]:
    """Returns all columns of a table, in order. Raises KeyError."""
    return _by_name()[table].columns


def stored_columns(table: str) -> tuple[Column, ...]:
    """Returns the columns of a table without generated columns, in order. Raises KeyError."""
    return tuple(column for column in columns(table) if not column.is_derived)


@cache
def _by_name() -> dict[str, Table]:
    return {table.name: table for table in all_tables()}


def _table(statement: str) -> Table:
    head = _HEAD.search(statement)
    assert head, statement
    select = statement[statement.index("SELECT") :].strip() if head["kind"] == "VIEW" else None
    return Table(head["name"], head["doc"], () if select else tuple(_columns(statement)), select)


def _columns(statement: str) -> list[Column]:
    columns: list[Column] = []
    for line in statement.splitlines():
        code, _, comment = line.partition("-- ")
        match = _COLUMN.match(code)
        if match:
            columns.append(_column(match, comment.strip()))
        elif columns and comment and line.startswith("        "):
            last = columns.pop()
            columns.append(Column(**{**vars(last), "description": f"{last.description} {comment.strip()}".strip()}))
    return columns


def _column(match: re.Match[str], description: str) -> Column:
    rest = match["rest"]
    reference = re.search(r"REFERENCES (\w+)", rest)
    return Column(
        name=match["name"],
        type=match["type"],
        description=description,
        is_key="PRIMARY KEY" in rest,
        is_required="NOT NULL" in rest,
        is_derived="GENERATED" in rest,
        references=reference[1] if reference else None,
    )
