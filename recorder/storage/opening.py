"""Opens a file that may be anybody's: it may be damaged, or made to do harm.

A sound file pays for this with a look at its schema only. Values are looked at once something has failed.
"""

from __future__ import annotations

import re
import shlex
import sqlite3
from pathlib import Path

from ..errors import DataError
from ..host import file_owner
from ..model import argv
from . import file_check, schema_version
from .file_check import APPLICATION_ID
from .soundness import TRIGGERS, columns, problems, version

FAILURES = (sqlite3.Error, ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What values that can't be there make reading fail with."""

_LONGEST = 64 << 20  # bytes of a value, if the file isn't larger: what a planted column may blow itself up to
_LIMIT_LENGTH = 0  # SQLITE_LIMIT_LENGTH, which sqlite3 names since Python 3.11


def decoded(raw: bytes) -> str:
    """SQLite's text as Python's, with \\xff for bytes that are no UTF-8."""
    return raw.decode("utf-8", "backslashreplace")


WAIT_SECONDS = 10.0
"""How long reading waits for a file that is locked."""


def connect(path: Path, wait_seconds: float = WAIT_SECONDS) -> sqlite3.Connection:
    """A read-only connection, to a file that may be anybody's."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=wait_seconds)
    connection.text_factory = decoded
    if hasattr(connection, "setlimit"):  # since Python 3.11
        connection.setlimit(_LIMIT_LENGTH, max(_LONGEST, path.stat().st_size))
    for setting in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def check(connection: sqlite3.Connection, path: Path, accepts_older: bool = False) -> None:
    """Raises DataError for what would make SQLite read something else than webpf's own tables, as they are now.

    accepts_older: whether tables of an older schema pass.
    """
    if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
        log = argv.file_word(Path(f"{path}{file_owner.SIDE_FILE_SUFFIXES[0]}"))
        raise DataError(f"{path} can't be read: the log beside it is another database's", f"mv {log} {log}.away")
    for kind, name in connection.execute(_MASKS):
        if name.lower() in columns():
            raise DataError(f"{path} is not as webpf makes it: {name} is a {kind} and not a table", _verify(path))
    if not accepts_older and schema_version.is_older(connection):
        raise file_check.older(path, version(connection))


def check_for_writing(connection: sqlite3.Connection, path: Path) -> None:
    """The same, and also if writing would make the file change other rows of its own accord."""
    connection.execute("PRAGMA trusted_schema = OFF")
    check(connection, path)
    for name, sql in connection.execute(TRIGGERS):
        if _CHANGES.search(sql):
            statement = 'DROP TRIGGER "{}"'.format(name.replace('"', '""'))
            raise DataError(
                f"{path} has a trigger, {name}, which would change rows while webpf writes",
                f"sqlite3 {argv.file_word(path)} {shlex.quote(statement)}",
            )


_CHANGES = re.compile(r"\bBEGIN\b.*\b(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE | re.DOTALL)
_MASKS = """SELECT CASE type WHEN 'view' THEN type ELSE 'virtual table' END, name FROM sqlite_schema
WHERE type = 'view' OR (type = 'table' AND sql LIKE 'CREATE VIRTUAL%')"""


def unreadable(path: Path, error: sqlite3.Error) -> DataError:
    """What is said when SQLite fails."""
    is_passing = any(word in str(error) for word in ("locked", "interrupted", "unable to open", "readonly"))
    return DataError(f"{path} can't be read: {error}", "" if is_passing else _verify(path))


def explained(connection: sqlite3.Connection, path: Path, error: Exception) -> Exception:
    """A DataError if the file is to blame for what reading it failed with; else the error itself."""
    if isinstance(error, sqlite3.Error):
        return unreadable(path, error)
    try:
        problem = next(problems(connection), "")
    except FAILURES as another:
        problem = str(another)
    return damaged(path, problem) if problem else error


def damaged(path: Path, problem: str) -> DataError:
    """What is said of a file with a problem."""
    return DataError(f"{path} is damaged: {problem}", _verify(path))


def _verify(path: Path) -> str:
    return f"webpf verify {argv.file_word(path)}"
