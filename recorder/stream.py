"""Events as JSON lines while they happen, without a file."""

from __future__ import annotations

import json
import time
from typing import TextIO

from . import clock, jsonlines, probe
from .events import Free
from .stopsignal import StopSignal

_DRAIN_SECONDS = 0.05


def stream(output: TextIO, duration: float | None = None, buffer_mib: int = 16, max_args: int = 32768) -> int:
    """Prints fork (F), exec (X) and exit (E) of every process until a signal, or for so many seconds.

    Returns how many events the kernel could not deliver because they came faster than they were read.
    """
    stop = StopSignal()
    source = probe.Probe(clock.measure_offset(), buffer_mib, max_args)
    try:
        end = None if duration is None else time.monotonic() + duration
        while stop.received is None:
            left = _DRAIN_SECONDS if end is None else end - time.monotonic()
            if left <= 0:
                break
            source.wait(min(left, _DRAIN_SECONDS))
            _print(source, output)
        source.detach()
        _print(source, output)
        return sum(source.counts().lost)
    finally:
        source.close()


def _print(source: probe.Probe, output: TextIO) -> None:
    lines = [json.dumps(jsonlines.encode(event)) for event in source.drain() if not isinstance(event, Free)]
    if lines:
        output.write("\n".join(lines) + "\n")
        output.flush()
