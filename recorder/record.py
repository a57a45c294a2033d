"""One recording from start to end: source -> pairing -> store; when to stop, and what to check then."""

from __future__ import annotations

import gc
import os
import platform
import shlex
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from . import __version__, bcclib, cgroups, clock, dbfile, liveness, probe, procfs
from .events import Event, Exec, Fork, Gone
from .lifetimes import Pairing
from .source import Counts, Source

if TYPE_CHECKING:
    from .store import RecordingWriter, Totals

DRAIN_SECONDS = 0.1  # with a commit after each drain, so that readers see rows this much later at most
HEARTBEAT_NS = 1_000_000_000
FREES_SECONDS = 0.25  # the kernel frees a task some 20 ms after it was reaped


@dataclass(frozen=True)
class Options:
    """What the user asked for. duration in seconds, None: until a signal; max_args in bytes."""

    db: Path
    duration: float | None = None
    name: str | None = None
    buffer_mib: int = 16
    max_args: int = 32768


@dataclass(frozen=True)
class Status:
    """How a recording stands. Times in seconds; lost counts facts of all kinds."""

    elapsed: float
    duration: float | None
    processes: int
    events: int
    lost: int


@dataclass(frozen=True)
class Summary:
    """What a finished recording holds."""

    recording_id: int
    db: Path
    seconds: float
    counts: Counts
    written: tuple[int, ...]
    totals: Totals

    @property
    def complete(self) -> bool:
        """Nothing was lost, and what the kernel says it wrote is what the file holds."""
        return not any(self.counts.lost) and self.counts.arrived == self.written


class Observer(Protocol):
    """Is told how a recording goes."""

    def started(self, recording_id: int, others: int) -> None:
        """Recording has begun; `others` is how many recorders write this file besides."""

    def status(self, status: Status) -> None:
        """About every tenth of a second."""

    def finishing(self) -> None:
        """The end has come: what is in the buffer is being written."""


class StopSignal:
    """Notes SIGINT, SIGTERM and SIGHUP instead of dying of them. A handler only sets a flag."""

    def __init__(self) -> None:
        self.received: int | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup ignores SIGHUP, and means it. An ignored SIGINT is only what shells do to background jobs.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number


def record(options: Options, observer: Observer) -> Summary:
    """Records the whole machine. Raises a WebpfError if it can't, or can't go on; the file keeps what it has."""
    dbfile.check_writable(options.db)
    stop = StopSignal()
    # Events are tuples by the hundred thousand and never form cycles: looking through them for garbage costs a tenth.
    gc.freeze()
    gc.set_threshold(1_000_000)
    offset = clock.measure_offset()
    source = probe.Probe(offset, options.buffer_mib, options.max_args)
    try:
        started_ns = clock.boot_ns() + offset
        cgroup_ids: dict[str, int] = {}
        alive = procfs.scan(offset, options.max_args, cgroup_ids)
        events = source.drain()
        from .store import Store  # takes a while to import: the programs are attached, and collect meanwhile

        store = Store(options.db)
        try:
            others = store.mark_interrupted()
            writer = store.begin(_about(options, started_ns, offset))
            session = _Session(source, writer, offset)
            session.cgroups.update({number: path for path, number in cgroup_ids.items()})
            writer.write_cgroups(session.cgroups)
            observer.started(writer.id, others)
            session.take_in([*procfs.without_doubles(alive, events), *events])
            _run(session, options, started_ns, stop, observer)
            observer.finishing()
            return session.finish(options.db, started_ns)
        finally:
            store.close()
    finally:
        source.close()


def _run(session: _Session, options: Options, started_ns: int, stop: StopSignal, observer: Observer) -> None:
    heartbeat = 0
    while stop.received is None:
        elapsed = (session.now() - started_ns) / 1e9
        left = DRAIN_SECONDS if options.duration is None else options.duration - elapsed
        if left <= 0:
            return
        session.source.wait(min(left, DRAIN_SECONDS))
        session.take_in(session.source.drain())
        if session.now() - heartbeat > HEARTBEAT_NS:
            heartbeat = session.now()
            session.counts = session.source.counts()
            session.writer.write_counts(session.counts, heartbeat)
        observer.status(
            Status(elapsed, options.duration, session.processes, sum(session.writer.written), sum(session.counts.lost))
        )


