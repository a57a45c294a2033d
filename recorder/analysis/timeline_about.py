"""What a timeline's page says before its data: when the recording began, in which zone, and which others there are."""

from __future__ import annotations

import sqlite3

from ..model.recording import Recording
from ..model.zone import Zone
from . import process_tree
from .timeline_view import Row, length_ns

MOST_RECORDINGS = 100


def about(connection: sqlite3.Connection, recording: Recording) -> Row:
    """Returns length and beginning of a recording in ms (the latter in Unix time), its zone, and all recordings.

    utc_offset_s: of the zone at the beginning.
    """
    begin = process_tree.begin_ns(connection, recording)
    zone = Zone.of_recording(recording.row)
    offset = zone.local(begin).utcoffset()
    return {
        "length_ms": length_ns(connection, recording) / 1e6,
        "begin_ms": begin / 1e6,
        "zone": zone.name,
        "utc_offset_s": 0 if offset is None else round(offset.total_seconds()),
        "recordings": _latest(connection),
    }


def _latest(connection: sqlite3.Connection) -> list[Row]:
    """Returns the latest recordings of the file, the latest first: id and label. A scope doesn't limit them."""
    rows = connection.execute(
        """SELECT id, name, started_ns, chain, segment, zone, utc_offset_s FROM main.recordings
        ORDER BY id DESC LIMIT ?""",
        [MOST_RECORDINGS],
    )
    found = []
    for id, name, started_ns, chain, segment, zone, offset in rows:
        started = Zone.of_recording({"zone": zone, "utc_offset_s": offset}).text(started_ns)
        title = f"{id}: {name}" if name else str(id)
        part = "" if chain is None else f", segment {segment} of chain {chain}"
        found.append({"id": id, "label": f"{title}{part}, {started}", "is_segment": chain is not None})
    return found
