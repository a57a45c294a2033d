"""`--min-lifetime`: buffers a process's events until it is old enough to keep; discards them if it exits first.

This is done in user space, because BPF programs can't buffer data of varying size. So it saves space in the file, but
no time of the recorder.

The buffer is limited to 64 MiB. If it is full, the events of the oldest processes pass early: no event is lost, but
processes that end too soon after that are kept. They are counted in `kept_short`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from ..model.bounded_cache import MIB, BoundedDict, size_of
from ..model.event_source import Counts, Source
from ..model.events import KERNEL_KINDS, NUMBERS, Event, Exec, Exit, Fork, Free
from ..model.time_shift import shift

_Identity: TypeAlias = tuple[int, int]  # pid, start_ns
BUFFER_BYTES = 64 * MIB
_DROPPED_BYTES = 16 * MIB
_AT_ONCE = 4 * MIB  # of buffered events that one drain() returns
_EVENT, _PROCESS = 600, 500  # bytes of an event without filename and argv, and of a process in the buffer


class MinLifetimeFilter:
    """A Source that leaves out processes that started at since_ns or later and lived for less than min_ns.

    now: returns Unix ns by the clock of the events.
    """

    def __init__(self, source: Source, min_ns: int, since_ns: int, now: Callable[[], int]) -> None:
        self._source = source
        self._min_ns = min_ns
        self._since_ns = since_ns
        self._now = now
        self._buffer: dict[_Identity, list[Event]] = {}  # in the order of the first events of the processes
        self._buffer_bytes = 0  # of _buffer
        self._released = 0  # bytes that left the buffer since the source was drained
        self._ready: deque[Event] = deque()  # events that pass, but were too many for the last drain()
        self._passed_start_ns = 0  # processes that started at this time or earlier pass, even if they are young
        self._kept_short = 0
        # Discarded processes whose free event has not come yet. For some it never comes.
        self._dropped: BoundedDict[_Identity, None] = BoundedDict(_DROPPED_BYTES)
        self._discarded = [0] * len(KERNEL_KINDS)
        self._is_buffering = True

    def wait(self, seconds: float) -> None:
        self._source.wait(seconds)

    def drain(self) -> list[Event]:
        if not self._ready:
            self._released = 0
            passed = self._next_passed()
            if self._released <= _AT_ONCE:
                return passed
            self._ready.extend(passed)
        batch: list[Event] = []
        size = 0
        while self._ready and size < _AT_ONCE:
            batch.append(self._ready.popleft())
            size += _size(batch[-1])
        return batch

    def _next_passed(self) -> list[Event]:
        """Returns the next events that pass. The list is empty only if the source has no more."""
        passed: list[Event] = []
        while True:
            now = self._now()  # before the drain: it brings all exits until this time
            for event in self._source.drain():
                self._handle(event, passed)
            if self._buffer_bytes > BUFFER_BYTES:
                self._make_room(passed)
            if not self._source.has_more():
                passed += self._take_old_enough(now)
            if passed or not self._source.has_more():
                return passed

    def has_more(self) -> bool:
        return bool(self._ready) or self._source.has_more()

    def _handle(self, event: Event, passed: list[Event]) -> None:
        identity = (event.pid, event.start_ns)
        is_young = event.start_ns >= self._since_ns and event.time_ns - event.start_ns < self._min_ns
        is_short_so_far = is_young and event.start_ns > self._passed_start_ns
        buffered = self._buffer.get(identity)
        if identity in self._dropped:
            if isinstance(event, Free):
                del self._dropped[identity]
            self._discard(event)
        elif isinstance(event, Exit):
            if is_short_so_far and (buffered is not None or self._is_buffering):
                self._drop_process(identity, event)
            else:
                self._kept_short += is_young and not is_short_so_far
                passed += [*self._release(identity), event]
        elif buffered is not None:
            buffered.append(event)
            self._buffer_bytes += _size(event)
        elif is_short_so_far and isinstance(event, Fork | Exec):
            self._buffer[identity] = [event]
            self._buffer_bytes += _size(event) + _PROCESS
        else:
            passed.append(event)

    def _release(self, identity: _Identity) -> list[Event]:
        """Takes the events of a process out of the buffer and returns them."""
        events = self._buffer.pop(identity, [])
        if events:
            size = sum(map(_size, events)) + _PROCESS
            self._buffer_bytes -= size
            self._released += size
        return events

    def _make_room(self, passed: list[Event]) -> None:
        """Passes the oldest processes until half of the buffer is free, and all that started before one of these."""
        for identity in list(self._buffer):
            if self._buffer_bytes > BUFFER_BYTES // 2:
                self._passed_start_ns = max(self._passed_start_ns, identity[1])
                passed += self._release(identity)
            elif identity[1] <= self._passed_start_ns:  # its first event came late
                passed += self._release(identity)

    def _drop_process(self, identity: _Identity, exit: Exit) -> None:
        for event in (*self._release(identity), exit):
            self._discard(event)
        self._dropped[identity] = None

    def _discard(self, event: Event) -> None:
        self._discarded[NUMBERS[type(event)]] += 1

    def _take_old_enough(self, now: int) -> list[Event]:
        """Takes the events of processes that are old enough out of the buffer; after the end of intake, all events."""
        old: list[Event] = []
        for identity in list(self._buffer):
            if self._is_buffering and now - identity[1] < self._min_ns:
                break
            old += self._release(identity)
        return old

    def counts(self) -> Counts:
        return replace(self._source.counts().without(self._discarded), kept_short=self._kept_short)

    def shift_clock(self, by_ns: int) -> bool:
        if not self._source.shift_clock(by_ns):
            return False
        buffer, dropped = self._buffer, list(self._dropped)
        self._buffer = {
            (pid, start_ns + by_ns): [shift(event, by_ns) for event in events]
            for (pid, start_ns), events in buffer.items()
        }
        self._dropped.clear()
        for pid, start_ns in dropped:
            self._dropped[pid, start_ns + by_ns] = None
        self._ready = deque(shift(event, by_ns) for event in self._ready)
        self._since_ns += by_ns
        self._passed_start_ns += by_ns
        return True

    def stop_intake(self) -> None:
        self._source.stop_intake()
        self._is_buffering = False  # processes that are still running can live longer than min_ns

    def detach(self) -> None:
        self._source.detach()

    def close(self) -> None:
        self._source.close()


def _size(event: Event) -> int:
    texts = (event.filename, event.argv, event.environment) if isinstance(event, Exec) else ()
    return _EVENT + sum(map(size_of, texts))
