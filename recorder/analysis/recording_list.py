"""The recordings of a file as a list: what each recorded, how that ended, and how much of the file it takes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ..host import file_owner
from ..model.recording import Recording
from ..storage.sql_macros import expand
from . import process_tree

# What rows take in a file, in bytes, with their share of the indexes and of command lines: from replays of a million
# processes, which each forked, executed a program and ended.
_PROCESS_BYTES, _EXEC_BYTES, _EVENT_BYTES = 150, 80, 57

_COUNTS = expand(
    """SELECT p.recording_id, count(*), sum(p.start_ns >= r.started_ns)
    FROM processes AS p JOIN recordings AS r ON r.id = p.recording_id
    WHERE is_counted!(p)
    GROUP BY p.recording_id"""
)
_COMMAND = "SELECT exit_code, signal, outcome FROM processes WHERE id = ?"
_BEFORE_COMMAND = " -- "


@dataclass(frozen=True)
class ListedRecording:
    """A recording, or all segments of a chain as one. None: unknown.

    segments: how many there are; 1 if it is not a chain. latest: the recording, or the latest segment. command: what
    was recorded, or else the command line of the recorder. exit_code, signal, outcome: of a command that was recorded.
    processes: without kernel threads; one that lives through several segments counts once. size_bytes: the part of the
    file that it takes. size_is_exact: whether that is measured; else it is estimated from numbers of rows.
    """

    latest: Recording
    segments: int
    started_ns: int | None
    until_ns: int | None
    command: str | None
    exit_code: int | None
    signal: int | None
    outcome: str | None
    processes: int
    lost: int | None
    size_bytes: int
    size_is_exact: bool

    @property
    def length_ns(self) -> int | None:
        """The time from start to end; None if the file is damaged."""
        return None if self.started_ns is None or self.until_ns is None else self.until_ns - self.started_ns


def read(
    connection: sqlite3.Connection, path: Path, all_recordings: Sequence[Recording], each_segment: bool = False
) -> list[ListedRecording]:
    """Returns all recordings of a file as a list, in the order of their numbers.

    each_segment: list the segments of chains, and not just the chains.
    """
    counts = {id: (processes, started) for id, processes, started in connection.execute(_COUNTS)}
    weights = {each.id: _weight(each, counts.get(each.id, (0, 0))[0]) for each in all_recordings}
    file_bytes = _file_bytes(path)
    groups = [[each] for each in all_recordings] if each_segment else list(_chains(all_recordings))
    whole = sum(weights.values())
    return [
        _listed(
            connection,
            group,
            sum(counts.get(each.id, (0, 0))[each is not group[0]] or 0 for each in group),
            file_bytes if len(groups) == 1 else file_bytes * sum(weights[each.id] for each in group) // (whole or 1),
            len(groups) == 1,
        )
        for group in groups
    ]


def _chains(recordings: Iterable[Recording]) -> Iterator[list[Recording]]:
    """Yields the segments of each chain, and each other recording alone. Other recordings may lie between segments."""

    def key(each: Recording) -> int:
        chain = each.row.get("chain")
        return each.id if chain is None else int(chain)

    for _, group in groupby(sorted(recordings, key=lambda each: (key(each), each.id)), key):
        yield list(group)


def _listed(
    connection: sqlite3.Connection, group: Sequence[Recording], processes: int, size: int, is_exact: bool
) -> ListedRecording:
    latest = group[-1]
    command = process_tree.command_id(connection, latest)
    exit_code, signal, outcome = (
        (None, None, None) if command is None else connection.execute(_COMMAND, [command]).fetchone()
    )
    losses = [each.lost for each in group]
    return ListedRecording(
        latest, len(group), group[0].started_ns, latest.until_ns,
        _command(latest), exit_code, signal, outcome, processes,
        None if None in losses else sum(each or 0 for each in losses), size, is_exact,
    )  # fmt: skip


def _command(recording: Recording) -> str | None:
    line = recording.command
    if line is not None and recording.options.get("of") == "command":
        return line.partition(_BEFORE_COMMAND)[2] or line
    return line


def _weight(recording: Recording, processes: int) -> int:
    """Returns how much the rows of a recording take, in bytes, roughly."""
    written = {kind: counts.written or 0 for kind, counts in recording.counts.items()}
    execs = written.pop("exec", 0)
    events = sum(written.values()) if recording.has_raw_events else 0
    return processes * _PROCESS_BYTES + execs * _EXEC_BYTES + events * _EVENT_BYTES + 1


def _file_bytes(path: Path) -> int:
    """Returns the size of a file together with the log beside it."""
    log = Path(f"{path}{file_owner.SIDE_FILE_SUFFIXES[0]}")
    return sum(each.stat().st_size for each in (path, log) if each.exists())
