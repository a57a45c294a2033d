"""What a timeline's page says before its data: when the recording began, in which zone, and which others there are."""

from __future__ import annotations

import sqlite3

from ..model.recording import Recording
from ..model.zone import Zone
from . import process_tree, recording_choices
from .timeline_view import Row, length_ns


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
        "recordings": recording_choices.latest(connection),
    }
