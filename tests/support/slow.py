"""A recording on which queries take long: a sound one, but for a name that SQLite computes at length for each row."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from support import exit_, fork, make_recording

_LONG = "substr(hex(zeroblob(10000000 + pid % 2)), 1, 2)"  # some 30 ms; of a column, so that it is no constant


def make_slow(db: Path, processes: int = 3000) -> None:
    """Writes it: choices.json takes minutes, and so does window.json with a name to filter by; the rest is quick."""
    starts = [number / 10 for number in range(processes)]
    lives = [(fork(100 + i, ms), exit_(100 + i, ms, ms + 0.001)) for i, ms in enumerate(starts)]
    make_recording(db, [event for life in lives for event in life], batch=1000)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("ALTER TABLE processes DROP COLUMN comm")
        connection.execute(f"ALTER TABLE processes ADD COLUMN comm TEXT GENERATED ALWAYS AS ({_LONG}) VIRTUAL")
