"""Checks whether a file has the tables, columns and values that webpf writes, and describes what differs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from ..model.events import GREATEST
from .ddl import TABLES
from .file_check import SCHEMA_VERSION

# SQLite's type -> the result of typeof(), and the Python type.
_TYPES: dict[str, tuple[str, type]] = {"INTEGER": ("integer", int), "TEXT": ("text", str), "BLOB": ("blob", bytes)}


TRIGGERS = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"


class Column(NamedTuple):
    """A column as defined in ddl.py. type: SQLite's type name."""

    type: str
    is_required: bool


Tables: TypeAlias = Mapping[str, Mapping[str, Column]]
"""The columns of each table, by name."""


@cache
def schema_columns() -> Tables:
    """Returns the columns of each table in order, as this version creates them."""
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


def _existing_columns(connection: sqlite3.Connection, table: str, tables: Tables | None = None) -> list[str]:
    """Returns those of webpf's columns that a table in the file has, in order."""
    found = {row[1] for row in connection.execute(f"PRAGMA table_xinfo({table})")}
    return [name for name in (tables or schema_columns())[table] if name in found]


def find_problems(connection: sqlite3.Connection, in_strict: bool = True) -> Iterator[str]:
    """Yields everything in the file that differs from what webpf writes. in_strict: see find_wrong_values()."""
    yield from missing_columns(connection)
    yield from _schema_problems(connection)
    yield from find_wrong_values(connection, in_strict)
    if "options" in _existing_columns(connection, "recordings"):
        for (number,) in connection.execute("SELECT id FROM recordings WHERE json_valid(options) IS NOT 1"):
            yield f"values: the options of recording {number} are not JSON"
    if len(_existing_columns(connection, "fact_blocks")) == len(schema_columns()["fact_blocks"]):
        yield from find_block_problems(connection)
    yield from find_id_problems(connection)


def find_damage(connection: sqlite3.Connection, tables: Tables | None = None) -> Iterator[str]:
    """Yields the problems that keep rebuild or upgrade from writing the file anew.

    tables: those of an older schema, if the file has that.
    """
    tables = tables or schema_columns()
    [(message,)] = connection.execute("PRAGMA integrity_check(1)")
    if message != "ok":
        yield f"SQLite: {message}"
    yield from missing_columns(connection, tables)
    yield from find_wrong_values(connection, in_strict=False, tables=tables)
    yield from find_id_problems(connection, tables)
    yield from find_dangling_references(connection, "recordings")


def missing_columns(connection: sqlite3.Connection, tables: Tables | None = None) -> Iterator[str]:
    """Yields a message for each missing table or column. tables: see find_damage()."""
    for table, wanted in (tables or schema_columns()).items():
        found = _existing_columns(connection, table, tables)
        if found:
            yield from (f"schema: {table} has no column {name}" for name in wanted if name not in found)
        else:
            yield f"schema: there is no table {table}"


def _schema_problems(connection: sqlite3.Connection) -> Iterator[str]:
    if read_version(connection) < 1:
        yield f"schema: its version is not between 1 and {SCHEMA_VERSION}"
    for table in sorted(schema_columns().keys() - _strict(connection)):
        if _existing_columns(connection, table):
            yield f"schema: {table} is not STRICT, so it can hold values of any type"
    for table, wanted in schema_columns().items():
        for row in connection.execute(f"PRAGMA table_xinfo({table})"):
            if row[1] not in wanted:
                yield f"schema: {table} has a column {row[1]}, which is not webpf's"
    for name, _ in connection.execute(TRIGGERS):
        yield f"schema: there is a trigger {name}, which is not webpf's"


