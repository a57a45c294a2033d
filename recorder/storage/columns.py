"""Turns events and processes into rows: their tables, columns and values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Any

from ..model import argv
from ..model.events import ALL_KINDS, Event, Exec, Exit, Fork, Free
from ..model.process import COSTS, Process, Program
from . import data_dictionary
from .bulk_insert import BulkInsert

TABLES: dict[type[Event], str] = {kind.type: kind.table for kind in ALL_KINDS}
"""The table of each kind of event."""

_ID_AND_PROCESS = ("id", "process_id")  # the first columns in the row of an event
_PROGRAM_COLUMNS = (
    "filename",
    "args",
    "argv",
    "argv_bytes",
)  # of the latest program: long, so written once per program
FREE_COLUMNS = ("freed_ns", *COSTS)
"""Columns of a process that its free event sets. This is often the only change, some time after the end."""


def _process_columns() -> tuple[str, ...]:
    """Returns the other stored columns of `processes`, FREE_COLUMNS last."""
    columns = [column.name for column in data_dictionary.stored_columns("processes")]
    first = [name for name in columns if name not in ("recording_id", *_PROGRAM_COLUMNS, *FREE_COLUMNS)]
    return (*first, *FREE_COLUMNS)


_FIRST_COLUMNS = _process_columns()
PROCESS_COLUMNS = _FIRST_COLUMNS + _PROGRAM_COLUMNS
"""All columns of `processes` except recording_id and generated columns."""


_RARE_COLUMNS: dict[type[Event], tuple[str, ...]] = {
    Fork: ("execs", "begun", "ns_pid"),
    Exit: ("uid", "begun", "sid", "loginuid"),
}
"""The last columns of these kinds, which are NULL in most rows. Each NULL that is bound costs time."""


@dataclass(frozen=True)
class EventRows:
    """Rows of events by kind: all values in one flat list, which is the fastest form to bind.

    plain: rows without _RARE_COLUMNS. full: rows with all columns, for the few events that need them.
    """

    plain: dict[type[Event], list[Any]]
    full: dict[type[Event], list[Any]]

    def column(self, kind: type[Event], field: str) -> list[Any]:
        """Returns the values of a column; for a rare column, only those of the full rows."""
        at = len(_ID_AND_PROCESS) + kind._fields.index(field)
        of_plain_rows = [] if field in _RARE_COLUMNS.get(kind, ()) else self.plain[kind][at :: _plain_width(kind)]
        return of_plain_rows + self.full[kind][at :: _width(kind)] if kind in _RARE_COLUMNS else of_plain_rows

    def count(self, kind: type[Event]) -> int:
        """Returns how many events of a kind there are."""
        plain = len(self.plain[kind]) // _plain_width(kind)
        return plain + len(self.full[kind]) // _width(kind) if kind in _RARE_COLUMNS else plain

    @property
    def value_count(self) -> int:
        """How many values all rows have together."""
        return sum(map(len, (*self.plain.values(), *self.full.values())))


def event_inserts(recording_id: int) -> tuple[dict[type[Event], BulkInsert], dict[type[Event], BulkInsert]]:
    """Returns inserts for EventRows.plain and EventRows.full. Each row is (id, id of its process or 0, *event)."""

    def insert(kind: type[Event], fields: Sequence[str]) -> BulkInsert:
        owner = "nullif(?, 0)" if kind is Free else "?"
        values = ["?", owner, *"?" * len(fields), str(recording_id)]
        return BulkInsert(TABLES[kind], (*_ID_AND_PROCESS, *fields, "recording_id"), values)

    plain = {
        kind: insert(kind, [name for name in kind._fields if name not in _RARE_COLUMNS.get(kind, ())])
        for kind in TABLES
    }
    return plain, {kind: insert(kind, kind._fields) for kind in _RARE_COLUMNS}


def make_event_rows(
    events: Sequence[Event], first_id: int, owners: Iterable[int], informative: Sequence[int] | None = None
) -> EventRows:
    """Returns the rows of events, whose ids count up from first_id, each with the id of its process (0: unknown).

    informative: ids, in order, of the events whose _RARE_COLUMNS say more than earlier events did; default: all events.
    """
    rows: dict[type[Event], list[Any]] = {kind: [] for kind in TABLES}
    numbers = range(first_id, first_id + len(events))
    for event, number_and_owner in zip(events, zip(numbers, owners, strict=True), strict=True):
        values = rows[type(event)]
        values += number_and_owner
        values += event
    # sqlite3 binds a bytearray faster than bytes: it doesn't search for an adapter.
    rows[Exec][_column(Exec, "argv")] = [
        argv if argv is None else bytearray(argv) for argv in rows[Exec][_column(Exec, "argv")]
    ]
    informative = numbers if informative is None else informative
    full = {kind: _take_full(kind, rows[kind], informative) for kind in _RARE_COLUMNS}
    return EventRows(rows, full)


def _take_full(kind: type[Event], values: list[Any], informative: Sequence[int]) -> list[Any]:
    """Removes the rows of these events and returns them; removes _RARE_COLUMNS from all other rows."""
    width = _width(kind)
    full: list[Any] = []
    if informative:
        plain: list[Any] = []
        numbers = {number: row for row, number in enumerate(values[::width])}
        rows = [numbers[number] for number in informative if number in numbers]
        for before, row in pairwise((-1, *rows, len(numbers))):
            plain += values[(before + 1) * width : row * width]
            full += values[row * width : (row + 1) * width]
        values[:] = plain
    for column in reversed(range(_plain_width(kind), width)):  # a Python step per column, not per row
        del values[column :: column + 1]
    return full


def payload_bytes(events: EventRows) -> int:
    """Returns how many bytes of argv and file names get written: each to the exec's row and to its process's row."""
    argv = sum(map(len, filter(None, events.column(Exec, "argv"))))
    return 4 * argv + 2 * sum(map(len, events.column(Exec, "filename")))


def cgroup_ids(events: EventRows) -> set[int]:
    """Returns the cgroups in which processes started or ran a program."""
    return {*events.column(Fork, "cgroup_id"), *events.column(Exec, "cgroup_id")}


def working_directories(events: EventRows) -> set[tuple[int, int]]:
    """Returns the working directories in which programs started, as (device, inode)."""
    devices, inodes = (events.column(Exec, field) for field in ("cwd_device", "cwd_inode"))
    return {numbers for numbers in set(zip(devices, inodes, strict=True)) if numbers[1] is not None}


def pids_by_directory(events: EventRows, wanted: Collection[tuple[int, int]]) -> dict[tuple[int, int], list[int]]:
    """Returns for each of these working directories a pid that started there and its parent, often there too."""
    columns = (events.column(Exec, field) for field in ("cwd_device", "cwd_inode", "pid"))
    there = {numbers: pid for *pair, pid in zip(*columns, strict=True) if (numbers := (pair[0], pair[1])) in wanted}
    parents = dict(zip(events.column(Fork, "pid"), events.column(Fork, "ppid"), strict=True))
    return {numbers: [pid, *([parents[pid]] if pid in parents else [])] for numbers, pid in there.items()}


def _width(kind: type[Event]) -> int:
    return len(_ID_AND_PROCESS) + len(kind._fields)


def _plain_width(kind: type[Event]) -> int:
    return _width(kind) - len(_RARE_COLUMNS.get(kind, ()))


def _column(kind: type[Event], field: str) -> slice:
    return slice(len(_ID_AND_PROCESS) + kind._fields.index(field), None, _width(kind))


def process_inserts(recording_id: int, replaces: bool) -> tuple[BulkInsert, ...]:
    """Returns inserts for processes whose costs are unknown, without and with a new program; and the same with costs.

    replaces: update rows that already exist.
    """

    def insert(columns: Sequence[str]) -> BulkInsert:
        values = [*"?" * len(columns), str(recording_id)]
        changes = ", ".join(f"{column} = excluded.{column}" for column in columns[1:])
        conflict = f"ON CONFLICT (id) DO UPDATE SET {changes}" if replaces else ""
        return BulkInsert("processes", (*columns, "recording_id"), values, conflict)

    before_costs = _FIRST_COLUMNS[: -len(FREE_COLUMNS)]
    shapes = (before_costs, before_costs + _PROGRAM_COLUMNS, _FIRST_COLUMNS, PROCESS_COLUMNS)
    return tuple(insert(columns) for columns in shapes)


NO_PROGRAM: Program = (None, None, None)
"""The program of a process for which none is known."""


_values: Callable[[Process], tuple[Any, ...]] = attrgetter(*_FIRST_COLUMNS[: -len(COSTS)])


def process_row(process: Process) -> tuple[Any, ...]:
    """Returns the values of a process except those of its program; FREE_COLUMNS come last."""
    return _values(process) + process.costs


def program_row(program: Program) -> tuple[Any, ...]:
    """Returns the values for the columns of PROCESS_COLUMNS that process_row() leaves out."""
    filename, raw, argv_bytes = program
    if raw is None or argv_bytes is None:
        return (filename, None, None, argv_bytes)
    return (filename, argv.quote(raw, argv_bytes), bytearray(raw), argv_bytes)
