"""Where events come from: the protocol that the recorder reads, and events from memory for tests and benches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import sub
from typing import Protocol

from .events import KERNEL_KINDS, NUMBERS, Event


@dataclass(frozen=True)
class Counts:
    """What the kernel counted for each of KERNEL_KINDS: events it tried to write, and those it had no room for.

    kept_short: processes that came through though they lived shorter than was wanted (see min_lifetime.py).
    are_known: False if nobody said what was attempted or lost; then they count what has come.
    """

    attempted: tuple[int, ...] = (0,) * len(KERNEL_KINDS)
    lost: tuple[int, ...] = (0,) * len(KERNEL_KINDS)
    kept_short: int = 0
    are_known: bool = True

    @property
    def arrived(self) -> tuple[int, ...]:
        """Records that were written to the buffer, by kind."""
        return tuple(a - b for a, b in zip(self.attempted, self.lost, strict=True))

    def without(self, numbers: Sequence[int]) -> Counts:
        """The same with so many less of each kind, which came but don't count."""
        return replace(self, attempted=tuple(map(sub, self.attempted, numbers)))


class Source(Protocol):
    """A stream of events with an end. Events of one process come in the order in which they happened."""

    def wait(self, seconds: float) -> None:
        """Sleeps until events are worth fetching, at most so long."""

    def drain(self) -> list[Event]:
        """The events since the last call, in order: at most some MiB of them, and none only if there are no more."""

    def has_more(self) -> bool:
        """Whether the last drain() left something behind."""

    def counts(self) -> Counts:
        """What has been attempted and lost so far."""

    def stop_intake(self) -> None:
        """From now on nothing new is taken in, only what completes processes that have just exited."""

    def detach(self) -> None:
        """Nothing at all comes any more; what has come can still be drained."""

    def close(self) -> None:
        """Gives everything back. Can be called more than once."""


class MemorySource:
    """Plays events from memory, some at each drain."""

    def __init__(self, events: Iterable[Event], batch: int = 1000, counts: Counts | None = None) -> None:
        self._events = iter(events)
        self._batch = batch
        self._fixed_counts = counts
        self._seen = [0] * len(KERNEL_KINDS)
        self.exhausted = False

    def wait(self, seconds: float) -> None:
        """Nothing to wait for."""

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

    def stop_intake(self) -> None:
        """A replay ends by itself."""

    def detach(self) -> None:
        """Nothing is attached."""

    def close(self) -> None:
        """Nothing to give back."""
