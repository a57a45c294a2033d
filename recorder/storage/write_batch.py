"""What one transaction writes, prepared: the rows of events and processes."""

from __future__ import annotations

from dataclasses import dataclass

from .event_rows import EventRows, payload_bytes
from .process_rows import ProcessRows

_VALUE_BYTES = 40  # of a number in a list: 8 for the pointer, 32 for the number


@dataclass(frozen=True)
class Batch:
    """The content of one transaction. until_ns: everything up to this time (Unix ns) is in the file after it."""

    events: EventRows
    processes: ProcessRows
    until_ns: int

    @property
    def bytes(self) -> int:
        """An estimate of the memory that the batch takes."""
        values = self.events.value_count + self.processes.value_count
        return values * _VALUE_BYTES + payload_bytes(self.events)
