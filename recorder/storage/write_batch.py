"""What one transaction writes, prepared: the rows of events and processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..model.events import Event
from .columns import FREE_COLUMNS, EventRows, payload_bytes

Link: TypeAlias = tuple[int, int]
"""The id of a process whose parent became known late, and the id of the parent."""

_VALUE_BYTES = 40  # of a number in a list: 8 for the pointer, 32 for the number


@dataclass
class ProcessRows:
    """Rows of processes in flat lists: new rows and known rows, each without and with FREE_COLUMNS.

    freed: known rows in which only FREE_COLUMNS change.
    """

    new: tuple[list[Any], list[Any]] = field(default_factory=lambda: ([], []))
    known: tuple[list[Any], list[Any]] = field(default_factory=lambda: ([], []))
    freed: list[tuple[Any, ...]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    @property
    def value_count(self) -> int:
        """How many values all rows have together."""
        changes = len(self.freed) * (len(FREE_COLUMNS) + 1) + 2 * len(self.links)
        return sum(map(len, (*self.new, *self.known))) + changes


@dataclass(frozen=True)
class Batch:
    """The content of one transaction. until_ns: everything up to this time (Unix ns) is in the file after it.

    counts: how many events it stands for, by kind; of OPTIONAL_KINDS, `events` may have none.
    """

    events: EventRows
    counts: Mapping[type[Event], int]
    processes: ProcessRows
    until_ns: int

    @property
    def bytes(self) -> int:
        """An estimate of the memory that the batch takes."""
        values = self.events.value_count + self.processes.value_count
        return values * _VALUE_BYTES + payload_bytes(self.events)
