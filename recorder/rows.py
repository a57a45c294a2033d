"""How facts and processes become rows: their tables, columns and values."""

from __future__ import annotations

from typing import Any

from . import argv
from .bulk import BulkInsert
from .events import Alive, Event, Exec, Exit, Fork, Free, Gone
from .lifetimes import Process

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
    "cpu_ns", "max_rss_kib", "end_ppid", "kernel",
)  # fmt: skip
_ARGV = 2 + Exec._fields.index("argv")  # in the row of an exec: id and process come first
_PROGRAM = ("filename", "args", "argv", "argv_bytes")


def fact_insert(kind: type[Event], recording_id: int) -> BulkInsert:
    """Inserts rows of (id, process's id or 0, *fact)."""
    columns = ("id", "process_id", *kind._fields, "recording_id")
    owner = "nullif(?, 0)" if kind is Free else "?"
    return BulkInsert(TABLES[kind], columns, ["?", owner, *"?" * len(kind._fields), str(recording_id)])


def process_inserts(recording_id: int, verb: str) -> tuple[BulkInsert, BulkInsert]:
    """For processes without a program of their own, and with one."""
    return (
        BulkInsert("processes", (*_COLUMNS, "recording_id"), [*"?" * len(_COLUMNS), str(recording_id)], verb),
        BulkInsert(
            "processes",
            (*_COLUMNS, *_PROGRAM, "recording_id"),
            [*"?" * len(_COLUMNS + _PROGRAM), str(recording_id)],
            verb,
        ),
    )


def process_row(process: Process) -> tuple[Any, ...]:
    """Values for _COLUMNS."""
    return (
        process.id, process.pid, process.ppid, process.parent_id, process.start_ns, process.end_ns, process.state,
        process.comm, process.execs, process.status, process.uid, process.cgroup_id, process.cpu_ns,
        process.max_rss_kib, process.end_ppid, process.kernel,
    )  # fmt: skip


def exec_row(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row of an exec with argv as sqlite3 binds it fastest: for a bytearray it looks for no adapter."""
    if row[_ARGV] is None:
        return row
    return (*row[:_ARGV], bytearray(row[_ARGV]), *row[_ARGV + 1 :])


def program_row(process: Process) -> tuple[Any, ...]:
    """Values for _PROGRAM."""
    if process.argv is None or process.argv_bytes is None:
        return (process.filename, None, None, process.argv_bytes)
    return (process.filename, argv.quote(process.argv, process.argv_bytes), bytearray(process.argv), process.argv_bytes)
