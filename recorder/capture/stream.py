"""Events as JSON lines while they happen, without a file."""

from __future__ import annotations

import json
import select
import time
from collections.abc import Callable

from ..host import clock
from ..host.pipe_writer import PipeWriter
from ..host.signals import StopSignal
from ..kernel import probe
from ..model import json_lines
from ..model.bounded_cache import MIB, BoundedDict
from ..model.events import Event, Exit, Free
from ..model.source import Source
from .record_options import RecordOptions
from .redaction import RedactedSource

_DRAIN_SECONDS = 0.05
_SETTLE_SECONDS = 0.25


def stream(output: int, options: RecordOptions, on_start: Callable[[], None] = lambda: None) -> int:
    """Prints fork (F), exec (X) and exit (E) of every process, until a signal comes or options.duration is over.

    output: a descriptor. on_start is called when events begin to be collected. Returns the number of lost events: the
    kernel had no room for them, or the reader took no more at the end.
    """
    with StopSignal() as stop:
        return _stream(output, options, stop, on_start)


def _stream(output: int, options: RecordOptions, stop: StopSignal, on_start: Callable[[], None]) -> int:
    redaction, duration = options.redaction(), options.duration
    source: Source = probe.Probe(clock.measure_offset(), options.buffer_mib, options.max_args_of_kernel)
    if redaction.active:
        source = RedactedSource(source, redaction)
    end = float("inf")

    def is_ending() -> bool:
        return stop.has_come() or time.monotonic() >= end

    printer = _Printer(PipeWriter(output, is_ending))
    try:
        on_start()
        if duration is not None:
            end = time.monotonic() + duration
        while not is_ending():
            if not source.has_more():
                source.wait(max(0, min(end - time.monotonic(), _DRAIN_SECONDS)))
            printer.print(source.drain())
        source.detach()
        settled = time.monotonic() + _SETTLE_SECONDS
        # An event may still be being written; behind it may be others.
        while printer.taken < sum(source.counts().arrived) and time.monotonic() < settled:
            if events := source.drain():
                printer.print(events)
                settled = time.monotonic() + _SETTLE_SECONDS  # not before: a reader may have taken its time
        return sum(source.counts().lost) + printer.unread
    finally:
        source.close()


class _Printer:
    """Prints events as lines. taken: number of events that it got; unread: those that the reader hasn't taken."""

    def __init__(self, output: PipeWriter) -> None:
        self.taken = 0
        self.unread = 0
        self._output = output
        self._ended: BoundedDict[int, int] = BoundedDict(MIB)  # by pid, the starts of those that ended last

    def print(self, events: list[Event]) -> None:
        self.taken += len(events)
        block, number = b"", 0
        for event in filter(self._is_wanted, events):
            line = b"" if self.unread else json.dumps(json_lines.encode(event)).encode() + b"\n"
            if len(block) + len(line) > select.PIPE_BUF:  # a pipe takes so much as a whole, or nothing
                self._put(block, number)
                block, number = b"", 0
            block += line
            number += 1
        self._put(block, number)

    def _put(self, block: bytes, events: int) -> None:
        if self.unread or not self._output.put(block):
            self.unread += events

    def _is_wanted(self, event: Event) -> bool:
        if isinstance(event, Exit):
            # Before Linux 6.16 two threads that leave together can both report the end of their process.
            if self._ended.get(event.pid) == event.start_ns:
                return False
            self._ended[event.pid] = event.start_ns
        return not isinstance(event, Free)
