"""Which of Datasette's databases are recordings that can be read, and connections to them.

A file that can't be read is as good as not there: nothing here raises for it, so it spoils no page of other files.
"""

from __future__ import annotations

import enum
import functools
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from datasette.database import Database, QueryInterrupted
from datasette.utils import sqlite3

from ..storage import data_dictionary, file_check, schema_version, soundness

Error = sqlite3.Error
"""What goes wrong with a connection. Datasette may have another sqlite3 than Python's own."""

_NEEDED_TABLES = ("recordings", "processes")  # tables; what is shown of a recording comes from them
_RECHECK_SECONDS = 1.0


class State(enum.Enum):
    """What a database is."""

    RECORDING = enum.auto()
    OLDER = enum.auto()  # a recording file that has to be upgraded first
    OTHER = enum.auto()
    UNREADABLE = enum.auto()  # it was a recording, or says that it is


@dataclass(frozen=True)
class _Check:
    """When a file was last looked at, which file it was then, and what."""

    checked_at: float
    identity: tuple[int, ...]
    state: State


_checks: dict[str, _Check] = {}
_removed: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()


def names_with_recordings(datasette: Any) -> list[str]:
    """Names of the databases that are recordings."""
    return [name for name, database in datasette.databases.items() if is_recording(database)]


def has_recordings(datasette: Any, name: str | None) -> bool:
    """Whether there is a recording of this name."""
    return name in datasette.databases and is_recording(datasette.databases[name])


def is_recording(database: Any) -> bool:
    """Whether a database of Datasette's is one of webpf's files, and can be read."""
    return _state(database) is State.RECORDING


def upgrade_message(database: Any) -> str | None:
    """What is said of a file of an older schema; None for any other. It doesn't tell in which folder the file is."""
    if _state(database) is not State.OLDER:
        return None
    try:
        with connect(database) as connection:
            refusal = file_check.older(Path(Path(database.path).name), soundness.version(connection))
    except Error:
        return None
    return f"{refusal.message}; try: {refusal.hint}"


def remove_unreadable(datasette: Any) -> None:
    """Takes recordings that can't be read from Datasette until they can be: with them, all its pages would fail."""
    removed = _removed.setdefault(datasette, {})
    for name, database in list(datasette.databases.items()):
        if _state(database) is State.UNREADABLE:
            print(f"webpf: {database.path} can't be read: it is left out until it can be", file=sys.stderr)
            datasette.remove_database(name)
            datasette._last_schema_refresh = 0  # 1.0 lists for a second what it had; 0.65 doesn't know this
            removed[name] = database
    for name, database in list(removed.items()):
        if _state(database) is State.RECORDING:
            del removed[name]
            reopen = getattr(database, "reopened", None)  # only in webpf browse
            fresh = reopen() if reopen else Database(datasette, path=database.path, is_mutable=database.is_mutable)
            datasette.add_database(fresh, name=name, route=database.route)


@contextmanager
def connect(database: Any) -> Iterator[Any]:
    """A connection of one's own, opened as Datasette opens its own (read-only or immutable), and closed afterwards."""
    connection = database.connect()
    try:
        connection.text_factory = lambda raw: str(raw, "utf-8", "replace")
        yield connection
    finally:
        connection.close()
        # Datasette keeps what it opened, to close it at its end: in 0.65 under the first name, in 1.0 under the second.
        for kept in ("_all_file_connections", "_all_connections"):
            with suppress(AttributeError, ValueError):
                getattr(database, kept).remove(connection)


async def latest_recordings(datasette: Any, name: str, limit: int) -> list[int]:
    """Numbers of a file's recordings, latest first; none where they can't be read."""
    sql = "SELECT id FROM recordings ORDER BY id DESC LIMIT ?"
    try:
        rows = await datasette.get_database(name).execute(sql, [limit], log_sql_errors=False)
    except (Error, QueryInterrupted, KeyError, RuntimeError):  # RuntimeError: Datasette 1.0 has closed it meanwhile
        return []
    return [int(row[0]) for row in rows]


def _state(database: Any) -> State:
    if not database.path:
        return State.OTHER
    path = Path(database.path)
    known = _checks.get(str(path))
    now = time.monotonic()
    identity = _identity(path)
    if (
        known
        and known.identity == identity
        and (known.state is State.RECORDING or now - known.checked_at < _RECHECK_SECONDS)
    ):
        return known.state
    state = _check(database, path)
    if state is State.OTHER and known and known.state is not State.OTHER:
        state = State.UNREADABLE
    _checks[str(path)] = _Check(now, identity, state)
    return state


def _identity(path: Path) -> tuple[int, ...]:
    """Changes whenever it may have become another file, or one that can't be opened: not with each row."""
    try:
        status = path.stat()
    except OSError:
        return ()
    identity: tuple[int, ...] = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    with suppress(OSError):
        log = path.with_name(f"{path.name}-wal").stat()
        identity += (log.st_ino, log.st_mode, log.st_uid)
    return identity


def _check(database: Any, path: Path) -> State:
    if not file_check.is_recording(path):
        return State.OTHER
    try:
        with connect(database) as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            if schema_version.is_older(connection):
                return State.OLDER
            return State.RECORDING if _has_tables(connection) else State.OTHER
    except Error as error:
        return State.RECORDING if "locked" in str(error) else State.UNREADABLE


def _has_tables(connection: Any) -> bool:
    """Whether the tables are webpf's, and no views of those names."""
    strict = connection.execute(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict"
    )
    if not {name for (name,) in strict}.issuperset(_NEEDED_TABLES):
        return False
    sql = 'SELECT name, type, "notnull" FROM pragma_table_xinfo(?)'
    columns = {
        (table, name): (type, bool(must))
        for table in _NEEDED_TABLES
        for name, type, must in connection.execute(sql, [table])
    }
    return all(columns.get(column) == expected for column, expected in _expected().items())


@functools.cache
def _expected() -> dict[tuple[str, str], tuple[str, bool]]:
    return {
        (table.name, column.name): (column.type, column.is_required)
        for table in data_dictionary.all_tables()
        if table.name in _NEEDED_TABLES
        for column in table.columns
    }
