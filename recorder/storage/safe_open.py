"""Opens recording files that are not trusted: they may be damaged, or made to do harm.

A sound file costs only a check of its schema. The values are checked only after reading them has failed.
"""

from __future__ import annotations

import re
import shlex
import sqlite3
from pathlib import Path

from ..errors import DataError
from ..host import file_owner
from ..model import argv
from . import file_check, hot_journal, older_schemas
from .file_check import APPLICATION_ID
from .schema_check import TRIGGERS, find_damage, find_problems, read_version

FAILURES = (sqlite3.Error, ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""Exceptions that invalid values in a file can cause in the code that reads them."""

_MAX_VALUE_BYTES = 64 << 20  # or the file's size, if larger: limits what a planted generated column computes
_MOST_VALUE_BYTES = 1_000_000_000  # SQLite's own limit; the size of a file may be too large for its C int
_LIMIT_LENGTH = 0  # SQLITE_LIMIT_LENGTH, which sqlite3 names since Python 3.11


def decode_text(raw: bytes) -> str:
    r"""Returns SQLite's text as str; bytes that are not UTF-8 become \xff escapes."""
    return raw.decode("utf-8", "backslashreplace")


WAIT_SECONDS = 10.0
"""How long a reader waits for a locked file."""


def connect(path: Path, wait_seconds: float = WAIT_SECONDS) -> sqlite3.Connection:
    """Opens a read-only connection to an untrusted file."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=wait_seconds)
    connection.text_factory = decode_text
    if hasattr(connection, "setlimit"):  # since Python 3.11
        connection.setlimit(_LIMIT_LENGTH, min(max(_MAX_VALUE_BYTES, path.stat().st_size), _MOST_VALUE_BYTES))
    for setting in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def check(connection: sqlite3.Connection, path: Path, accepts_older: bool = False) -> None:
    """Raises DataError for a file in which SQLite would read anything other than webpf's current tables.

    accepts_older: whether tables of an older schema are accepted.
    """
    if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
        log = argv.file_word(Path(f"{path}{file_owner.SIDE_FILE_SUFFIXES[0]}"))
        raise DataError(f"{path} can't be read: the log beside it belongs to another database", f"mv {log} {log}.away")
    ours = older_schemas.table_names(connection)
    for kind, name in connection.execute(_NOT_TABLES):
        if name.lower() in ours:
            raise DataError(f"{path} is not as webpf makes it: {name} is a {kind} and not a table", _verify(path))
    if not accepts_older and older_schemas.is_older(connection):
        raise file_check.older_schema_error(path, read_version(connection))


def check_for_writing(connection: sqlite3.Connection, path: Path) -> None:
    """As check(), and raises DataError too if a trigger would change other rows when webpf writes."""
    connection.execute("PRAGMA trusted_schema = OFF")
    check(connection, path)
    for name, sql in connection.execute(TRIGGERS):
        if _CHANGES_ROWS.search(sql):
            statement = 'DROP TRIGGER "{}"'.format(name.replace('"', '""'))
            raise DataError(
                f"{path} has a trigger, {name}, which would change rows while webpf writes",
                f"sqlite3 {argv.file_word(path)} {shlex.quote(statement)}",
            )


def check_for_changes(connection: sqlite3.Connection, path: Path) -> None:
    """As check_for_writing(), and raises DataError for a damaged file too, before rows in it are changed or removed.

    A damaged file stays unchanged, so that what is readable in it stays so.
    """
    check_for_writing(connection, path)
    for problem in find_damage(connection):
        raise damage_error(path, problem)


_CHANGES_ROWS = re.compile(r"\bBEGIN\b.*\b(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE | re.DOTALL)
_NOT_TABLES = """SELECT CASE type WHEN 'view' THEN type ELSE 'virtual table' END, name FROM sqlite_schema
WHERE type = 'view' OR (type = 'table' AND sql LIKE 'CREATE VIRTUAL%')"""


def unreadable_error(path: Path, error: sqlite3.Error) -> DataError:
    """Returns the error for a file that SQLite fails to read."""
    if "readonly" in str(error) and (known := hot_journal.explain(path)):
        return known
    is_passing = any(word in str(error) for word in ("locked", "interrupted", "unable to open", "readonly"))
    return DataError(f"{path} can't be read: {error}", "" if is_passing else _verify(path))


def explain_failure(connection: sqlite3.Connection, path: Path, error: Exception) -> Exception:
    """Returns a DataError if the content of the file caused the failure, else the error itself."""
    if isinstance(error, sqlite3.Error):
        return unreadable_error(path, error)
    try:
        problem = next(find_problems(connection), "")
    except FAILURES as another:
        problem = str(another)
    return damage_error(path, problem) if problem else error


def damage_error(path: Path, problem: str) -> DataError:
    """Returns the error for a file that has this problem."""
    return DataError(f"{path} is damaged: {problem}", _verify(path))


def _verify(path: Path) -> str:
    return f"webpf verify {argv.file_word(path)}"
