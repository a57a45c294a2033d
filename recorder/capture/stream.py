"""Prints events as JSON lines while they happen, without a file."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..host import clock
from ..host.pipe_writer import PipeWriter
from ..host.signals import StopSignal
from ..model.bounded_cache import MIB, BoundedDict
from ..model.event_source import Source
from ..model.events import Event, Exit, Free
from . import privileges
from .attach import attach
from .helper_process import HelperProcesses
from .line_printer import LinePrinter
from .privileges import STAY, Plan
from .record_options import RecordOptions
from .redacted_source import RedactedSource

if TYPE_CHECKING:
    from .recorder import Observer

_DRAIN_SECONDS = 0.05
_SETTLE_SECONDS = 0.25
_PATIENCE_SECONDS = 2.0  # a whole stream is worth little without its end, and a reader may wait for its disk
_NEEDED_LATER = ("webpf.capture.directory_lookup", "webpf.output.messages")
_FILE_OPTIONS = ("db", "name", "events")  # options of a recording that a stream doesn't have


def stream(output: int, options: RecordOptions, on_start: Callable[[], None] = lambda: None, plan: Plan = STAY) -> int:
    """Prints fork (F), exec (X) and exit (E) of every process, until a signal comes or options.duration is over.

    output: a descriptor. on_start: called when the BPF programs are attached. plan: whether to stop being root then.
    Returns the number of lost events: those for which the ring buffer had no room, and those that the reader didn't
    take at the end.
    """
    with StopSignal() as stop:
        return _stream(output, options, stop, on_start, plan)


def _stream(output: int, options: RecordOptions, stop: StopSignal, on_start: Callable[[], None], plan: Plan) -> int:
    if plan.user:
        _start_helpers(plan)
    redaction, duration = options.redaction(), options.duration
    probe = attach(options, clock.measure_offset())
    source: Source = probe
    if redaction.active:
        source = RedactedSource(source, redaction)
    end = float("inf")

    def is_ending() -> bool:
        return stop.has_come() or time.monotonic() >= end

    printer = _EventPrinter(LinePrinter(PipeWriter(output, is_ending)))
    try:
        plan.carry_out(_NEEDED_LATER, probe)
        on_start()
        if duration is not None:
            end = time.monotonic() + duration
        while not is_ending():
            if not source.has_more():
                source.wait(max(0, min(end - time.monotonic(), _DRAIN_SECONDS)))
            printer.print(source.drain())
        source.detach()
        settled = time.monotonic() + _SETTLE_SECONDS
        # An event may not be completely written yet, and others may follow it.
        while printer.taken < sum(source.counts().arrived) and time.monotonic() < settled:
            if events := source.drain():
                printer.print(events)
                settled = time.monotonic() + _SETTLE_SECONDS  # after print(), which can block
        return sum(source.counts().lost) + printer.unread
    finally:
        source.close()


def _start_helpers(plan: Plan) -> None:
    helpers = HelperProcesses()
    add_helper = helpers.fork_forker() if plan.user else helpers.fork_first()
    from .helper_client import HelperClient

    privileges.use_client(HelperClient(helpers.ours, add_helper))


class _EventPrinter:
    """Prints the forks, execs and exits among events. taken: number of events of all kinds so far."""

    def __init__(self, lines: LinePrinter) -> None:
        self.taken = 0
        self._lines = lines
        self._ended: BoundedDict[int, int] = BoundedDict(MIB)  # by pid: start of the process that ended last

    @property
    def unread(self) -> int:
        """Returns the number of events that the reader didn't take."""
        return self._lines.unread

    def print(self, events: list[Event]) -> None:
        self.taken += len(events)
        self._lines.print([event for event in events if self._is_wanted(event)])

    def _is_wanted(self, event: Event) -> bool:
        if isinstance(event, Exit):
            # Before Linux 6.16, if two threads of a process exit at the same time, both can report its exit.
            if self._ended.get(event.pid) == event.start_ns:
                return False
            self._ended[event.pid] = event.start_ns
        return not isinstance(event, Free)


def stream_fully(output: int, options: RecordOptions, observer: Observer, plan: Plan = STAY) -> int:
    """Prints all that a recording of this machine would have, from the head to the counts: see json_lines.encode().

    plan: as in stream(). Returns the number of lost events, as stream() does. If the reader stops reading, the last
    lines are missing, which include the counts that end a whole stream.
    """
    _start_helpers(plan)  # before the imports: this process is small now
    from .line_writer import LineWriter
    from .live_recording import this_machine
    from .recorder import Run
    from .recording_session import Session
    from .targets import WholeMachine

    with WholeMachine() as target, this_machine(options, target) as (source, machine, probe):
        end_ns = None if options.duration is None else machine.started_ns + round(options.duration * 1e9)

        def is_ending() -> bool:
            return target.is_over(lambda: True) or (end_ns is not None and machine.now() >= end_ns)

        printer = LinePrinter(PipeWriter(output, is_ending, _PATIENCE_SECONDS))
        writer = LineWriter(printer)
        snapshot = machine.snapshot(source)
        plan.carry_out(_NEEDED_LATER, probe)
        observer.started(0, 0)
        kept = {name: value for name, value in options.recorded().items() if name not in _FILE_OPTIONS}
        writer.print_head(machine, kept)
        session = Session(source, writer, machine, on_events=writer.print_events)
        Run(session, machine, target, options, observer).finish(snapshot)
        return sum(session.counts.lost) + printer.unread
