"""Makes a recording from a stream of events, which is a file, or comes through a pipe from a running `webpf stream`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import DataError, Signalled
from ..host.line_reader import LineReader
from ..host.signals import ALL_STOP_SIGNALS, StopSignal
from ..model.stream_metadata import CgroupPath, DirectoryPath, Head, StreamCounts
from .line_source import LineSource, parse_line
from .record_options import RecordOptions
from .recorder import Observer, Summary, record
from .replayed_machine import ReplayedMachine

if TYPE_CHECKING:
    from ..model.json_lines import Line

_GRACE_SECONDS = 2.0  # after Ctrl-C the program that writes into the pipe ends too, and prints its last counts
_POLL_SECONDS = 0.1
UNKNOWN = (
    "the stream doesn't say from which machine it comes, which processes ran before, how much CPU time was used, and"
    " how many events were lost; webpf stream --full says it"
)


def replay(descriptor: int, name: str, options: RecordOptions, observer: Observer) -> Summary:
    """Records the lines of a descriptor until they end or a signal comes. name: the name of the file in messages.

    If the stream breaks off or has an invalid line, the recording keeps what came before and is interrupted, and
    DataError is raised unless a signal came. If there is no event at all, no recording is made: raises DataError, or
    Signalled after a signal. Also raises what record() raises.
    """
    lines = LineReader(descriptor)
    with StopSignal(ALL_STOP_SIGNALS) as stop:
        first = _first_lines(lines, name, stop)
        begin = first[-1]
        if isinstance(begin, Head):
            machine = ReplayedMachine(begin.started_ns, begin)
            source = LineSource(lines, machine)
            streamed = begin.options
        else:
            assert not isinstance(begin, CgroupPath | DirectoryPath | StreamCounts)
            machine = ReplayedMachine(begin.time_ns)
            source = LineSource(lines, machine, first)
            streamed = {}
            observer.message(UNKNOWN)
        target = _EndOfInput(source, stop, 0 if lines.is_file else _GRACE_SECONDS)
        summary = record(replace(options, streamed=streamed), source, machine, target, observer)
    if machine.is_interrupted and stop.received is None:
        raise _broken_off(name, lines, source, summary)
    return summary


def _broken_off(name: str, lines: LineReader, source: LineSource, summary: Summary) -> DataError:
    reason = f"breaks off after line {lines.number:,}, without the counts that end a whole stream"
    if source.failure is not None:
        reason = f"can't be read on: {source.failure.message}"
    kept = f"recording {summary.recording_id} in {summary.db} keeps what came before, as interrupted"
    return DataError(f"{name} {reason}; {kept}")


def _first_lines(lines: LineReader, name: str, stop: StopSignal) -> list[Line]:
    """Reads lines until one says when the stream began: the head, or an event. Returns all lines up to this one."""
    first: list[Line] = []
    while True:
        for raw in lines.take():
            if raw and not raw.isspace():
                try:
                    first.append(parse_line(lines, raw))
                except DataError as error:
                    raise DataError(f"{name} is not a stream of events: {error.message}") from error
                if not isinstance(first[-1], CgroupPath | DirectoryPath | StreamCounts):
                    return first
        if lines.is_at_end:
            raise DataError(f"{name} has no event, so nothing is recorded")
        if stop.received is not None:
            raise Signalled("no event has come, so nothing is recorded", stop.received)
        lines.wait(_POLL_SECONDS)


class _EndOfInput:
    """Ends the recording at the end of the source, or grace_seconds after a signal."""

    def __init__(self, source: LineSource, stop: StopSignal, grace_seconds: float) -> None:
        self._source = source
        self._stop = stop
        self._grace_seconds = grace_seconds
        self._stopped: float | None = None

    def start(self) -> None:
        """Does nothing."""

    def is_over(self, is_anyone_alive: Callable[[], bool]) -> bool:
        if self._stop.received is not None and self._stopped is None:
            self._stopped = time.monotonic()
        is_late = self._stopped is not None and time.monotonic() - self._stopped >= self._grace_seconds
        return self._source.is_exhausted or is_late
