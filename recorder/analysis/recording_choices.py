"""The latest recordings of a file, as choices on a page."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from ..model.zone import Zone

MOST = 100


class Choice(NamedTuple):
    """A recording. label: its number, name, place in a chain and beginning, for people."""

    id: int
    label: str
    is_segment: bool


def latest(connection: sqlite3.Connection) -> list[Choice]:
    """Returns the latest recordings of the file, at most MOST, the latest first. A scope doesn't limit them."""
    rows = connection.execute(
        """SELECT id, name, started_ns, chain, segment, zone, utc_offset_s FROM main.recordings
        ORDER BY id DESC LIMIT ?""",
        [MOST],
    )
    found = []
    for id, name, started_ns, chain, segment, zone, offset in rows:
        started = Zone.of_recording({"zone": zone, "utc_offset_s": offset}).text(started_ns)
        title = f"{id}: {name}" if name else str(id)
        part = "" if chain is None else f", segment {segment} of chain {chain}"
        found.append(Choice(id, f"{title}{part}, {started}", chain is not None))
    return found