def read_version(connection: sqlite3.Connection) -> int:
    """Returns the schema version that the file has (PRAGMA user_version)."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _strict(connection: sqlite3.Connection) -> set[str]:
    return {row[1] for row in connection.execute("PRAGMA table_list") if row[0] == "main" and row[5]}


def find_wrong_values(connection: sqlite3.Connection, in_strict: bool, tables: Tables | None = None) -> Iterator[str]:
    """Yields a message for each column with values of another type, or with NULL where none is allowed.

    in_strict: check all columns of STRICT tables; otherwise only those of type ANY, as SQLite's integrity check covers
    the others. tables: see find_damage().
    """
    strict = set() if in_strict else _strict(connection)
    for table, known in (tables or schema_columns()).items():
        names = _existing_columns(connection, table, tables)
        if table in strict and table != "recordings":  # it has few rows, so it is always checked
            names = [name for name in names if known[name].type == "ANY"]
        yield from _wrong_values_of(connection, table, {name: known[name] for name in names})


def _wrong_values_of(connection: sqlite3.Connection, table: str, columns: Mapping[str, Column]) -> Iterator[str]:
    if not columns:
        return
    wrong = [_is_wrong(name, column) for name, column in columns.items()]
    counts = connection.execute(f"SELECT {', '.join(f'total({each})' for each in wrong)} FROM {table}").fetchone()
    for (name, column), count in zip(columns.items(), counts, strict=True):
        if count:
            reasons = ["neither text nor bytes" if column.type == "ANY" else f"not of the type {column.type}"]
            reasons += ["NULL"] * column.is_required + ["an impossible time"] * name.endswith("_ns")
            yield f"values: {int(count):,} of {table}.{name} are {', or '.join(reasons)}"


def _is_wrong(name: str, column: Column) -> str:
    """Returns an SQL condition that is true for a wrong value."""
    # Paths have the type ANY.
    allowed = ["text", "blob"] if column.type == "ANY" else [_TYPES[column.type][0]]
    if not column.is_required:
        allowed.append("null")
    wrong = f"typeof({name}) NOT IN ({', '.join(map(repr, allowed))})"
    # Larger values could overflow when something is added, or be no valid date.
    return f"({wrong} OR {name} NOT BETWEEN {-GREATEST} AND {GREATEST})" if name.endswith("_ns") else wrong


def find_block_problems(connection: sqlite3.Connection) -> Iterator[str]:
    """Yields blocks of event ids that are impossible. There are few blocks."""
    end = 1
    for first, size in connection.execute("SELECT first_id, size FROM fact_blocks ORDER BY first_id"):
        if not isinstance(first, int) or not isinstance(size, int) or not 0 < first <= first + size <= GREATEST:
            yield f"fact_blocks: a block of {size} ids from {first} is impossible"
            continue
        if first < end:
            yield f"fact_blocks: the block at {first} overlaps another block"
        end = max(end, first + size)


def find_dangling_references(connection: sqlite3.Connection, only: str | None = None) -> Iterator[str]:
    """Yields the first ten rows that refer to a row that doesn't exist. only: just references to this table."""
    found = (row for row in connection.execute("PRAGMA foreign_key_check") if only in (None, row[2]))
    for table, row, target, _ in islice(found, 10):
        yield f"row {row} of {table} refers to a row of {target} that doesn't exist"


def find_id_problems(connection: sqlite3.Connection, tables: Tables | None = None) -> Iterator[str]:
    """Yields the tables that have impossible ids. Valid event ids count up from 1. tables: see find_damage()."""
    for table in tables or schema_columns():
        if "id" in _existing_columns(connection, table, tables):
            sql = f"SELECT (SELECT min(id) FROM {table}), (SELECT max(id) FROM {table})"
            first, last = connection.execute(sql).fetchone()
            if first is not None and not 0 < first <= last <= GREATEST:
                yield f"values: {table} has ids from {first} to {last}"


def valid_values(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the row with None for values of a wrong type, and for columns that the file lacks."""
    known = schema_columns()[table]
    return dict.fromkeys(known) | {
        name: value if name not in known or isinstance(value, _TYPES.get(known[name].type, ("", object))[1]) else None
        for name, value in row.items()
    }
