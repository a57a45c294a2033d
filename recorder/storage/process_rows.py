"""The rows of processes in batches: which statement writes each of them, and with how few values.

Each value that is bound takes time, so columns that have one value in all rows of a shape are literals in its
statement. Most processes of a busy machine start, end and are freed within one batch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeAlias

from ..model.process import COSTS, EXITED, NO_COSTS, Process
from . import data_dictionary
from .bulk_insert import BulkInsert

Link: TypeAlias = tuple[int, int]
"""The id of a process whose parent became known late, and the id of the parent."""

FREE_COLUMNS = ("freed_ns", *COSTS)
"""Columns of a process that its free event sets. This is often the only change, some time after the end."""


def _process_columns() -> tuple[str, ...]:
    columns = [column.name for column in data_dictionary.stored_columns("processes")]
    return (*(name for name in columns if name not in ("recording_id", "in_scope", *FREE_COLUMNS)), *FREE_COLUMNS)


PROCESS_COLUMNS = _process_columns()
"""All columns of `processes` that follow from events, FREE_COLUMNS last: without recording_id and in_scope."""

_UNFREED_COLUMNS = PROCESS_COLUMNS[: -len(FREE_COLUMNS)]
_FREED = -len(FREE_COLUMNS)
_UPDATE_FREED = f"UPDATE processes SET {', '.join(f'{name} = ?' for name in FREE_COLUMNS)} WHERE id = ?"
_UPDATE_PARENT = "UPDATE processes SET parent_id = ?2 WHERE id = ?1"

_Getter: TypeAlias = Callable[[Process], tuple[Any, ...]]

_ENDED = {"exact": "1", "kernel": "0", "state": f"'{EXITED}'"}
_ENDED_CHILD = {**_ENDED, "execs": "0", "command_id": "NULL", "carried_rss_kib": "NULL"}
"""The literals in rows of processes that are new, have ended and are freed; a child runs the program of its parent."""


def _getter(literals: Mapping[str, str] = {}) -> _Getter:
    """Returns a function that reads the values of a row, without its costs and literals, from a process."""
    return attrgetter(*(name for name in PROCESS_COLUMNS[: -len(COSTS)] if name not in literals))


_values, _values_of_ended, _values_of_child = _getter(), _getter(_ENDED), _getter(_ENDED_CHILD)


def process_row(process: Process) -> tuple[Any, ...]:
    """Returns the values of a process, in the order of PROCESS_COLUMNS."""
    return _values(process) + process.costs


@dataclass
class ProcessRows:
    """Rows of processes in flat lists, by the statement that writes them.

    children, ended: rows with _ENDED_CHILD and with _ENDED as literals. new, known: rows that are new or in the file,
    each without and with FREE_COLUMNS. freed: known rows in which only FREE_COLUMNS change.
    """

    children: list[Any] = field(default_factory=list)
    ended: list[Any] = field(default_factory=list)
    new: tuple[list[Any], list[Any]] = field(default_factory=lambda: ([], []))
    known: tuple[list[Any], list[Any]] = field(default_factory=lambda: ([], []))
    freed: list[tuple[Any, ...]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    @property
    def value_count(self) -> int:
        """How many values all rows have together."""
        changes = len(self.freed) * (len(FREE_COLUMNS) + 1) + 2 * len(self.links)
        return sum(map(len, (self.children, self.ended, *self.new, *self.known))) + changes


class ProcessInserts:
    """The statements that write the processes of one recording."""

    def __init__(self, recording_id: int) -> None:
        def insert(
            columns: Iterable[str] = PROCESS_COLUMNS,
            literals: Mapping[str, str] = {},
            replaces: bool = False,
        ) -> BulkInsert:
            names = tuple(columns)
            changes = ", ".join(f"{column} = excluded.{column}" for column in names[1:])
            conflict = f"ON CONFLICT (id) DO UPDATE SET {changes}" if replaces else ""
            values = [literals.get(name, "?") for name in names]
            return BulkInsert("processes", (*names, "recording_id"), [*values, str(recording_id)], conflict)

        # A plain insert costs less than an upsert, which searches for an existing row.
        self._insert_child, self._insert_ended = insert(literals=_ENDED_CHILD), insert(literals=_ENDED)
        self._insert_new = insert(_UNFREED_COLUMNS), insert()
        self._replace_known = insert(_UNFREED_COLUMNS, replaces=True), insert(replaces=True)

    def write(self, connection: sqlite3.Connection, rows: ProcessRows) -> None:
        """Writes the rows in the caller's transaction."""
        self._insert_child(connection, rows.children)
        self._insert_ended(connection, rows.ended)
        for inserts, values in ((self._insert_new, rows.new), (self._replace_known, rows.known)):
            for insert_shape, values_of_shape in zip(inserts, values, strict=True):
                insert_shape(connection, values_of_shape)
        connection.executemany(_UPDATE_FREED, rows.freed)
        connection.executemany(_UPDATE_PARENT, rows.links)


class ProcessSorter:
    """Sorts the processes of one recording. It keeps the rows of processes that may still change."""

    def __init__(self) -> None:
        self._changeable: dict[int, tuple[Any, ...]] = {}  # by id

    def sort(
        self, processes: Iterable[Process], links: Iterable[Link], command_ids: Mapping[int, int | None]
    ) -> ProcessRows:
        """Sorts the rows by the statement that writes them.

        command_ids: the ids of the command lines of all new events that have one, by the id of the event.
        """
        rows, changeable = ProcessRows(links=list(links)), self._changeable
        children, ended = rows.children, rows.ended
        for process in processes:
            if process.has_new_command:
                process.resolve_command(command_ids)
            if process.id in changeable or process.freed_ns is None:
                self._add_changeable(process, rows)
            elif process.state != EXITED or process.kernel != 0 or not process.exact:
                rows.new[1].extend(process_row(process))
            elif process.execs == 0 and process.command_id is None and process.carried_rss_kib is None:
                children += _values_of_child(process)
                children += process.costs
            else:
                ended += _values_of_ended(process)
                ended += process.costs
        return rows

    def _add_changeable(self, process: Process, rows: ProcessRows) -> None:
        """Adds the row of a process that is in the file already, or that may change later."""
        row = process_row(process)
        before = self._changeable.pop(process.id, None)
        if process.freed_ns is None:
            self._changeable[process.id] = row
        if before is not None and before[:_FREED] == row[:_FREED]:
            rows.freed.append((*row[_FREED:], process.id))
        elif process.costs is not NO_COSTS:  # else they would be bound as NULL, which takes time
            (rows.new if before is None else rows.known)[1].extend(row)
        else:
            (rows.new if before is None else rows.known)[0].extend(row[:_FREED])

    def forget(self, process_id: int) -> None:
        """Frees the memory for this process: its row will not change any more."""
        self._changeable.pop(process_id, None)
