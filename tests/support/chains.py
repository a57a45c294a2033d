"""Recordings that rotate several times a second, and their segments read together."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from fates import Fate
from support import MS, PROCESSES, Recorder, wait_until

from webpf.storage.verify import verify

SHORT_ROTATIONS = [
    sys.executable,
    "-c",
    "from webpf.model import durations; durations._LEAST_ROTATION = 0;from webpf.__main__ import main; main()",
]
"""Calls webpf without the lower limit of --rotate."""

LATEST = f"""(SELECT * FROM (
    SELECT p.*, r.segment, row_number() OVER (
        PARTITION BY r.boot_id, p.pid, p.start_ns - r.clock_offset_ns ORDER BY r.segment DESC
    ) AS rank
    FROM {PROCESSES} AS p JOIN recordings AS r ON r.id = p.recording_id
) WHERE rank = 1)"""
"""SQL for the processes of a chain: of each, the row in the last segment that has it."""


def rotating(db: Path, *arguments: str, seconds: float = 0.3) -> Recorder:
    """Returns a recorder whose first segment is going on; or its second one, if segments are shorter than a second."""
    recorder = Recorder(db, ["--rotate", str(seconds), *arguments], command=SHORT_ROTATIONS)
    recorder.wait_until_recording()
    if seconds < 1:
        wait_for_segments(db, 1)
    return recorder


def segments(db: Path) -> list[dict[str, Any]]:
    """Returns the rows of the recordings, in order."""
    return rows(db, "SELECT * FROM recordings ORDER BY id")


def wait_for_segments(db: Path, more: int) -> None:
    """Waits until so many more segments have begun."""
    begun = len(segments(db))
    # On a busy machine, a segment takes seconds: all that is alive is looked up in /proc first.
    wait_until(lambda: len(segments(db)) >= begun + more, f"{more} more segments", 20.0 + 5.0 * more)


def rows(db: Path, sql: str, *values: object) -> list[dict[str, Any]]:
    """Returns the result of a query as dicts."""
    with closing(sqlite3.connect(db)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, values)]


def rows_of(db: Path, pid: int) -> list[dict[str, Any]]:
    """Returns the rows of the process that has this pid, by segment."""
    sql = f"SELECT p.*, r.segment FROM {PROCESSES} AS p JOIN recordings AS r ON r.id = p.recording_id WHERE p.pid = ?"
    return rows(db, f"{sql} ORDER BY r.segment", pid)


def row_of(latest: Sequence[dict[str, Any]], fate: Fate) -> dict[str, Any]:
    """Returns the only one of these rows that is the process with this fate."""
    found = [
        row for row in latest if row["pid"] == fate.pid and fate.before_ns - MS <= row["start_ns"] <= fate.after_ns + MS
    ]
    assert len(found) == 1, f"{len(found)} rows for pid {fate.pid}"
    return found[0]


def assert_sound(db: Path) -> None:
    """Checks that verify finds no problem, and SQLite no reference to a row that isn't there."""
    assert [problem for finding in verify(db) for problem in finding.problems] == []
    assert rows(db, "PRAGMA foreign_key_check") == []