class _Session:
    """A recording under way."""

    def __init__(self, source: Source, writer: RecordingWriter, offset: int) -> None:
        self.source = source
        self.writer = writer
        self.cgroups: dict[int, str | None] = {}
        self.counts = Counts()
        self.processes = 0
        self._offset = offset
        self._pairing = Pairing()

    def now(self) -> int:
        """Unix ns by the clock of the events."""
        return clock.boot_ns() + self._offset

    def take_in(self, events: list[Event]) -> None:
        """Pairs events and writes them, with the processes that they changed, in one transaction."""
        if not events:
            return
        first_id = self.writer.reserve(len(events))
        owners = self._pairing.feed(events, first_id)
        changed = self._pairing.take_changed()
        self.writer.write(events, first_id, owners, changed, self.now())
        self.processes += sum(process.id >= first_id for process in changed)
        self._look_up_cgroups(events)

    def finish(self, db: Path, started_ns: int) -> Summary:
        """Takes in the rest, finds out what is still alive, and closes the books."""
        self.take_in(self.source.drain())
        suspects = [p for p in self._pairing.running() if not procfs.is_alive(p.pid, p.start_ns, self._offset)]
        self.source.stop_intake()
        ended_ns = self.now()
        deadline = time.monotonic() + FREES_SECONDS
        while True:
            self.take_in(self.source.drain())
            # Zombies are never freed while nobody reaps them, so there is a deadline.
            if not self._pairing.waiting() or time.monotonic() > deadline:
                break
            self.source.wait(0.01)
        self.counts = self._settle()
        # Whoever ended before the check has reported its exit by now, unless that was lost.
        gone: list[Event] = [Gone(ended_ns, p.pid, p.start_ns) for p in suspects if p.state == "running"]
        self.take_in(gone)
        self.writer.write_counts(self.counts, ended_ns)
        self.writer.finish("complete", ended_ns)
        return Summary(
            self.writer.id, db, (ended_ns - started_ns) / 1e9, self.counts, self.writer.written, self.writer.totals()
        )

    def _settle(self) -> Counts:
        """Ends the source, and takes in records that were still being written when it did."""
        self.source.detach()
        deadline = time.monotonic() + FREES_SECONDS
        while True:
            self.take_in(self.source.drain())
            counts = self.source.counts()
            if counts.arrived == self.writer.written or time.monotonic() > deadline:
                return counts
            self.source.wait(0.001)

    def _look_up_cgroups(self, events: Iterable[Event]) -> None:
        new = {event.cgroup_id for event in events if type(event) is Fork or type(event) is Exec} - self.cgroups.keys()
        if new:
            paths = {number: cgroups.path_of(number) for number in new}
            self.cgroups.update(paths)
            self.writer.write_cgroups(paths)


def _about(options: Options, started_ns: int, offset: int) -> dict[str, Any]:
    """The columns of `recordings` that are known at the start."""
    own = procfs.read_stat(os.getpid())
    assert own is not None
    return {
        "name": options.name,
        "started_ns": started_ns,
        "updated_ns": started_ns,
        "host": socket.gethostname(),
        "boot_id": liveness.boot_id(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpus": os.cpu_count() or 1,
        "command": shlex.join(sys.argv),
        "options": asdict(options) | {"db": str(options.db)},
        "recorder_pid": os.getpid(),
        "recorder_start_ns": own.start_ns,
        "clock_offset_ns": offset,
        "webpf_version": __version__,
        "bcc_version": bcclib.find().version,
        "python_version": platform.python_version(),
        "sqlite_version": sqlite3.sqlite_version,
    }
