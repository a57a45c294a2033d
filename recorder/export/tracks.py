"""Arranges the processes of a recording as slices on tracks, for the trace formats.

There is one track per program name. Processes with the same name that overlap in time get different lanes of the
track; a track has as few lanes as possible.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..model.events import escape_bytes
from ..model.recording import Recording
from ..output import command_label
from ..progress import NO_PROGRESS, Progress, count_processes, report_rows
from ..storage import process_select
from ..storage.sql_macros import expand
from .environments import ProcessEnvironments

_FOREVER = 1 << 62
_TITLE_CHARACTERS = 200  # without the mark of a failure
_ARGS_CHARACTERS = 4096  # of the command line in a slice's arguments

# Columns that the slice itself shows, or that mean little outside of the file.
_LEFT_OUT = {
    "id", "recording_id", "parent_id", "start_ns", "exact", "end_ns", "lifetime_ns",
    "comm", "argv", "argv_bytes", "execs",
    "status", "outcome", "cgroup_id", "end_ppid", "kernel", "in_scope", "freed_ns",
}  # fmt: skip
_SHOWN = tuple(column.name for column in process_select.columns() if column.name not in _LEFT_OUT)
ARGUMENTS = (*_SHOWN, "row")
"""Names of a slice's arguments: columns of the table processes, and `row` for its id."""
_FILENAME, _ID = ARGUMENTS.index("filename"), ARGUMENTS.index("row")
_FAILURE_FIELDS = [ARGUMENTS.index(name) for name in ("exit_code", "signal")]

_SELECT = process_select.select(("comm", "start_ns", "end_ns", *_SHOWN, "id", "argv", "outcome")).replace(
    " c.args,", f" substr(c.args, 1, {_ARGS_CHARACTERS}),"
)


class Slice(NamedTuple):
    """The slice of one process.

    Times are in Unix ns. end_ns: None if the process was still running; start_ns if its end isn't known. title: as in
    webpf's timeline, with a mark if the process failed. outcome: ok, failed, signalled, running or lost. lane: number
    of the lane, counted from 0 across all tracks. is_first: whether it is the first slice in its lane. values: in the
    order of ARGUMENTS. environment: further arguments, by name: `env.PATH` for instance.
    """

    track: str
    lane: int
    is_first: bool
    title: str
    outcome: str
    start_ns: int
    end_ns: int | None
    values: tuple[Any, ...]
    environment: dict[str, str]


def read_slices(
    connection: sqlite3.Connection, recording: int, earliest_ns: int = 0, progress: Progress = NO_PROGRESS
) -> Iterator[Slice]:
    """Yields the slices of a recording in the order of their start times, without kernel threads.

    earliest_ns: slices that start earlier are clipped to this time (Unix ns).
    """
    lanes: dict[str, list[tuple[int, int]]] = {}  # by track: a heap of (the time from which a lane is free, the lane)
    last = -1
    environments = ProcessEnvironments(connection, recording)
    sql = f"{_SELECT} WHERE p.recording_id = ? AND is_counted!(p) ORDER BY p.start_ns, p.id"
    rows = connection.execute(expand(sql), [recording])
    for comm, start_ns, end_ns, *values, argv, outcome in report_rows(
        rows, progress, count_processes(connection, recording)
    ):
        track, start, end = command_label.display_name(argv, comm), max(start_ns, earliest_ns), end_ns
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
        title = command_label.cut(command_label.short_title(argv, comm), _TITLE_CHARACTERS) + mark
        values[_FILENAME] = escape_bytes(values[_FILENAME])
        environment = _environment_arguments(environments, values[_ID])
        yield Slice(track, lane, is_first, title, outcome, start, end, tuple(values), environment)


def _environment_arguments(environments: ProcessEnvironments, process_id: int) -> dict[str, str]:
    """Returns `env.NAME` for each variable that is set, and `env_unknown` with names."""
    values, unknown = environments.of_process(process_id)
    found = {f"env.{name}": value for name, value in values.items()}
    return found | ({"env_unknown": ", ".join(unknown)} if unknown else {})


def _failure_mark(exit_code: int | None, signal: int | None) -> str:
    """Returns the end of the title of a process that failed; empty if it didn't fail."""
    if signal is not None:
        return f" ✗ signal {signal}"
    return f" ✗ exit {exit_code}" if exit_code else ""


def trace_zero_ns(connection: sqlite3.Connection, recording: Recording) -> int:
    """Returns the Unix time in ns that is 0 in the trace: the boot, or the first start time if that is earlier.

    Start times before the boot occur in test data only.
    """
    sql = "SELECT min(start_ns) FROM processes WHERE recording_id = ?"
    first = connection.execute(sql, [recording.id]).fetchone()[0]
    boot = recording.started_ns if recording.clock_offset_ns is None else recording.clock_offset_ns
    return int(min(boot, recording.started_ns, _FOREVER if first is None else first))
