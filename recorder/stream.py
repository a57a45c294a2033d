"""Events as JSON lines while they happen, without a file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TextIO

from . import clock, jsonlines, probe
from .bounded import MIB, BoundedDict
from .events import Event, Exit, Free
from .redaction import Redacted, Redaction
from .source import Source
from .stopsignal import StopSignal

_DRAIN_SECONDS = 0.05
_SETTLE_SECONDS = 0.25


def stream(
    output: TextIO,
    duration: float | None = None,
    buffer_mib: int = 16,
    max_args: int = 32768,
    redaction: Redaction | None = None,
    on_start: Callable[[], None] = lambda: None,
) -> int:
    """Prints fork (F), exec (X) and exit (E) of every process until a signal, or for so many seconds.

    on_start is called when events begin to be collected. Returns how many the kernel could not deliver because they
    came faster than they were read.
    """
    stop = StopSignal()
    redaction = redaction or Redaction()
    source: Source = probe.Probe(clock.measure_offset(), buffer_mib, 0 if redaction.no_args else max_args)
    if redaction.active:
        source = Redacted(source, redaction)
    printer = _Printer(output)
    try:
        on_start()
        end = None if duration is None else time.monotonic() + duration
        while stop.received is None:
            left = _DRAIN_SECONDS if end is None else end - time.monotonic()
            if left <= 0:
                break
            if not source.has_more():
                source.wait(min(left, _DRAIN_SECONDS))
            printer.print(source.drain())
        source.detach()
        end = time.monotonic() + _SETTLE_SECONDS
        # A record may still be being written; behind it may be others.
        while printer.taken < sum(source.counts().arrived) and time.monotonic() < end:
            if events := source.drain():
                end = time.monotonic() + _SETTLE_SECONDS
                printer.print(events)
        return sum(source.counts().lost)
    finally:
        source.close()


class _Printer:
    def __init__(self, output: TextIO) -> None:
        self.taken = 0
        self._output = output
        self._ended: BoundedDict[int, int] = BoundedDict(MIB)  # by pid, the starts of those that ended last

    def print(self, events: list[Event]) -> None:
        lines = [json.dumps(jsonlines.encode(event)) for event in events if self._is_wanted(event)]
        self.taken += len(events)
        if lines:
            self._output.write("\n".join(lines) + "\n")
            self._output.flush()

    def _is_wanted(self, event: Event) -> bool:
        if isinstance(event, Exit):
            # Before Linux 6.16 two threads that leave together can both report the end of their process.
            if self._ended.get(event.pid) == event.start_ns:
                return False
            self._ended[event.pid] = event.start_ns
        return not isinstance(event, Free)
