"""Only processes that last: the facts of a process are held back until it is old enough, and dropped if it ends before.

This is done in user space: the kernel side can't hold back what varies in size. So it takes as much of the recorder's
time as all of them would, but not the space in the file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from .events import KINDS, Event, Exec, Exit, Fork, Free
from .source import Counts, Source

_Identity: TypeAlias = tuple[int, int]  # pid, start_ns
_MOST_DROPPED = 65536
_KINDS: dict[type[Event], int] = {Fork: 0, Exec: 1, Exit: 2, Free: 3}


class Lasting:
    """A Source without the processes that started at since_ns or later, and lived shorter than min_ns.

    now: Unix ns by the clock of the events.
    """

    def __init__(self, source: Source, min_ns: int, since_ns: int, now: Callable[[], int]) -> None:
        self._source = source
        self._min_ns = min_ns
        self._since_ns = since_ns
        self._now = now
        self._held: dict[_Identity, list[Event]] = {}  # the oldest first: in the order of their first facts
        self._dropped: dict[_Identity, None] = {}  # whose free is still to come
        self._left_out = [0] * len(KINDS)
        self._holds = True

    def wait(self, seconds: float) -> None:
        self._source.wait(seconds)

    def drain(self) -> list[Event]:
        passed: list[Event] = []
        now = self._now()  # before: who has ended by then is in what is drained
        for event in self._source.drain():
            self._sort(event, passed)
        return [*passed, *self._grown_up(now)]

    def has_more(self) -> bool:
        return self._source.has_more()

    def _sort(self, event: Event, passed: list[Event]) -> None:
        identity = (event.pid, event.start_ns)
        is_young = event.start_ns >= self._since_ns and event.time_ns - event.start_ns < self._min_ns
        held = self._held.get(identity)
        if isinstance(event, Exit):
            if is_young and (held is not None or self._holds):
                self._drop(identity, event)
            else:
                passed += [*self._held.pop(identity, []), event]
        elif isinstance(event, Free) and identity in self._dropped:
            del self._dropped[identity]
            self._leave_out(event)
        elif held is not None:
            held.append(event)
        elif is_young and isinstance(event, Fork | Exec):
            self._held[identity] = [event]
        else:
            passed.append(event)

    def _drop(self, identity: _Identity, exit: Exit) -> None:
        for event in (*self._held.pop(identity, []), exit):
            self._leave_out(event)
        self._dropped[identity] = None
        if len(self._dropped) > _MOST_DROPPED:  # some are never freed
            del self._dropped[next(iter(self._dropped))]

    def _leave_out(self, event: Event) -> None:
        self._left_out[_KINDS[type(event)]] += 1

    def _grown_up(self, now: int) -> list[Event]:
        """The facts of those that are old enough by now; once it holds back no more, of all."""
        grown: list[Event] = []
        for identity in list(self._held):
            if self._holds and now - identity[1] < self._min_ns:
                break
            grown += self._held.pop(identity)
        return grown

    def counts(self) -> Counts:
        return self._source.counts().without(self._left_out)

    def stop_intake(self) -> None:
        self._source.stop_intake()
        self._holds = False  # who is still young may yet last

    def detach(self) -> None:
        self._source.detach()

    def close(self) -> None:
        self._source.close()
