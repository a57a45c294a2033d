"""Copies tables, views, indexes and triggers that users have added to a recording file, when it is upgraded."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from pathlib import Path

from ..errors import DataError
from ..model import argv

_OBSOLETE = ("_sqlite_migrations", "processes_of_recording", "found", "missing", "events")
"""Tables, indexes and views that earlier versions of webpf made, and this one doesn't have under this name."""

_KINDS = ("table", "index", "view", "trigger")
"""The order of creation. Triggers come last, so that copying rows doesn't run them."""

_CHANGES = {"table": "ALTER TABLE {name} RENAME TO other_{name}", "view": "DROP VIEW {name}"}
"""How a user can make a name free."""

_OBJECTS = """SELECT type, name, tbl_name, sql FROM source.sqlite_schema
WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"""


def check(connection: sqlite3.Connection, path: Path, new_names: Collection[str]) -> None:
    """Raises DataError for tables that can't be copied.

    They are virtual tables, which may keep their rows anywhere, and those with the name of a table or view that the
    current schema adds. new_names: these names.
    """
    for kind, name, statement in connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE name = tbl_name"):
        if statement and statement.upper().startswith("CREATE VIRTUAL"):
            raise DataError(f"{path} has a virtual table of another program, {name}, which webpf can't copy")
        if name.lower() in new_names and kind in _CHANGES:
            message = f"{path} has a {kind} of another program with the name {name}, which webpf's schema has now too"
            change = _CHANGES[kind].format(name=name)
            raise DataError(message, f"sqlite3 {argv.file_word(path)} {argv.word(change)}")


def copy(connection: sqlite3.Connection, path: Path) -> None:
    """Copies the user's objects from the attached file `source`, which is at this path.

    Raises sqlite3.Error, and DataError for an index or trigger that doesn't fit the new schema.
    """
    ours = {name for (name,) in connection.execute("SELECT name FROM main.sqlite_schema")} | {*_OBSOLETE}
    objects = connection.execute(_OBJECTS).fetchall()
    foreign = [each for each in objects if each[1] not in ours and each[2] not in _OBSOLETE]
    for kind, name, _, statement in sorted(foreign, key=lambda each: _KINDS.index(each[0])):
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as error:
            if "no such" not in str(error):
                raise
            drop = argv.word(f"DROP {kind.upper()} {_quoted(name)}")
            message = f"{path} has the {kind} {name} of another program, which doesn't fit the new schema: {error}"
            raise DataError(message, f"sqlite3 {argv.file_word(path)} {drop}") from error
        if kind == "table":
            _copy_rows(connection, _quoted(name))


def _copy_rows(connection: sqlite3.Connection, table: str) -> None:
    names = ", ".join(_quoted(row[1]) for row in connection.execute(f"PRAGMA main.table_info({table})"))
    connection.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM source.{table}")


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))
