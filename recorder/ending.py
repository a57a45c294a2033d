"""What a recorded command came to: time, CPU, memory, failures, and what it left running. Reads; says it in lines."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from . import activity
from .family import FAMILY, command_id, outcome, shortened
from .process import RUNNING
from .terminal import duration

_SHOWN = 3  # of each list
_WIDTH = 50  # characters of a command line

# Whose parent_id is looked up in a list that is made once; a subquery for each would look through all of them.
_PROCESSES = f"""{FAMILY}
SELECT p.*, coalesce(p.args, p.comm, '?') AS line, p.id = :command AS is_command,
    (SELECT max(carried_rss_kib) FROM programs WHERE process_id = p.id) AS carried_rss_kib,
    p.id NOT IN (SELECT parent_id FROM processes WHERE recording_id = :recording AND parent_id IS NOT NULL) AS is_leaf
FROM family JOIN processes AS p ON p.id = family.id ORDER BY p.id
"""
_Row: TypeAlias = dict[str, Any]


class _First:
    """The first few of rows by a number, and how many there were. A recording may have millions."""

    def __init__(self, by: str, falling: bool = False) -> None:
        self.count = 0
        self._by = by
        self._sign = -1 if falling else 1
        self._rows: list[_Row] = []

    def add(self, row: _Row) -> None:
        self.count += 1
        self._rows.append(row)
        if len(self._rows) > 100:
            self._rows = self.rows

    @property
    def rows(self) -> list[_Row]:
        return heapq.nsmallest(_SHOWN, self._rows, key=lambda row: self._sign * row[self._by])


class _Family:
    """A command, and what is told of all that came of it."""

    def __init__(self) -> None:
        self.command: _Row = {}
        self.processes = self.cpu_ns = 0
        self.slowest = _First("lifetime_ns", falling=True)
        self.busiest = _First("cpu_ns", falling=True)
        self.largest = _First("max_rss_kib", falling=True)
        self.failed = _First("end_ns")
        self.running = _First("start_ns")

    def add(self, row: _Row) -> None:
        self.processes += 1
        if row["cpu_ns"]:
            self.cpu_ns += row["cpu_ns"]
            self.busiest.add(row)
        # No more than what its old image had: then its own peak isn't known. Of the command, that was the recorder.
        if (row["max_rss_kib"] or 0) > (row["carried_rss_kib"] or 0):
            self.largest.add(row)
        if row["is_command"]:
            self.command = row
        else:
            self._add_other(row)

    def _add_other(self, row: _Row) -> None:
        if row["is_leaf"] and row["lifetime_ns"]:
            self.slowest.add(row)
        if row["status"]:
            self.failed.add(row)
        if row["state"] == RUNNING:
            self.running.add(row)


def lines(connection: sqlite3.Connection, recording: int) -> Iterator[str]:
    """A report of a recording of a command, line by line. Nothing, if the command isn't in it (its fork was lost)."""
    number = command_id(connection, recording)
    if number is None:
        return
    cursor = connection.execute(_PROCESSES, {"recording": recording, "command": number})
    columns = [column[0] for column in cursor.description]
    family = _Family()
    for values in cursor:
        family.add(dict(zip(columns, values, strict=True)))
    yield _whole(family)
    yield from _listed("slowest", family.slowest, lambda row: duration(row["lifetime_ns"] / 1e9))
    yield from _listed("most CPU", family.busiest, lambda row: duration(row["cpu_ns"] / 1e9))
    yield from _listed("most memory", family.largest, lambda row: f"{row['max_rss_kib'] / 1024:,.0f} MiB")
    failed, running = family.failed, family.running
    yield from _listed(f"failed: {failed.count:,}, first", failed, lambda row: f"({_how(row)})")
    yield from _listed(f"STILL RUNNING: {running.count:,}", running, lambda row: f"(pid {row['pid']})")


def _how(row: _Row) -> str:
    return outcome(row["exit_code"], row["signal"], row["state"])


def _whole(family: _Family) -> str:
    parts = [f"{_short(family.command)}: {_how(family.command)}"]
    wall_ns = family.command["lifetime_ns"]
    if wall_ns:
        parts[0] += f" after {duration(wall_ns / 1e9)}"
    parts.append(f"{family.processes:,} process{'' if family.processes == 1 else 'es'}")
    if family.cpu_ns:
        busy = f" ({family.cpu_ns / wall_ns:.1f} cores busy)" if wall_ns else ""
        parts.append(f"CPU {duration(family.cpu_ns / 1e9)}{busy}")
    return "; ".join(parts)


def _listed(title: str, found: _First, value: Callable[[_Row], str]) -> Iterator[str]:
    texts = [f"{_short(row)} {value(row)}" for row in found.rows]
    if texts:
        yield f"{title}: {'; '.join(texts)}"


def _short(row: _Row) -> str:
    return shortened(activity.title(row["argv"], str(row["line"])), _WIDTH)
