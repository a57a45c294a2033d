"""Finds the Datasette databases that are readable recording files, and connects to them.

An unreadable file is treated as if it didn't exist. No function here raises an error for it, so it doesn't break the
pages of other files.
"""

from __future__ import annotations

import enum
import functools
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from datasette.database import Database, QueryInterrupted
from datasette.utils import sqlite3

from ..model.zone import Zone
from ..storage import data_dictionary, file_check, hot_journal, older_schemas, schema_check

Error = sqlite3.Error
"""SQLite's error class, from the module that Datasette uses; that isn't always Python's own sqlite3."""

_NEEDED_TABLES = ("recordings", "processes", "commands")  # the pages read only these
_RECHECK_SECONDS = 1.0


class State(enum.Enum):
    """The kind of a database."""

    RECORDING = enum.auto()
    OLDER = enum.auto()  # a recording file with an older schema, to be upgraded first
    OTHER = enum.auto()
    UNREADABLE = enum.auto()  # its header, or an earlier check, says that it is a recording


@dataclass(frozen=True)
class _Check:
    """The last check of a file: when (time.monotonic()), the identity that the file had, and the result."""

    checked_at: float
    identity: tuple[int, ...]
    state: State


_checks: dict[str, _Check] = {}
_removed: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()


def names_with_recordings(datasette: Any) -> list[str]:
    """Returns the names of the databases that are readable recording files."""
    return [name for name, database in datasette.databases.items() if is_recording(database)]


def are_all(datasette: Any) -> bool:
    """Returns whether all files that Datasette serves are readable recording files."""
    return names_with_recordings(datasette) == [name for name, it in datasette.databases.items() if it.path]


def has_recordings(datasette: Any, name: str | None) -> bool:
    """Returns whether there is a database of this name, and it is a readable recording file."""
    return name in datasette.databases and is_recording(datasette.databases[name])


def is_recording(database: Any) -> bool:
    """Returns whether a database is a recording file of webpf, and can be read."""
    return _state(database) is State.RECORDING


def upgrade_message(database: Any) -> str | None:
    """Returns the error message for a file with an older schema; None for any other. It doesn't show the folder."""
    if _state(database) is not State.OLDER:
        return None
    try:
        with connect(database) as connection:
            refusal = file_check.older_schema_error(
                Path(Path(database.path).name), schema_check.read_version(connection)
            )
    except Error:
        return None
    return f"{refusal.message}; try: {refusal.hint}"


def remove_unreadable(datasette: Any) -> None:
    """Removes unreadable recording files from Datasette, and adds them again when they are readable.

    With an unreadable file, Datasette fails on all its pages.
    """
    removed = _removed.setdefault(datasette, {})
    for name, database in list(datasette.databases.items()):
        if _state(database) is State.UNREADABLE:
            print(f"webpf: {database.path} can't be read: it is hidden until it can be", file=sys.stderr)
            datasette.remove_database(name)
            datasette._last_schema_refresh = 0  # 1.0 caches its list for a second; 0.65 has no cache
            removed[name] = database
    for name, database in list(removed.items()):
        if _state(database) is State.RECORDING:
            del removed[name]
            reopen = getattr(database, "reopened", None)  # only in webpf browse
            fresh = reopen() if reopen else Database(datasette, path=database.path, is_mutable=database.is_mutable)
            datasette.add_database(fresh, name=name, route=database.route)


@contextmanager
def connect(database: Any) -> Iterator[Any]:
    """Yields a new connection, opened as Datasette opens its own (read-only or immutable), and closes it."""
    connection = database.connect()
    try:
        connection.text_factory = lambda raw: str(raw, "utf-8", "replace")
        yield connection
    finally:
        connection.close()
        # Datasette lists its connections, to close them when it ends. The list has one name in 0.65, and one in 1.0.
        for kept in ("_all_file_connections", "_all_connections"):
            with suppress(AttributeError, ValueError):
                getattr(database, kept).remove(connection)


async def latest_recordings(datasette: Any, name: str, limit: int) -> list[int]:
    """Returns the numbers of a file's latest recordings, the latest first; none if the file can't be read."""
    return [number for number, _ in await _latest(datasette, name, limit)]


async def latest_timeline(datasette: Any, name: str) -> str | None:
    """Returns what follows the path of a file's timelines for its latest: '' for a chain of recordings.

    None if the file has no recording, or can't be read.
    """
    for number, chain in await _latest(datasette, name, 1):
        return f"/{number}" if chain is None else ""
    return None


async def time_zone(datasette: Any, name: str) -> tzinfo:
    """Returns the time zone of the machine of a file's latest recording; UTC if it isn't known."""
    sql = "SELECT zone, utc_offset_s FROM recordings ORDER BY id DESC LIMIT 1"
    try:
        row = (await datasette.get_database(name).execute(sql, log_sql_errors=False)).first()
    except (Error, QueryInterrupted, KeyError, RuntimeError):
        row = None
    return Zone.of_recording(dict(row) if row else {}).rules


async def _latest(datasette: Any, name: str, limit: int) -> list[tuple[int, int | None]]:
    sql = "SELECT id, chain FROM recordings ORDER BY id DESC LIMIT ?"
    try:
        rows = await datasette.get_database(name).execute(sql, [limit], log_sql_errors=False)
    except (Error, QueryInterrupted, KeyError, RuntimeError):  # RuntimeError: Datasette 1.0 has closed it
        return []
    return [(int(row[0]), row[1]) for row in rows]


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
    """Returns a value that changes if the file was replaced or may have become unreadable; new rows don't change it."""
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
    hot_journal.roll_back(path, wait_seconds=0)
    try:
        with connect(database) as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            if older_schemas.is_older(connection):
                return State.OLDER
            return State.RECORDING if _has_tables(connection) else State.OTHER
    except Error as error:
        return State.RECORDING if "locked" in str(error) else State.UNREADABLE


def _has_tables(connection: Any) -> bool:
    """Returns whether the tables are webpf's own: real tables, not views, with the expected column types."""
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
