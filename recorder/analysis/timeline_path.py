"""The critical path of a recording, as the timeline draws it."""

from __future__ import annotations

import sqlite3

from ..errors import UsageError
from ..model.recording import Recording
from ..storage.sql_macros import expand
from . import process_tree, report
from .timeline_rows import ARGS
from .timeline_view import Row

MOST_PROCESSES = 200_000
"""The path of more processes would take longer than a page waits."""
MOST_SECTIONS = 5000


def critical_path(connection: sqlite3.Connection, recording: Recording) -> Row:
    """Returns the sections of the critical path of `webpf report` in order of time, in ms from begin_ns().

    Of more than MOST_SECTIONS, the longest. Raises UsageError if there are more than MOST_PROCESSES processes.
    """
    sql = expand("SELECT count(*) FROM processes WHERE recording_id = ? AND is_counted!(processes)")
    count = connection.execute(sql, [recording.id]).fetchone()[0]
    if count > MOST_PROCESSES:
        raise UsageError(f"{count:,} processes are too many for the critical path", "webpf report")
    begin = process_tree.begin_ns(connection, recording)
    sections = report.read_critical_path(connection, recording)
    longest = sorted(sections, key=lambda section: -section.duration_ns)[:MOST_SECTIONS]
    return {
        "sections": [
            {
                "id": each.node.id,
                "title": each.node.title[:ARGS],
                "start_ms": (each.start_ns - begin) / 1e6,
                "end_ms": (each.end_ns - begin) / 1e6,
            }
            for each in sorted(longest, key=lambda section: section.start_ns)
        ]
    }
