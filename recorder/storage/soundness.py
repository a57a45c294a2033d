"""Whether a file has the tables, columns and values that webpf writes, and what of it is otherwise."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

from ..model.events import GREATEST
from .ddl import TABLES
from .file_check import SCHEMA_VERSION

# SQLite's type -> what typeof() says of such a value, and its Python type.
_TYPES: dict[str, tuple[str, type]] = {"INTEGER": ("integer", int), "TEXT": ("text", str), "BLOB": ("blob", bytes)}


TRIGGERS = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"


class Column(NamedTuple):
    """A column as ddl.py has it. type: SQLite's."""

    type: str
    is_required: bool


@cache
def columns() -> dict[str, dict[str, Column]]:
    """All tables with their columns in order, as this version makes them."""
    connection = sqlite3.connect(":memory:")
    for statement in TABLES:
        connection.execute(statement)
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    found = {
        table: {
            name: Column(type, bool(required or key))
            for _, name, type, required, _, key, _ in connection.execute(f"PRAGMA table_xinfo({table})")
        }
        for table in names
    }
    connection.close()
    return found


def _there(connection: sqlite3.Connection, table: str) -> list[str]:
    """Of the columns that webpf knows, those that a table has, in order."""
    found = {row[1] for row in connection.execute(f"PRAGMA table_xinfo({table})")}
    return [name for name in columns()[table] if name in found]


def problems(connection: sqlite3.Connection, in_strict: bool = True) -> Iterator[str]:
    """What is not as webpf makes it. in_strict: see wrong_values()."""
    yield from lacks(connection)
    yield from _oddities(connection)
    yield from wrong_values(connection, in_strict)
    if "options" in _there(connection, "recordings"):
        for (number,) in connection.execute("SELECT id FROM recordings WHERE json_valid(options) IS NOT 1"):
            yield f"values: the options of recording {number} are no JSON"
    if len(_there(connection, "fact_blocks")) == len(columns()["fact_blocks"]):
        yield from problems_of_blocks(connection)
    yield from problems_of_ids(connection)


def damage(connection: sqlite3.Connection, may_lack: Collection[str] = ()) -> Iterator[str]:
    """What keeps a file from being written as a whole anew, by rebuild or upgrade. may_lack: see lacks()."""
    [(message,)] = connection.execute("PRAGMA integrity_check(1)")
    if message != "ok":
        yield f"SQLite: {message}"
    yield from lacks(connection, may_lack)
    yield from wrong_values(connection, in_strict=False)
    yield from problems_of_ids(connection)
    yield from lost_references(connection, "recordings")


def lacks(connection: sqlite3.Connection, may_lack: Collection[str] = ()) -> Iterator[str]:
    """Tables and columns that are not there. may_lack: those that may be absent, as `table` and `table.column`."""
    for table, wanted in columns().items():
        found = _there(connection, table)
        if found:
            missing = [name for name in wanted if name not in found and f"{table}.{name}" not in may_lack]
            yield from (f"schema: {table} has no column {name}" for name in missing)
        elif table not in may_lack:
            yield f"schema: there is no table {table}"


def _oddities(connection: sqlite3.Connection) -> Iterator[str]:
    if version(connection) < 1:
        yield f"schema: its version is not one from 1 to {SCHEMA_VERSION}"
    for table in sorted(columns().keys() - _strict(connection)):
        if _there(connection, table):
            yield f"schema: {table} is not STRICT, so it can hold values of any type"
    for table, wanted in columns().items():
        for row in connection.execute(f"PRAGMA table_xinfo({table})"):
            if row[1] not in wanted:
                yield f"schema: {table} has a column {row[1]}, which is not webpf's"
    for name, _ in connection.execute(TRIGGERS):
        yield f"schema: there is a trigger {name}, which is not webpf's"


def version(connection: sqlite3.Connection) -> int:
    """The number of its schema, as the file has it."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _strict(connection: sqlite3.Connection) -> set[str]:
    return {row[1] for row in connection.execute("PRAGMA table_list") if row[0] == "main" and row[5]}


def wrong_values(connection: sqlite3.Connection, in_strict: bool) -> Iterator[str]:
    """Values of another type than their column's, and NULLs where none can be.

    in_strict: also of STRICT tables, in which SQLite's own checks look for them; but not in columns of the type ANY.
    """
    strict = set() if in_strict else _strict(connection)
    for table, known in columns().items():
        names = _there(connection, table)
        if table in strict and table != "recordings":  # which has few rows
            names = [name for name in names if known[name].type == "ANY"]
        yield from _problems_of_values(connection, table, names)


def _problems_of_values(connection: sqlite3.Connection, table: str, names: list[str]) -> Iterator[str]:
    if not names:
        return
    wrong = [_is_wrong(name, columns()[table][name]) for name in names]
    counts = connection.execute(f"SELECT {', '.join(f'total({each})' for each in wrong)} FROM {table}").fetchone()
    for name, count in zip(names, counts, strict=True):
        if count:
            column = columns()[table][name]
            reasons = ["neither text nor bytes" if column.type == "ANY" else f"not of the type {column.type}"]
            reasons += ["NULL"] * column.is_required + ["no time that can be"] * name.endswith("_ns")
            yield f"values: {int(count):,} of {table}.{name} are {', or '.join(reasons)}"


def _is_wrong(name: str, column: Column) -> str:
    """SQL that tells it of a value."""
    # ANY is that of paths.
    allowed = ["text", "blob"] if column.type == "ANY" else [_TYPES[column.type][0]]
    if not column.is_required:
        allowed.append("null")
    wrong = f"typeof({name}) NOT IN ({', '.join(map(repr, allowed))})"
    # Beyond that, what is added to it can be too much for SQLite, or its time be none that a calendar has.
    return f"({wrong} OR {name} NOT BETWEEN {-GREATEST} AND {GREATEST})" if name.endswith("_ns") else wrong


def problems_of_blocks(connection: sqlite3.Connection) -> Iterator[str]:
    """Blocks of numbers of events that can't be; there are few."""
    end = 1
    for first, size in connection.execute("SELECT first_id, size FROM fact_blocks ORDER BY first_id"):
        if not isinstance(first, int) or not isinstance(size, int) or not 0 < first <= first + size <= GREATEST:
            yield f"fact_blocks: there can't be {size} numbers from {first} on"
            continue
        if first < end:
            yield f"fact_blocks: the block at {first} begins within another"
        end = max(end, first + size)


def lost_references(connection: sqlite3.Connection, only: str | None = None) -> Iterator[str]:
    """Rows that point to a row that is not there: the first ten; only: of those that point to this table."""
    found = (row for row in connection.execute("PRAGMA foreign_key_check") if only in (None, row[2]))
    for table, row, target, _ in islice(found, 10):
        yield f"row {row} of {table} points to a row of {target} that is not there"


def problems_of_ids(connection: sqlite3.Connection) -> Iterator[str]:
    """Ids that can't be: those of an event grow from 1 on."""
    for table, known in columns().items():
        if "id" in known and "id" in _there(connection, table):
            sql = f"SELECT (SELECT min(id) FROM {table}), (SELECT max(id) FROM {table})"
            first, last = connection.execute(sql).fetchone()
            if first is not None and not 0 < first <= last <= GREATEST:
                yield f"values: {table} has ids from {first} to {last}"


def fitting(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with None for values of another type than its column's, and for columns that are not there."""
    known = columns()[table]
    return dict.fromkeys(known) | {
        name: value if name not in known or isinstance(value, _TYPES.get(known[name].type, ("", object))[1]) else None
        for name, value in row.items()
    }
