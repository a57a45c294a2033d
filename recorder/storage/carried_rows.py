"""The rows of processes that are alive when a segment of a chain ends: they are the snapshot of the next segment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..model.events import Seen
from ..model.process import Process
from .command_ids import CommandIds, CommandLine
from .event_rows import EventRows, make_event_rows


class CarriedRows(NamedTuple):
    """The rows of a snapshot and of its processes. commands: ids of command lines, by the ids in the segment before.

    cgroups: those of the processes.
    """

    events: EventRows
    processes: Sequence[Process]
    commands: Mapping[int, int]
    cgroups: frozenset[int]


class _CopiedCommands(CommandIds):
    """Gives copies of command lines their ids. originals: for each event, the id of its command line, or None."""

    def __init__(self, originals: Iterable[int | None]) -> None:
        super().__init__()
        self.copies: dict[int, int] = {}
        self._originals = list(originals)

    def ids_of(self, event_ids: Iterable[int], lines: Iterable[CommandLine]) -> list[int | None]:
        """Returns the id of the copy for each event of the snapshot. What `lines` has doesn't matter."""
        pairs = zip(event_ids, self._originals)  # noqa: B905 - of other kinds there are no events
        return [None if each is None else self.copies.setdefault(each, event_id) for event_id, each in pairs]


def make(
    snapshot: Sequence[Seen],
    first_id: int,
    owners: Iterable[int],
    processes: Sequence[Process],
    originals: Iterable[int | None],
) -> CarriedRows:
    """Returns the rows of a snapshot. originals: for each of its events, the id of its command line in the file."""
    commands = _CopiedCommands(originals)
    events = make_event_rows(snapshot, first_id, owners, commands, [])
    cgroups = frozenset(each.cgroup_id for each in snapshot if each.cgroup_id is not None)
    return CarriedRows(events, processes, commands.copies, cgroups)
