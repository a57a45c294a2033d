"""What a recorded command came to: time, CPU, memory, failures, and what it left running. Reads; says it in lines."""

from __future__ import annotations

import sqlite3
from bisect import insort
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from ..model.process import RUNNING
from ..model.recording import Recording
from ..output import command_label
from ..output.units import duration, size
from .process_tree import FAMILY, OWN_PEAK, command_id, outcome

_SHOWN = 3  # of each list
_WIDTH = 50  # characters of a command line
_LEAVES, _OWN = "(of those that started nothing)", "(of those whose own peak is known)"
_NEVER = 2**63

# Of each only a few numbers, since a build is not done before its report is: of most, nothing else is told.
# Parents are looked up in a list that is made once; a subquery for each would look through all of them.
_FIGURES = f"""{FAMILY}
SELECT p.id, p.start_ns, p.end_ns, p.cpu_ns, p.max_rss_kib, p.status, p.state,
    p.id NOT IN (SELECT parent_id FROM processes WHERE recording_id = :recording AND parent_id IS NOT NULL) AS is_leaf
FROM family JOIN processes AS p ON p.id = family.id"""
_OWN_PEAK = f"SELECT {OWN_PEAK} FROM processes AS p WHERE id = ?"
_TOLD = """
SELECT pid, argv, comm, lifetime_ns, cpu_ns, max_rss_kib, exit_code, signal, state
FROM processes WHERE id = ?"""
_Row: TypeAlias = dict[str, Any]


class _First:
    """The ids of the first few by a number, of the same number the lower id; and how many there were."""

    def __init__(self, falling: bool = False) -> None:
        self.count = 0
        self._sign = -1 if falling else 1
        self._keys: list[tuple[int, int]] = []

    def add(self, number: int, id: int) -> None:
        self.count += 1
        insort(self._keys, (self._sign * number, id))
        del self._keys[_SHOWN:]

    def would_take(self, number: int, id: int) -> bool:
        """Whether it would be among them."""
        return len(self._keys) < _SHOWN or (self._sign * number, id) < self._keys[-1]

    @property
    def ids(self) -> list[int]:
        return [id for _, id in self._keys]


class _Family:
    """A command, and what is told of all that came of it."""

    def __init__(self, connection: sqlite3.Connection, recording: int, command: int) -> None:
        self.connection = connection
        self.processes = self.cpu_ns = 0
        self.slowest, self.busiest, self.largest = (_First(falling=True) for _ in range(3))
        self.failed, self.running = _First(), _First()
        figures = connection.execute(_FIGURES, {"recording": recording, "command": command})
        for id, start_ns, end_ns, cpu_ns, rss_kib, status, state, is_leaf in figures:
            self.processes += 1
            if cpu_ns:
                self.cpu_ns += cpu_ns
                self.busiest.add(cpu_ns, id)
            if rss_kib and self.largest.would_take(rss_kib, id) and self._is_its_own(id):
                self.largest.add(rss_kib, id)
            if is_leaf and id != command and end_ns is not None and end_ns > start_ns:
                self.slowest.add(end_ns - start_ns, id)
            if status:
                self.failed.add(_NEVER if end_ns is None else end_ns, id)
            if state == RUNNING:
                self.running.add(start_ns, id)

    def _is_its_own(self, id: int) -> bool:
        """Whether its peak is known to be that of its own program: the command's may be that of the recorder."""
        (own,) = self.connection.execute(_OWN_PEAK, [id]).fetchone()
        return own is not None

    def told(self, id: int) -> _Row:
        """What is told of one of them."""
        cursor = self.connection.execute(_TOLD, [id])
        return dict(zip((column[0] for column in cursor.description), cursor.fetchone(), strict=True))


def lines(connection: sqlite3.Connection, recording: Recording) -> Iterator[str]:
    """A report of a recording of a command, line by line. Nothing, if the command isn't in it (its fork was lost)."""
    command = command_id(connection, recording)
    if command is None:
        return
    family = _Family(connection, recording.id, command)
    failed, running = family.failed, family.running
    yield _whole(family, family.told(command))
    for title, found, value in (
        (f"slowest {_LEAVES}", family.slowest, lambda row: duration(row["lifetime_ns"])),
        ("most CPU", family.busiest, lambda row: duration(row["cpu_ns"])),
        (f"most memory {_OWN}", family.largest, lambda row: size(row["max_rss_kib"])),
        (f"failed: {failed.count:,}, first", failed, lambda row: f"({_how(row)})"),
        (f"STILL RUNNING: {running.count:,}", running, lambda row: f"(pid {row['pid']})"),
    ):
        yield from _listed(title, [family.told(id) for id in found.ids], value)


def _how(row: _Row) -> str:
    return outcome(row["exit_code"], row["signal"], row["state"])


def _whole(family: _Family, command: _Row) -> str:
    parts = [f"{_short(command)}: {_how(command)}"]
    wall_ns = command["lifetime_ns"]
    if wall_ns:
        parts[0] += f" after {duration(wall_ns)}"
    parts.append(f"{family.processes:,} process{'' if family.processes == 1 else 'es'}")
    if family.cpu_ns:
        busy = f" ({family.cpu_ns / wall_ns:.1f} cores busy)" if wall_ns else ""
        parts.append(f"CPU {duration(family.cpu_ns)}{busy}")
    return "; ".join(parts)


def _listed(title: str, found: list[_Row], value: Callable[[_Row], str]) -> Iterator[str]:
    if found:
        yield f"{title}: {'; '.join(f'{_short(row)} {value(row)}' for row in found)}"


def _short(row: _Row) -> str:
    return command_label.cut(command_label.title(row["argv"], row["comm"]), _WIDTH)
