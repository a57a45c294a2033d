"""A recording, as its row in the table `recordings` describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Final, NamedTuple

from .events import KERNEL_KINDS
from .zone import Zone

GOING_ON: Final = "recording"
COMPLETE: Final = "complete"
INTERRUPTED: Final = "interrupted"
"""Values of Recording.status: a recorder is writing it; it has ended normally; its recorder was killed."""

DELETED: Final = "deleted"
"""The option that is true in a recording of which a deletion has begun: some of its rows are gone."""

NO_EVENTS: Final = "none"
"""Value of the option `events` of a recording that has no events of OPTIONAL_KINDS."""


class StoredCounts(NamedTuple):
    """Event counts of one kind: attempted by the BPF programs, written to the file, and lost. None: unknown."""

    attempted: int | None
    written: int | None
    lost: int | None

    @property
    def counts_match(self) -> bool:
        """Whether every attempted event was either written or lost."""
        if self.attempted is None or self.written is None or self.lost is None:
            return False
        return self.attempted == self.written + self.lost

    @property
    def are_unknown(self) -> bool:
        """Whether nobody said what was attempted and lost."""
        return self.attempted is None and self.lost is None and self.written is not None


@dataclass(frozen=True)
class Recording:
    """A recording. Times are in Unix ns; ended_ns is None while it is being written, and if it was interrupted.

    options: of its recorder. counts: by kind of event. lost: number of lost events of all kinds. kept_short: number of
    processes that were kept although they lived shorter than --min-lifetime. row: all columns of the table, by name.
    What describes the machine and the recorder is None if the recording was made of a stream that doesn't say it, and
    so is lost. If the file is damaged, any value may be None.
    """

    id: int
    name: str | None
    status: str
    started_ns: int
    updated_ns: int
    ended_ns: int | None
    host: str | None
    boot_id: str | None
    kernel: str | None
    machine: str | None
    command: str | None
    options: Mapping[str, Any]
    recorder_pid: int | None
    clock_offset_ns: int | None
    counts: Mapping[str, StoredCounts]
    lost: int | None
    kept_short: int | None
    row: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def from_row(cls, row: Mapping[str, Any], status: str, options: Mapping[str, Any]) -> Recording:
        """Makes it from a row of `recordings`. status: the current one, since the row can't say `interrupted`."""
        counts = {
            kind.name: StoredCounts(*(row[f"{kind.name}s_{name}"] for name in StoredCounts._fields))
            for kind in KERNEL_KINDS
        }
        fields = {name: row[name] for name in cls.__dataclass_fields__ if name in row}
        return cls(**(fields | {"status": status, "options": options}), counts=counts, row={**row, "status": status})

    @property
    def until_ns(self) -> int:
        """The time up to which it is complete, in Unix ns: its end, or its last commit if it has no end."""
        return self.ended_ns or self.updated_ns

    @property
    def is_replayed(self) -> bool:
        """Whether it was made of a stream. Only then can it be unknown what was attempted and lost."""
        return self.options.get("replayed") is True

    @property
    def has_raw_events(self) -> bool:
        """Whether its forks, exits and frees are in the file: from them, its processes can be rebuilt."""
        return self.options.get("events") != NO_EVENTS

    @property
    def machine_name(self) -> str:
        """The name of its machine, for people."""
        return self.host or "an unknown machine"

    @property
    def time_zone(self) -> tzinfo:
        """The time zone of its machine; UTC if it is unknown."""
        return Zone.of_recording(self.row).rules

    @property
    def caveat(self) -> str | None:
        """A warning for readers of any result from this recording; None if it is complete."""
        if self.lost:
            return f"recording {self.id} lost {self.lost} events: counts and sums are a lower bound"
        if self.status == INTERRUPTED:
            return f"recording {self.id} was interrupted: events after its last commit are missing"
        if self.lost is None and self.status == COMPLETE:
            return f"recording {self.id} is of a stream that doesn't say whether events were lost"
        if self.kept_short:
            return f"recording {self.id} holds {self.kept_short} processes that ended sooner than --min-lifetime"
        return None
