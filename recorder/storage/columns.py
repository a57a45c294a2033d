"""How events and processes become rows: their tables, columns and values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Any

from ..model import argv
from ..model.events import ALL_KINDS, Event, Exec, Exit, Fork, Free
from ..model.process import Process, Program
from . import data_dictionary
from .bulk_insert import BulkInsert

TABLES: dict[type[Event], str] = {kind.type: kind.table for kind in ALL_KINDS}
"""The table of each kind of event."""

_ID_AND_PROCESS = ("id", "process_id")  # these come first in the row of an event
_PROGRAM = ("filename", "args", "argv", "argv_bytes")  # of its latest program: long, and written once for each
OF_FREE = ("cpu_ns",)
"""Columns of a process that its free brings: often alone, some time after its end."""


def _of_process() -> tuple[str, ...]:
    """The other columns of `processes`; those that come with its free are the last."""
    columns = [column.name for column in data_dictionary.stored_columns("processes")]
    first = [name for name in columns if name not in ("recording_id", *_PROGRAM, *OF_FREE)]
    return (*first, *OF_FREE)


_COLUMNS = _of_process()
PROCESS_COLUMNS = _COLUMNS + _PROGRAM
"""All columns of `processes` but recording_id and what SQLite derives."""


_RARE: dict[type[Event], tuple[str, ...]] = {Fork: ("execs", "begun"), Exit: ("uid", "begun")}
"""The last columns of these kinds, which are NULL in nearly all rows: who binds a value for each pays for it."""


@dataclass(frozen=True)
class Facts:
    """Rows of events by kind, row behind row: as one list, for so they are bound fastest.

    plain: without the columns in _RARE. whole: with all columns, the few rows in which those say something.
    """

    plain: dict[type[Event], list[Any]]
    whole: dict[type[Event], list[Any]]

    def column(self, kind: type[Event], field: str) -> list[Any]:
        """Its values; of one that is in _RARE, only those of whole rows."""
        at = len(_ID_AND_PROCESS) + kind._fields.index(field)
        of_plain = [] if field in _RARE.get(kind, ()) else self.plain[kind][at :: _plain_width(kind)]
        return of_plain + self.whole[kind][at :: _width(kind)] if kind in _RARE else of_plain

    def how_many(self, kind: type[Event]) -> int:
        """Events of one kind."""
        plain = len(self.plain[kind]) // _plain_width(kind)
        return plain + len(self.whole[kind]) // _width(kind) if kind in _RARE else plain

    @property
    def values(self) -> int:
        """How many values they have."""
        return sum(map(len, (*self.plain.values(), *self.whole.values())))


def fact_inserts(recording_id: int) -> tuple[dict[type[Event], BulkInsert], dict[type[Event], BulkInsert]]:
    """Inserts for the rows of Facts.plain and Facts.whole: of (id, process's id or 0, *event)."""

    def insert(kind: type[Event], fields: Sequence[str]) -> BulkInsert:
        owner = "nullif(?, 0)" if kind is Free else "?"
        values = ["?", owner, *"?" * len(fields), str(recording_id)]
        return BulkInsert(TABLES[kind], (*_ID_AND_PROCESS, *fields, "recording_id"), values)

    plain = {kind: insert(kind, [name for name in kind._fields if name not in _RARE.get(kind, ())]) for kind in TABLES}
    return plain, {kind: insert(kind, kind._fields) for kind in _RARE}


def flatten(
    events: Sequence[Event], first_id: int, owners: Iterable[int], telling: Sequence[int] | None = None
) -> Facts:
    """The rows of events numbered from first_id, each with its process's id (0: unknown).

    telling: numbers, in order, of those whose columns in _RARE say what the events before them don't; default: all.
    """
    rows: dict[type[Event], list[Any]] = {kind: [] for kind in TABLES}
    numbers = range(first_id, first_id + len(events))
    for event, number_and_owner in zip(events, zip(numbers, owners, strict=True), strict=True):
        values = rows[type(event)]
        values += number_and_owner
        values += event
    # For a bytearray sqlite3 looks for no adapter, as it does for bytes.
    rows[Exec][_column(Exec, "argv")] = [
        argv if argv is None else bytearray(argv) for argv in rows[Exec][_column(Exec, "argv")]
    ]
    telling = numbers if telling is None else telling
    whole = {kind: _take_whole(kind, rows[kind], telling) for kind in _RARE}
    return Facts(rows, whole)


def _take_whole(kind: type[Event], values: list[Any], telling: Sequence[int]) -> list[Any]:
    """Takes the rows of these events, in the order of their numbers, and the columns in _RARE out of all others."""
    width = _width(kind)
    whole: list[Any] = []
    if telling:
        plain: list[Any] = []
        numbers = {number: row for row, number in enumerate(values[::width])}
        rows = [numbers[number] for number in telling if number in numbers]
        for before, row in pairwise((-1, *rows, len(numbers))):
            plain += values[(before + 1) * width : row * width]
            whole += values[row * width : (row + 1) * width]
        values[:] = plain
    for column in reversed(range(_plain_width(kind), width)):  # a step of Python's for each column, not for each row
        del values[column :: column + 1]
    return whole


def payload_bytes(facts: Facts) -> int:
    """Bytes of the arguments and names that programs came with; each is in a row of its own, and in its process's."""
    argv = sum(map(len, filter(None, facts.column(Exec, "argv"))))
    return 4 * argv + 2 * sum(map(len, facts.column(Exec, "filename")))


def cgroup_ids(facts: Facts) -> set[int]:
    """Of all that were born, and all that took on a program."""
    return {*facts.column(Fork, "cgroup_id"), *facts.column(Exec, "cgroup_id")}


def directories(facts: Facts) -> set[tuple[int, int]]:
    """Working directories in which programs were started: (device, inode)."""
    devices, inodes = (facts.column(Exec, field) for field in ("cwd_device", "cwd_inode"))
    return {numbers for numbers in set(zip(devices, inodes, strict=True)) if numbers[1] is not None}


def pids_in(facts: Facts, wanted: Collection[tuple[int, int]]) -> dict[tuple[int, int], list[int]]:
    """For each of these working directories pids that may be there: one that was, and its parent, which often is."""
    columns = (facts.column(Exec, field) for field in ("cwd_device", "cwd_inode", "pid"))
    there = {numbers: pid for *pair, pid in zip(*columns, strict=True) if (numbers := (pair[0], pair[1])) in wanted}
    parents = dict(zip(facts.column(Fork, "pid"), facts.column(Fork, "ppid"), strict=True))
    return {numbers: [pid, *([parents[pid]] if pid in parents else [])] for numbers, pid in there.items()}


def _width(kind: type[Event]) -> int:
    return len(_ID_AND_PROCESS) + len(kind._fields)


def _plain_width(kind: type[Event]) -> int:
    return _width(kind) - len(_RARE.get(kind, ()))


def _column(kind: type[Event], field: str) -> slice:
    return slice(len(_ID_AND_PROCESS) + kind._fields.index(field), None, _width(kind))


def process_inserts(recording_id: int, replaces: bool) -> tuple[BulkInsert, BulkInsert]:
    """For processes without a program, and with one. replaces: these columns of rows that are there already."""

    def insert(columns: Sequence[str]) -> BulkInsert:
        values = [*"?" * len(columns), str(recording_id)]
        changes = ", ".join(f"{column} = excluded.{column}" for column in columns[1:])
        conflict = f"ON CONFLICT (id) DO UPDATE SET {changes}" if replaces else ""
        return BulkInsert("processes", (*columns, "recording_id"), values, conflict)

    return insert(_COLUMNS), insert(PROCESS_COLUMNS)


NO_PROGRAM: Program = (None, None, None)
"""That of a process of which none is known."""


process_row: Callable[[Process], tuple[Any, ...]] = attrgetter(*_COLUMNS)
"""Values for the columns of a process but those of its program; the last are those that its free brings."""


def program_row(program: Program) -> tuple[Any, ...]:
    """Values for the columns of PROCESS_COLUMNS that process_row() leaves out."""
    filename, raw, argv_bytes = program
    if raw is None or argv_bytes is None:
        return (filename, None, None, argv_bytes)
    return (filename, argv.quote(raw, argv_bytes), bytearray(raw), argv_bytes)
