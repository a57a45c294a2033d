"""A Source that reads the lines of JSON that `webpf stream` prints, from a file or from a pipe."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator

from ..errors import DataError
from ..host.line_reader import LineReader
from ..model import json_lines
from ..model.bounded_cache import MIB
from ..model.event_source import Counts
from ..model.events import KERNEL_KINDS, NUMBERS, Event
from ..model.json_lines import Line
from ..model.stream_metadata import CgroupPath, DirectoryPath, Head, StreamCounts
from .replayed_machine import ReplayedMachine

_BATCH, _BATCH_BYTES = 1000, 4 * MIB  # limits of one drain(): lines, and bytes
_REMEMBERED = 32768  # at least so many of the last events are compared with a new one, to drop duplicates
_PAUSE_SECONDS = 0.01


class LineSource:
    """A Source of the events in lines. machine: gets the lines that aren't events. first: lines that were already read.

    Duplicates of an event are dropped. failure: the error in the line at which reading stopped; None if there is none.
    """

    def __init__(self, lines: LineReader, machine: ReplayedMachine, first: Iterable[Line] = ()) -> None:
        self.failure: DataError | None = None
        self._lines = lines
        self._machine = machine
        self._first = deque(first)
        self._seen = [0] * len(KERNEL_KINDS)
        self._recent: set[tuple[type, int, int]] = set()
        self._earlier: set[tuple[type, int, int]] = set()
        self._is_stopped = self._is_waiting = False

    @property
    def is_exhausted(self) -> bool:
        """Whether the end of the lines has been reached, or a line that can't be read."""
        return self.failure is not None or (self._lines.is_at_end and not self._lines.has_more and not self._first)

    def wait(self, seconds: float) -> None:
        # A second wait() without a drain(): the writer has no room. Or the lines have ended.
        if self._is_waiting or self.is_exhausted:
            time.sleep(min(seconds, _PAUSE_SECONDS))
        else:
            self._lines.wait(seconds)
        self._is_waiting = True

    def drain(self) -> list[Event]:
        self._is_waiting = False
        events: list[Event] = []
        if not self._is_stopped and self.failure is None:
            try:
                for line in self._next_lines():
                    self._handle(line, events)
            except DataError as error:
                self.failure = error
                self._machine.has_failed = True
        if events:
            self._machine.advance(max(event.time_ns for event in events))
        return events

    def _next_lines(self) -> Iterator[Line]:
        while self._first:
            yield self._first.popleft()
        size = 0
        for number, raw in enumerate(self._lines.take(), 1):
            if raw and not raw.isspace():
                yield parse_line(self._lines, raw)
            size += len(raw)
            if number == _BATCH or size > _BATCH_BYTES:
                return

    def _handle(self, line: Line, events: list[Event]) -> None:
        if isinstance(line, Head):
            raise DataError(f"line {self._lines.number}: another stream begins here; replay each stream separately")
        if isinstance(line, CgroupPath | DirectoryPath | StreamCounts):
            self._machine.take_note(line)
            return
        key = (type(line), line.pid, line.time_ns)
        if key in self._recent or key in self._earlier:
            return
        self._recent.add(key)
        if len(self._recent) == _REMEMBERED:
            self._earlier, self._recent = self._recent, set()
        number = NUMBERS.get(type(line))
        if number is not None:
            self._seen[number] += 1
        events.append(line)

    def has_more(self) -> bool:
        return not self._is_stopped and self.failure is None and self._lines.has_more

    def counts(self) -> Counts:
        """Returns the counts of the stream. Events that the stream has counted but doesn't contain count as lost."""
        reported = self._machine.counts
        if self._machine.head is None or reported is None:
            return Counts(tuple(self._seen), are_known=self._machine.head is not None)
        lost = reported.lost
        if reported.ended_ns is not None:
            not_received = (attempted - seen for attempted, seen in zip(reported.attempted, self._seen, strict=True))
            lost = tuple(map(max, lost, not_received))
        attempted = tuple(seen + each for seen, each in zip(self._seen, lost, strict=True))
        return Counts(attempted, lost)

    def shift_clock(self, by_ns: int) -> bool:
        """Returns False: the times in the stream are right."""
        return False

    def stop_intake(self) -> None:
        self._is_stopped = True

    def detach(self) -> None:
        self._is_stopped = True

    def close(self) -> None:
        """Does nothing: the caller closes the descriptor."""


def parse_line(lines: LineReader, raw: bytes) -> Line:
    """Parses the line that was taken last. Raises DataError with its number if it is not a line of a stream."""
    try:
        return json_lines.parse(raw)
    except DataError as error:
        raise DataError(f"line {lines.number}: {error.message}") from error
