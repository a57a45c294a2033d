"""How facts and processes become rows: their tables, columns and values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from . import argv
from .bulk import BulkInsert
from .events import Alive, Event, Exec, Exit, Fork, Free, Gone
from .process import Process, Program

TABLES: dict[type[Event], str] = {
    Fork: "forks",
    Exec: "programs",
    Exit: "exits",
    Free: "frees",
    Alive: "found",
    Gone: "missing",
}
"""The table of each kind of fact."""

_COLUMNS = (
    "id", "pid", "ppid", "parent_id", "start_ns", "end_ns", "state", "comm", "execs", "status", "uid", "cgroup_id",
    "max_rss_kib", "end_ppid", "kernel", "cpu_ns",
)  # fmt: skip
_ID_AND_PROCESS = ("id", "process_id")  # these come first in the row of a fact
_PROGRAM = ("filename", "args", "argv", "argv_bytes")
PROCESS_COLUMNS = _COLUMNS + _PROGRAM
"""All columns of `processes` but recording_id and what SQLite derives."""


def fact_insert(kind: type[Event], recording_id: int) -> BulkInsert:
    """Inserts rows of (id, process's id or 0, *fact)."""
    columns = (*_ID_AND_PROCESS, *kind._fields, "recording_id")
    owner = "nullif(?, 0)" if kind is Free else "?"
    return BulkInsert(TABLES[kind], columns, ["?", owner, *"?" * len(kind._fields), str(recording_id)])


Facts: TypeAlias = dict[type[Event], list[Any]]
"""Values for fact_insert by kind, row behind row: as one list, for so they are bound fastest."""


def flatten(events: Sequence[Event], first_id: int, owners: Iterable[int]) -> Facts:
    """The rows of facts numbered from first_id, each with its process's id (0: unknown)."""
    facts: Facts = {kind: [] for kind in TABLES}
    numbers = range(first_id, first_id + len(events))
    for event, number_and_owner in zip(events, zip(numbers, owners, strict=True), strict=True):
        values = facts[type(event)]
        values += number_and_owner
        values += event
    # For a bytearray sqlite3 looks for no adapter, as it does for bytes.
    facts[Exec][_column(Exec, "argv")] = [
        argv if argv is None else bytearray(argv) for argv in facts[Exec][_column(Exec, "argv")]
    ]
    return facts


def how_many(facts: Facts, kind: type[Event]) -> int:
    """Facts of one kind."""
    return len(facts[kind]) // _width(kind)


def payload_bytes(facts: Facts) -> int:
    """Bytes of the arguments and names that programs came with; each is in a row of its own, and in its process's."""
    argv = sum(len(argv) for argv in facts[Exec][_column(Exec, "argv")] if argv is not None)
    return 4 * argv + 2 * sum(map(len, facts[Exec][_column(Exec, "filename")]))


def cgroup_ids(facts: Facts) -> set[int]:
    """Of all that were born, and all that took on a program."""
    return {*facts[Fork][_column(Fork, "cgroup_id")], *facts[Exec][_column(Exec, "cgroup_id")]}


def directories(facts: Facts) -> dict[tuple[int, int], list[int]]:
    """Working directories in which programs were started (device, inode), each with pids that may be there.

    The first was; its parent often is.
    """
    columns = (facts[Exec][_column(Exec, field)] for field in ("cwd_device", "cwd_inode", "pid"))
    there = {(device, inode): pid for device, inode, pid in zip(*columns, strict=True) if inode is not None}
    if not there:
        return {}
    parents = dict(zip(facts[Fork][_column(Fork, "pid")], facts[Fork][_column(Fork, "ppid")], strict=True))
    return {numbers: [pid, *([parents[pid]] if pid in parents else [])] for numbers, pid in there.items()}


def _width(kind: type[Event]) -> int:
    return len(_ID_AND_PROCESS) + len(kind._fields)


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


def process_row(process: Process) -> tuple[Any, ...]:
    """Values for _COLUMNS. The last, the CPU time, often comes alone: by a free, some time after the end."""
    return (
        process.id, process.pid, process.ppid, process.parent_id, process.start_ns, process.end_ns, process.state,
        process.comm, process.execs, process.status, process.uid, process.cgroup_id,
        process.max_rss_kib, process.end_ppid, process.kernel, process.cpu_ns,
    )  # fmt: skip


def program_row(program: Program) -> tuple[Any, ...]:
    """Values for the columns of PROCESS_COLUMNS that are not those of process_row()."""
    filename, raw, argv_bytes = program
    if raw is None or argv_bytes is None:
        return (filename, None, None, argv_bytes)
    return (filename, argv.quote(raw, argv_bytes), bytearray(raw), argv_bytes)
