"""Processes of a recording as slices on tracks: what the trace formats have in common.

A track is named after a program; processes of one name that overlap are in different lanes of it, as few as will do.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..model.events import as_text
from ..model.recording import Recording
from ..output import command_label
from ..progress import UNWATCHED, Work, counted, processes
from ..storage import data_dictionary
from ..storage.sql_macros import expand

_FOREVER = 1 << 62
_TITLE_CHARACTERS = 200  # without the mark of a failure
_ARGS_CHARACTERS = 4096  # of the command line in a slice's arguments

# What the slice itself shows, and what says little without the file.
_LEFT_OUT = {
    "id", "recording_id", "parent_id", "start_ns", "end_ns", "lifetime_ns", "comm", "argv", "argv_bytes", "execs",
    "status", "cgroup_id", "end_ppid", "kernel",
}  # fmt: skip
_SHOWN = tuple(column.name for column in data_dictionary.columns("processes") if column.name not in _LEFT_OUT)
ARGUMENTS = (*_SHOWN, "row")
"""What is said of each process, by column of the table processes; row: its id there."""
_FILENAME = ARGUMENTS.index("filename")
_FAILURE_FIELDS = [ARGUMENTS.index(name) for name in ("exit_code", "signal")]

_COLUMNS = ", ".join(f"substr(args, 1, {_ARGS_CHARACTERS})" if name == "args" else name for name in _SHOWN)


class Slice(NamedTuple):
    """One process. Times in Unix ns; end_ns None: it runs on; equal to start_ns: when it ended isn't known.

    title: as in webpf's timeline, with how it failed if it did. outcome: ok, failed, signalled, running or lost.
    lane: number of its lane, counted over all tracks from 0. values: in the order of ARGUMENTS.
    """

    track: str
    lane: int
    is_first: bool
    title: str
    outcome: str
    start_ns: int
    end_ns: int | None
    values: tuple[Any, ...]


def read_slices(
    connection: sqlite3.Connection, recording: int, earliest_ns: int = 0, work: Work = UNWATCHED
) -> Iterator[Slice]:
    """The slices of a recording in the order of their starts, without kernel threads.

    earliest_ns: those that start before start then.
    """
    lanes: dict[str, list[tuple[int, int]]] = {}  # of each track: from when each of its lanes is free
    last = -1
    sql = f"""SELECT comm, start_ns, end_ns, {_COLUMNS}, id, argv, outcome!(processes) FROM processes
        WHERE recording_id = ? AND is_counted!(processes) ORDER BY start_ns, id"""
    rows = connection.execute(expand(sql), [recording])
    for comm, start_ns, end_ns, *values, argv, outcome in counted(rows, work, processes(connection, recording)):
        track, start, end = command_label.name(argv, comm), max(start_ns, earliest_ns), end_ns
        if end is None and outcome != "running":
            end = start
        free = lanes.setdefault(track, [])
        is_first = not free or free[0][0] > start
        if is_first:
            lane = last = last + 1
        else:
            lane = heapq.heappop(free)[1]
        heapq.heappush(free, (_FOREVER if end is None else end, lane))
        mark = _failure_mark(*(values[index] for index in _FAILURE_FIELDS))
        title = command_label.cut(command_label.title(argv, comm), _TITLE_CHARACTERS) + mark
        values[_FILENAME] = as_text(values[_FILENAME])
        yield Slice(track, lane, is_first, title, outcome, start, end, tuple(values))


def _failure_mark(exit_code: int | None, signal: int | None) -> str:
    """What the title of a process that failed ends in; empty if it didn't fail."""
    if signal is not None:
        return f" ✗ signal {signal}"
    return f" ✗ exit {exit_code}" if exit_code else ""


def trace_zero_ns(connection: sqlite3.Connection, recording: Recording) -> int:
    """Unix ns at the zero of the trace's clock: the boot, or the first start if that is earlier (files are made up)."""
    sql = "SELECT min(start_ns) FROM processes WHERE recording_id = ?"
    first = connection.execute(sql, [recording.id]).fetchone()[0]
    return int(min(recording.clock_offset_ns or 0, recording.started_ns, _FOREVER if first is None else first))
