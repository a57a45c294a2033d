"""The segment of a chain before the one that is being recorded: frees of processes that ended in it still reach it.

It lasts until the next segment ends. A process that isn't freed by then keeps unknown costs, and so does one whose free
comes when the ids that were kept for frees are used up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..model.event_source import Counts
from ..model.events import KERNEL_KINDS, NUMBERS, Event, Free
from ..model.time_shift import shift
from ..storage.command_ids import CommandIds
from ..storage.event_rows import make_event_rows

if TYPE_CHECKING:
    from ..model.pairing import Pairing
    from ..model.process import Process
    from ..storage.write_queue import WriteQueue


class EndedSegment:
    """queue: writes to it. pairing: its processes that were not freed. ended_ns: Unix ns, by the clock of this segment.

    clock_shift_ns: how far the clock of the next segment is ahead of that.
    """

    def __init__(self, queue: WriteQueue, pairing: Pairing, ended_ns: int, clock_shift_ns: int) -> None:
        self._queue = queue
        self._pairing = pairing
        self._ended_ns = ended_ns
        self._clock_shift_ns = clock_shift_ns
        pairing.forget_running()

    @property
    def following_ns(self) -> int:
        """When the next segment began, by its clock."""
        return self._ended_ns + self._clock_shift_ns

    def unfreed(self, is_reaped: Callable[[Process], bool]) -> list[Process]:
        """Returns the processes that have been reaped, but not freed; none if the clock was set since."""
        return [] if self._clock_shift_ns else [p for p in self._pairing.unfreed() if is_reaped(p)]

    def take(self, frees: Mapping[int, Event]) -> tuple[set[int], Counts]:
        """Adds the frees that belong to this segment. frees: by the ids that they have in the next segment.

        Returns the ids of those that it took, and their counts.
        """
        moved = {id: shift(event, -self._clock_shift_ns) for id, event in frees.items()}
        taken = {id: each for id, each in moved.items() if self._pairing.awaits_free(each.pid, each.start_ns)}
        first_id = self._queue.reserve_late_ids(len(taken)) if taken else None
        if first_id is None:
            return set(), Counts()
        events = list(taken.values())
        owners = self._pairing.feed(events, first_id)
        rows = make_event_rows(events, first_id, owners, CommandIds(), [], self._queue.left_out)
        self._queue.write_late(rows, self._pairing.take_changed(), self._ended_ns)
        numbers = [0] * len(KERNEL_KINDS)
        numbers[NUMBERS[Free]] = len(events)
        return set(taken), Counts(attempted=tuple(numbers))
