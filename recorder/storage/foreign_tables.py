"""Copies tables, views, indexes and triggers that users have added to a recording file, when it is upgraded."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ..errors import DataError

_OBSOLETE = ("_sqlite_migrations", "processes_of_recording", "found", "missing")
"""Tables and indexes that earlier versions of webpf made, and this one doesn't have under this name."""

_KINDS = ("table", "index", "view", "trigger")
"""The order of creation. Triggers come last, so that copying rows doesn't run them."""

_OBJECTS = """SELECT type, name, tbl_name, sql FROM source.sqlite_schema
WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"""


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raises DataError for a virtual table: it may keep its rows anywhere, so it can't be copied."""
    sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL%'"
    for (name,) in connection.execute(sql):
        raise DataError(f"{path} has a virtual table of another program, {name}, which webpf can't copy")


def copy(connection: sqlite3.Connection) -> None:
    """Copies the user's objects from the attached file `source`. Raises sqlite3.Error."""
    ours = {name for (name,) in connection.execute("SELECT name FROM main.sqlite_schema")} | {*_OBSOLETE}
    objects = connection.execute(_OBJECTS).fetchall()
    foreign = [each for each in objects if each[1] not in ours and each[2] not in _OBSOLETE]
    for kind, name, _, statement in sorted(foreign, key=lambda each: _KINDS.index(each[0])):
        connection.execute(statement)
        if kind == "table":
            _copy_rows(connection, _quoted(name))


def _copy_rows(connection: sqlite3.Connection, table: str) -> None:
    names = ", ".join(_quoted(row[1]) for row in connection.execute(f"PRAGMA main.table_info({table})"))
    connection.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM source.{table}")


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))
