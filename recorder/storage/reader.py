"""Reads recording files: opens them, and returns their recordings."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ..errors import NotFound
from ..host import liveness
from ..model import argv
from ..model.recording import Recording
from . import file_check, hot_journal, safe_open, schema_check
from .sql_macros import expand


@contextmanager
def reading(
    path: Path, wait_seconds: float = safe_open.WAIT_SECONDS, accepts_older: bool = False
) -> Iterator[sqlite3.Connection]:
    """Opens a read-only connection to a recording file. Raises NotFound, and DataError for a file it can't read.

    accepts_older: whether a file of an older schema is accepted.
    Invalid values in a damaged file can make any code that uses them fail: failures in the block become DataError.
    """
    file_check.check_readable(path, accepts_older)
    if hot_journal.roll_back(path):
        file_check.check_readable(path, accepts_older)
    try:
        with closing(safe_open.connect(path, wait_seconds)) as connection:
            try:
                safe_open.check(connection, path, accepts_older)
                yield connection
            except safe_open.FAILURES as error:
                raise safe_open.explain_failure(connection, path, error) from error
    except sqlite3.Error as error:  # opening it failed
        raise safe_open.unreadable_error(path, error) from error


def recordings(connection: sqlite3.Connection, number: int | None = None) -> list[Recording]:
    """Returns the recordings of a file with their current status. With a number: only that one, if it exists."""
    sql = "SELECT * FROM recordings WHERE ?1 IS NULL OR id = ?1 ORDER BY id"
    cursor = connection.execute(sql, [number])
    rows = [schema_check.valid_values("recordings", row) for row in named_rows(cursor)]
    return [Recording.from_row(row, liveness.current_status(row), parse_options(row["options"])) for row in rows]


def named_rows(cursor: sqlite3.Cursor) -> Iterator[dict[str, Any]]:
    """Yields rows as values by the names of their columns."""
    names = [column[0] for column in cursor.description]
    for row in cursor:
        yield dict(zip(names, row, strict=True))


def find(connection: sqlite3.Connection, path: Path, wanted: int | str | None = None) -> Recording:
    """Returns a recording by its number or name, by default the latest. Raises NotFound.

    A number takes precedence over a name. If several recordings have the name, the latest is returned.
    """
    known = connection.execute("SELECT id, name FROM recordings ORDER BY id").fetchall()
    if not known:
        raise NotFound(f"{path} holds no recording yet", f"sudo webpf record --db {argv.file_word(path)}")
    numbers = [number for number, _ in known]
    if wanted is not None:
        by_number = [number for number in numbers if str(number) == str(wanted)]
        numbers = by_number or [number for number, name in known if name == str(wanted)]
    if not numbers:
        hint = f"webpf recordings {argv.file_word(path)}"
        raise NotFound(f"{path} has no recording {wanted}: the latest is {known[-1][0]}", hint)
    return recordings(connection, numbers[-1])[0]


def find_all(connection: sqlite3.Connection, path: Path, only: int | str | None = None) -> list[Recording]:
    """Returns all recordings of a file, or only the one with this number or name. Raises NotFound as find() does."""
    return recordings(connection) if only is None else [find(connection, path, only)]


def process_counts(connection: sqlite3.Connection) -> dict[int, int]:
    """Returns how many processes each recording has, by its number, without kernel threads."""
    sql = "SELECT recording_id, count(*) FROM processes WHERE is_counted!(processes) GROUP BY 1"
    return dict(connection.execute(expand(sql)).fetchall())


def count_processes(connection: sqlite3.Connection) -> int:
    """Returns how many processes a file has. One that lived through several segments of a chain is one."""
    sql = """SELECT count(*) FROM recordings AS r JOIN processes AS p ON p.recording_id = r.id
        WHERE is_counted!(p) AND (p.start_ns >= r.started_ns
            OR r.segment IS (SELECT min(segment) FROM recordings WHERE chain = r.chain))"""
    return int(connection.execute(expand(sql)).fetchone()[0])


def parse_options(text: Any) -> dict[str, Any]:
    """Returns the options of a recorder; an empty dict for a damaged row, which verify reports."""
    try:
        options = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return options if isinstance(options, dict) else {}
