"""Only processes that last: the facts of a process are held back until it is old enough, and dropped if it ends before.

This is done in user space: the kernel side can't hold back what varies in size. So it takes as much of the recorder's
time as all of them would, but not the space in the file.

What is held back has a bound in bytes. Beyond it, the oldest are let through early: nothing is lost, but who ends too
soon after that is kept. How many these are is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from ..model.bounded import MIB, BoundedDict, size_of
from ..model.events import KERNEL_KINDS, NUMBERS, Event, Exec, Exit, Fork, Free
from ..model.source import Counts, Source

_Identity: TypeAlias = tuple[int, int]  # pid, start_ns
HELD_BYTES = 64 * MIB
_DROPPED_BYTES = 16 * MIB
_AT_ONCE = 4 * MIB  # of what was held back, at one drain()
_EVENT, _PROCESS = 600, 500  # bytes of an event without its texts, and of a process that is held


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
        self._bytes = 0  # of _held
        self._released = 0  # bytes of those that no longer are since the source was drained
        self._ready: deque[Event] = deque()  # what is let through, where it is too much at once
        self._through_ns = 0  # who started until then is let through, however young
        self._kept_short = 0
        # Whose free is still to come; for some it never does.
        self._dropped: BoundedDict[_Identity, None] = BoundedDict(_DROPPED_BYTES)
        self._left_out = [0] * len(KERNEL_KINDS)
        self._holds = True

    def wait(self, seconds: float) -> None:
        self._source.wait(seconds)

    def drain(self) -> list[Event]:
        if not self._ready:
            self._released = 0
            passed = self._sifted()
            if self._released <= _AT_ONCE:
                return passed
            self._ready.extend(passed)
        batch: list[Event] = []
        size = 0
        while self._ready and size < _AT_ONCE:
            batch.append(self._ready.popleft())
            size += _size(batch[-1])
        return batch

    def _sifted(self) -> list[Event]:
        """What comes through; nothing only if the source has no more."""
        passed: list[Event] = []
        while True:
            now = self._now()  # before: who has ended by then is in what is drained
            for event in self._source.drain():
                self._sort(event, passed)
            if self._bytes > HELD_BYTES:
                self._make_room(passed)
            if not self._source.has_more():
                passed += self._grown_up(now)
            if passed or not self._source.has_more():
                return passed

    def has_more(self) -> bool:
        return bool(self._ready) or self._source.has_more()

    def _sort(self, event: Event, passed: list[Event]) -> None:
        identity = (event.pid, event.start_ns)
        is_young = event.start_ns >= self._since_ns and event.time_ns - event.start_ns < self._min_ns
        is_sifted = is_young and event.start_ns > self._through_ns
        held = self._held.get(identity)
        if identity in self._dropped:
            if isinstance(event, Free):
                del self._dropped[identity]
            self._leave_out(event)
        elif isinstance(event, Exit):
            if is_sifted and (held is not None or self._holds):
                self._drop(identity, event)
            else:
                self._kept_short += is_young and not is_sifted
                passed += [*self._release(identity), event]
        elif held is not None:
            held.append(event)
            self._bytes += _size(event)
        elif is_sifted and isinstance(event, Fork | Exec):
            self._held[identity] = [event]
            self._bytes += _size(event) + _PROCESS
        else:
            passed.append(event)

    def _release(self, identity: _Identity) -> list[Event]:
        """What was held back of a process. It no longer is."""
        events = self._held.pop(identity, [])
        if events:
            size = sum(map(_size, events)) + _PROCESS
            self._bytes -= size
            self._released += size
        return events

    def _make_room(self, passed: list[Event]) -> None:
        """Lets the oldest through until half of the room is free, and with them all that started before the last."""
        for identity in list(self._held):
            if self._bytes > HELD_BYTES // 2:
                self._through_ns = max(self._through_ns, identity[1])
                passed += self._release(identity)
            elif identity[1] <= self._through_ns:  # its first fact came late
                passed += self._release(identity)

    def _drop(self, identity: _Identity, exit: Exit) -> None:
        for event in (*self._release(identity), exit):
            self._leave_out(event)
        self._dropped[identity] = None

    def _leave_out(self, event: Event) -> None:
        self._left_out[NUMBERS[type(event)]] += 1

    def _grown_up(self, now: int) -> list[Event]:
        """The facts of those that are old enough by now; once it holds back no more, of all."""
        grown: list[Event] = []
        for identity in list(self._held):
            if self._holds and now - identity[1] < self._min_ns:
                break
            grown += self._release(identity)
        return grown

    def counts(self) -> Counts:
        return replace(self._source.counts().without(self._left_out), kept_short=self._kept_short)

    def stop_intake(self) -> None:
        self._source.stop_intake()
        self._holds = False  # who is still young may yet last

    def detach(self) -> None:
        self._source.detach()

    def close(self) -> None:
        self._source.close()


def _size(event: Event) -> int:
    return _EVENT + (size_of(event.filename) + size_of(event.argv) if isinstance(event, Exec) else 0)
