"""Sources of events: the protocol from which the recorder reads, and a source in memory for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import add, sub
from typing import Protocol

from .events import KERNEL_KINDS, NUMBERS, Event


@dataclass(frozen=True)
class Counts:
    """The kernel's counts for each of KERNEL_KINDS. attempted: all events. lost: events that had no room in the buffer.

    kept_short: processes that were kept although they lived less than --min-lifetime (see min_lifetime.py).
    are_known: False if the source has no counts of attempted and lost events; `attempted` then counts what came.
    """

    attempted: tuple[int, ...] = (0,) * len(KERNEL_KINDS)
    lost: tuple[int, ...] = (0,) * len(KERNEL_KINDS)
    kept_short: int = 0
    are_known: bool = True

    @property
    def arrived(self) -> tuple[int, ...]:
        """Returns the number of events that were written to the buffer, by kind."""
        return tuple(a - b for a, b in zip(self.attempted, self.lost, strict=True))

    def without(self, numbers: Sequence[int]) -> Counts:
        """Returns the counts without these numbers of events, by kind: events that came but are not recorded."""
        return replace(self, attempted=tuple(map(sub, self.attempted, numbers)))

    def plus(self, more: Counts) -> Counts:
        """Returns the sums of both counts."""
        return replace(
            self,
            attempted=tuple(map(add, self.attempted, more.attempted)),
            lost=tuple(map(add, self.lost, more.lost)),
            kept_short=self.kept_short + more.kept_short,
        )

    def since(self, earlier: Counts) -> Counts:
        """Returns what has been counted since the earlier counts."""
        return replace(
            self,
            attempted=tuple(map(sub, self.attempted, earlier.attempted)),
            lost=tuple(map(sub, self.lost, earlier.lost)),
            kept_short=self.kept_short - earlier.kept_short,
        )


class Source(Protocol):
    """A stream of events that ends. Events of one process come in the order in which they happened."""

    def wait(self, seconds: float) -> None:
        """Sleeps until there are enough events for a drain(), but at most `seconds`."""

    def drain(self) -> list[Event]:
        """Returns the events since the last call, in order, at most some MiB. Empty only if there are no more now."""

    def has_more(self) -> bool:
        """Whether the last drain() left events behind."""

    def counts(self) -> Counts:
        """Returns the counts of attempted and lost events so far."""

    def shift_clock(self, by_ns: int) -> bool:
        """Moves the times of all events that are drained from now on, because the clock was measured anew.

        Returns False if that is not possible now: then nothing changes.
        """

    def stop_intake(self) -> None:
        """Stops new events, except those that complete processes that have just exited."""

    def detach(self) -> None:
        """Stops all events. Events that have come can still be drained."""

    def close(self) -> None:
        """Releases all resources. Can be called more than once."""


class MemorySource:
    """A Source of events in memory. Each drain() returns `batch` events. Without `counts`, it counts them itself."""

    def __init__(self, events: Iterable[Event], batch: int = 1000, counts: Counts | None = None) -> None:
        self._events = iter(events)
        self._batch = batch
        self._fixed_counts = counts
        self._seen = [0] * len(KERNEL_KINDS)
        self.exhausted = False

    def wait(self, seconds: float) -> None:
        """Returns at once."""

    def drain(self) -> list[Event]:
        batch = []
        for event in self._events:
            batch.append(event)
            number = NUMBERS.get(type(event))
            if number is not None:
                self._seen[number] += 1
            if len(batch) == self._batch:
                return batch
        self.exhausted = True
        return batch

    def has_more(self) -> bool:
        return not self.exhausted

    def counts(self) -> Counts:
        return self._fixed_counts or Counts(attempted=tuple(self._seen))

    def shift_clock(self, by_ns: int) -> bool:
        """Returns False: the times of these events are fixed."""
        return False

    def stop_intake(self) -> None:
        """Does nothing: the events end by themselves."""

    def detach(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""
