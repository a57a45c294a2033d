"""A recording whose queries are slow, because SQLite computes the name in each row for a long time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from support import exit_, fork, make_recording

# It takes about 30 ms. It depends on a column, so that SQLite computes it for each row.
_LONG = "substr(hex(zeroblob(10000000 + pid % 2)), 1, 2)"


def make_slow(db: Path, processes: int = 3000) -> None:
    """Writes the recording. choices.json and window.json with a filter by name take minutes; other pages are fast."""
    starts = [number / 10 for number in range(processes)]
    lives = [(fork(100 + i, ms), exit_(100 + i, ms, ms + 0.001)) for i, ms in enumerate(starts)]
    make_recording(db, [event for life in lives for event in life], batch=1000)
    with closing(sqlite3.connect(db)) as connection, connection:
        views = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'view'").fetchall()
        for name, _ in views:
            connection.execute(f"DROP VIEW {name}")
        connection.execute("ALTER TABLE processes DROP COLUMN comm")
        connection.execute(f"ALTER TABLE processes ADD COLUMN comm TEXT GENERATED ALWAYS AS ({_LONG}) VIRTUAL")
        for _, sql in views:
            connection.execute(sql)
