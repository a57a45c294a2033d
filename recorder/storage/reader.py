"""Reads recording files: opens one, whatever it is, and says which recordings it holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import NotFound
from ..host import liveness
from ..model import argv
from . import file_check, opening, soundness

Row: TypeAlias = dict[str, Any]
"""Of the table recordings, by column."""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection to a recording file. Raises NotFound, and DataError also for what reading it meets.

    Values that can't be in a sound file make what uses them fail in any way, so every failure is explained here.
    """
    file_check.check_readable(path)
    try:
        with closing(opening.connect(path)) as connection:
            try:
                opening.check(connection, path)
                yield connection
            except opening.FAILURES as error:
                raise opening.explained(connection, path, error) from error
    except sqlite3.Error as error:  # it can't even be opened
        raise opening.unreadable(path, error) from error


def recordings(path: Path) -> list[Row]:
    """What a file holds: for each recording its row, with `processes`, and `interrupted` where it was broken off."""
    with reading(path) as connection:
        sql = "SELECT recording_id, count(*) FROM processes WHERE kernel IS NOT 1 GROUP BY 1"
        counts = dict(connection.execute(sql).fetchall())
        return [row | {"processes": counts.get(row["id"], 0)} for row in recording_rows(connection)]


def which(connection: sqlite3.Connection, path: Path, wanted: int | None) -> int:
    """The number of a recording, by default the latest. Raises NotFound if the file hasn't it."""
    known = [row[0] for row in connection.execute("SELECT id FROM recordings ORDER BY id")]
    if not known:
        raise NotFound(f"{path} holds no recording yet", f"sudo webpf record --db {argv.file_word(path)}")
    if wanted is not None and wanted not in known:
        hint = f"webpf recordings --db {argv.file_word(path)}"
        raise NotFound(f"{path} has no recording {wanted}: the latest is {known[-1]}", hint)
    return int(known[-1] if wanted is None else wanted)


def find(connection: sqlite3.Connection, path: Path, wanted: int | None) -> Row:
    """The row of a recording, by default the latest. Raises NotFound if the file hasn't it."""
    return recording_rows(connection, which(connection, path, wanted))[0]


def caveat(path: Path, recording: str) -> str | None:
    """What a reader of any result from this recording should know; None if nothing was lost."""
    with reading(path) as connection:
        row = [row for row in recording_rows(connection) if not recording or row["id"] == int(recording)][-1]
    if row["lost"]:
        return f"recording {row['id']} lost {row['lost']} events: counts and sums are a lower bound"
    if row["status"] == "interrupted":
        return f"recording {row['id']} was broken off: what came after its last commit is missing"
    if row.get("kept_short"):  # a file of before has it not
        return f"recording {row['id']} holds {row['kept_short']} processes that ended sooner than --min-lifetime"
    return None


def recording_rows(connection: sqlite3.Connection, number: int | None = None) -> list[Row]:
    """The rows of `recordings`, each with its current status; with a number, that one's if there is one."""
    sql = "SELECT * FROM recordings WHERE ?1 IS NULL OR id = ?1 ORDER BY id"
    cursor = connection.execute(sql, [number])
    names = [column[0] for column in cursor.description]
    rows = [soundness.fitting("recordings", dict(zip(names, values, strict=True))) for values in cursor]
    return [row | {"status": liveness.current_status(row)} for row in rows]
