"""Turns events into rows: their tables, columns and values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

from ..model.events import ALL_KINDS, Event, Exec, Exit, Fork, Free
from ..model.process import Process
from . import command_ids, environment_ids
from .bulk_insert import BulkInsert
from .command_ids import CommandIds

TABLES: dict[type[Event], str] = {kind.type: kind.table for kind in ALL_KINDS}
"""The table of each kind of event."""

_ID_AND_PROCESS = ("id", "process_id")  # the first columns in the row of an event


def stored_fields(kind: type[Event]) -> tuple[str, ...]:
    """Returns the columns of an event, in the order of its fields: command_id replaces the fields of a command line."""
    fields = tuple(name for name in kind._fields if name != environment_ids.FIELD)
    if kind not in command_ids.KINDS:
        return fields
    at = fields.index(command_ids.FIELDS[0])
    return (*fields[:at], "command_id", *fields[at + len(command_ids.FIELDS) :])


_RARE_COLUMNS: dict[type[Event], tuple[str, ...]] = {
    Fork: ("execs", "begun", "ns_pid"),
    Exit: ("uid", "begun", "sid", "loginuid"),
}
"""The last columns of these kinds, which are NULL in most rows. Each NULL that is bound costs time."""


_DICT_VALUES = 3  # the memory of an entry of a dict, in that of a value in a list


@dataclass(frozen=True)
class EventRows:
    """Rows of events by kind: all values in one flat list, which is the fastest form to bind.

    plain: rows without _RARE_COLUMNS. full: rows with all columns. All rows of a kind are in one of the two.
    commands: rows of new command lines. command_ids: the ids of the command lines of all events that have one, by the
    id of the event. counts: how many events there are, by kind, also of kinds that have no rows here. environments,
    variables: see EnvironmentIds.rows_of().
    """

    plain: dict[type[Event], list[Any]]
    full: dict[type[Event], list[Any]]
    commands: list[Any]
    command_ids: dict[int, int | None]
    counts: Mapping[type[Event], int]
    environments: list[Any] = field(default_factory=list)
    variables: list[Any] = field(default_factory=list)

    def column(self, kind: type[Event], field: str) -> list[Any]:
        """Returns the values of a column; for a rare column, only those of the full rows."""
        at = len(_ID_AND_PROCESS) + stored_fields(kind).index(field)
        of_plain_rows = [] if field in _RARE_COLUMNS.get(kind, ()) else self.plain[kind][at :: _plain_width(kind)]
        return of_plain_rows + self.full[kind][at :: _width(kind)] if kind in _RARE_COLUMNS else of_plain_rows

    @property
    def value_count(self) -> int:
        """How many values all rows have together."""
        others = (self.commands, self.environments, self.variables)
        rows = sum(map(len, (*self.plain.values(), *self.full.values(), *others)))
        return rows + _DICT_VALUES * len(self.command_ids)


def event_inserts(recording_id: int) -> tuple[dict[type[Event], BulkInsert], dict[type[Event], BulkInsert]]:
    """Returns inserts for EventRows.plain and EventRows.full. Each row is (id, id of its process or 0, *event)."""

    def insert(kind: type[Event], fields: Sequence[str]) -> BulkInsert:
        owner = "nullif(?, 0)" if kind is Free else "?"
        values = ["?", owner, *"?" * len(fields), str(recording_id)]
        return BulkInsert(TABLES[kind], (*_ID_AND_PROCESS, *fields, "recording_id"), values)

    plain = {
        kind: insert(kind, [name for name in stored_fields(kind) if name not in _RARE_COLUMNS.get(kind, ())])
        for kind in TABLES
    }
    return plain, {kind: insert(kind, kind._fields) for kind in _RARE_COLUMNS}


def make_event_rows(
    events: Sequence[Event],
    first_id: int,
    owners: Iterable[int],
    commands: CommandIds,
    informative: Sequence[int] | None = None,
    left_out: Collection[type[Event]] = (),
    dropped: Collection[int] = (),
) -> EventRows:
    """Returns the rows of events, whose ids count up from first_id, each with the id of its process (0: unknown).

    commands: of the recording; it gets the new command lines and environments. informative: ids, in order, of the
    events whose _RARE_COLUMNS say more than earlier events did; default: all events. left_out: kinds of events that get
    no rows. dropped: ids of events of another recording, which are not counted either.
    """
    rows: dict[type[Event], list[Any]] = {kind: [] for kind in TABLES}
    numbers: Sequence[int] = range(first_id, first_id + len(events))
    if dropped:
        is_kept = [number not in dropped for number in numbers]
        events, owners = list(compress(events, is_kept)), list(compress(owners, is_kept))
        numbers = list(compress(numbers, is_kept))
    numbered = zip(events, zip(numbers, owners, strict=True), strict=True)
    kinds = [type(event) for event in events] if left_out else []
    for event, number_and_owner in compress(numbered, [k not in left_out for k in kinds]) if left_out else numbered:
        values = rows[type(event)]
        values += number_and_owner
        values += event
    counts = Counter(kinds) if left_out else {kind: len(values) // _full_width(kind) for kind, values in rows.items()}
    environments = environment_ids.take_column(rows[Exec], _full_width(Exec))
    ids: dict[int, int | None] = {}
    for kind in command_ids.KINDS:
        ids |= _replace_commands(kind, rows[kind], commands)
    informative = numbers if informative is None else informative
    full = {kind: _take_full(kind, rows[kind], informative) for kind in _RARE_COLUMNS}
    kept = commands.environments.rows_of(rows[Exec][:: _width(Exec)], environments)
    return EventRows(rows, full, commands.take_new(), ids, counts, *kept)


def _replace_commands(kind: type[Event], values: list[Any], commands: CommandIds) -> dict[int, int | None]:
    """Replaces the command lines in these rows by their ids. Returns the ids, by the ids of the events."""
    width = _width(kind) + len(command_ids.FIELDS) - 1
    first = len(_ID_AND_PROCESS) + kind._fields.index(command_ids.FIELDS[0])
    columns = range(first, first + len(command_ids.FIELDS))
    events = values[::width]
    found = commands.ids_of(events, zip(*(values[column::width] for column in columns), strict=True))
    values[first::width] = found
    for column in reversed(columns[1:]):  # a Python step per column, not per row
        del values[column::width]
        width -= 1
    return dict(zip(events, found, strict=True))


def _take_full(kind: type[Event], values: list[Any], informative: Sequence[int]) -> list[Any]:
    """Removes _RARE_COLUMNS from all rows; or all rows, and returns them whole, if one of these events is among them.

    A batch has rows of one shape only, because they must come in the order of their ids: else SQLite splits pages in
    the middle, and leaves room in both halves.
    """
    width, numbers = _width(kind), values[:: _width(kind)]
    rare = range(_plain_width(kind), width)
    known = set(informative).intersection(numbers)
    if not known:
        for column in reversed(rare):  # a Python step per column, not per row
            del values[column :: column + 1]
        return []
    full, values[:] = values[:], []
    for column in rare:
        pairs = zip(numbers, full[column::width], strict=True)
        full[column::width] = [value if number in known else None for number, value in pairs]
    return full


def payload_bytes(events: EventRows) -> int:
    """Returns about how many bytes of file names, arguments and environment variables get written."""
    width = len(command_ids.COLUMNS)
    filenames, argvs = (events.commands[command_ids.COLUMNS.index(name) :: width] for name in ("filename", "argv"))
    environments = environment_ids.payload_bytes(events.variables)
    return sum(map(len, filter(None, filenames))) + 2 * sum(map(len, filter(None, argvs))) + environments


def cgroup_ids(events: EventRows, processes: Iterable[Process]) -> set[int]:
    """Returns the cgroups in which these processes started or ran a program."""
    forked = events.column(Fork, "cgroup_id") or [process.cgroup_id for process in processes]
    return {*forked, *events.column(Exec, "cgroup_id")} - {None}


def working_directories(events: EventRows) -> set[tuple[int, int]]:
    """Returns the working directories in which programs started, as (device, inode)."""
    devices, inodes = (events.column(Exec, field) for field in ("cwd_device", "cwd_inode"))
    return {numbers for numbers in set(zip(devices, inodes, strict=True)) if numbers[1] is not None}


def pids_by_directory(
    events: EventRows, processes: Iterable[Process], wanted: Collection[tuple[int, int]]
) -> dict[tuple[int, int], list[int]]:
    """Returns for each of these working directories a pid that started there and its parent, often there too."""
    columns = (events.column(Exec, field) for field in ("cwd_device", "cwd_inode", "pid"))
    there = {numbers: pid for *pair, pid in zip(*columns, strict=True) if (numbers := (pair[0], pair[1])) in wanted}
    parents = {process.pid: process.ppid for process in processes if process.ppid is not None}
    return {numbers: [pid, *([parents[pid]] if pid in parents else [])] for numbers, pid in there.items()}


def _full_width(kind: type[Event]) -> int:
    """Returns the number of values in the row of an event with all its fields."""
    return len(_ID_AND_PROCESS) + len(kind._fields)


def _width(kind: type[Event]) -> int:
    return len(_ID_AND_PROCESS) + len(stored_fields(kind))


def _plain_width(kind: type[Event]) -> int:
    return _width(kind) - len(_RARE_COLUMNS.get(kind, ()))


def command_insert(recording_id: int) -> BulkInsert:
    """Returns an insert for EventRows.commands."""
    values = [*"?" * len(command_ids.COLUMNS), str(recording_id)]
    return BulkInsert("commands", (*command_ids.COLUMNS, "recording_id"), values)
