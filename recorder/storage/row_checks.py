"""What `webpf verify` checks of a recording without raw events: its processes, against its counts and its programs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from ..model.events import ALL_KINDS, OPTIONAL_KINDS
from ..model.recording import COMPLETE, DELETED, Recording

TABLES = tuple(kind.table for kind in ALL_KINDS if kind.type in OPTIONAL_KINDS)
"""The tables that have no rows of such a recording."""

NOT_CHECKED = "whether forks, exits and frees were paired right: it has no raw events"
"""What isn't checked."""


def not_checked(recording: Recording) -> str | None:
    """Returns what verify doesn't check in a recording; None: it checks everything."""
    if recording.options.get(DELETED):
        return "all: it is being deleted; webpf delete ends that"
    return None if recording.has_raw_events else NOT_CHECKED


# A process can have two exits (before Linux 6.16), and a free can be of a process that ended before the recording. So
# these are bounds.
_IN_PROCESSES = "SELECT count(*), count(end_ns), count(freed_ns) FROM processes WHERE recording_id = ?"

_OF_PROGRAMS = """SELECT count(*) FROM (
    SELECT process_id, count(*) AS programs, max(id), command_id, carried_rss_kib
    FROM programs WHERE recording_id = ?1 GROUP BY process_id
) AS latest JOIN processes AS p ON p.id = latest.process_id
WHERE p.recording_id IS NOT ?1 OR ifnull(p.execs, 0) < latest.programs OR p.command_id IS NOT latest.command_id
    OR p.carried_rss_kib IS NOT latest.carried_rss_kib"""


def find_mismatches(connection: sqlite3.Connection, recording: Recording) -> Iterator[str]:
    """Yields what is wrong in the processes of a recording without raw events."""
    processes, ended, freed = connection.execute(_IN_PROCESSES, [recording.id]).fetchone()
    if recording.status == COMPLETE:
        written = {kind: counts.written or 0 for kind, counts in recording.counts.items()}
        if processes < written["fork"]:
            yield f"processes: there are {processes}, but {written['fork']} forks were seen"
        if ended > written["exit"]:
            yield f"processes: {ended} have an end, but only {written['exit']} exits were seen"
        if freed > written["free"]:
            yield f"processes: {freed} were freed, but only {written['free']} frees were seen"
    [wrong] = connection.execute(_OF_PROGRAMS, [recording.id]).fetchone()
    if wrong:
        yield f"processes: {wrong} rows don't follow from their programs"
    for table in TABLES:
        [rest] = connection.execute(f"SELECT count(*) FROM {table} WHERE recording_id = ?", [recording.id]).fetchone()
        if rest:
            yield f"{table}: the table has {rest}, but webpf compact should have dropped them all: run it again"
