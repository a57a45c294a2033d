"""One recording from start to end: source -> pairing -> store; when to stop, and what to check then."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import WebpfError
from ..host import clock, procfs
from ..kernel import probe
from ..model.source import Counts, Source
from ..storage import file_check
from . import channel, recorder_columns, supervisor
from .min_lifetime import Lasting
from .proc_snapshot import FirstLook, View
from .redaction import Redacted, Redaction
from .targets import Machine, Target

if TYPE_CHECKING:
    from ..storage.totals import Totals
    from ..storage.write_queue import WriteQueue
    from .incident_log import IncidentLog
    from .path_lookup import PathLookup
    from .session import Session

DRAIN_SECONDS = 0.2  # with a commit after each drain, so that readers see rows within a quarter of a second
HEARTBEAT_SECONDS = 1.0
SWEEP_SECONDS = 60.0


@dataclass(frozen=True)
class Options:
    """What the user asked for. duration in seconds, None: until a signal; max_args in bytes.

    of: what is recorded: machine, command, or pid N. redact: how many patterns; which ones isn't written down, for they
    may be secrets. users, names: whose processes, and called what; none: all. min_lifetime: in seconds, who ended
    sooner is left out. cgroup: what gets into a cgroup that is made for the command.
    """

    db: Path
    duration: float | None = None
    name: str | None = None
    buffer_mib: int = 16
    max_args: int = 32768
    no_args: bool = False
    redact: int = 0
    of: str = "machine"
    users: Sequence[str] = ()
    names: Sequence[str] = ()
    min_lifetime: float | None = None
    cgroup: bool = False


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

    def told(self, message: str) -> None:
        """Something happened that is worth a line."""


def record(
    options: Options, observer: Observer, redaction: Redaction | None = None, target: Target | None = None
) -> Summary:
    """Records a target, by default the whole machine. Raises a WebpfError if it can't, or can't go on.

    The file keeps what it has.
    """
    file_check.check_writable(options.db)
    redaction = redaction or Redaction()
    target = target or Machine()
    # Events are tuples by the hundred thousand and never form cycles: looking through them for garbage costs a tenth.
    gc.freeze()
    gc.set_threshold(1_000_000)
    offset = clock.measure_offset()
    max_args = 0 if redaction.no_args else options.max_args  # then the kernel doesn't even read them
    attached = probe.Probe(offset, options.buffer_mib, max_args, follows=target.follows, filters=target.filters)
    source = _sifted(attached, attached.started_ns, options, redaction, offset)
    try:
        target.aim(attached)
        view = View(target, redaction, offset, max_args, _ns(options.min_lifetime or 0))
        first = view.first(source)
        # This takes a while to import: the programs are attached, and collect meanwhile.
        from .session import Session

        command = redaction.command(sys.argv)
        about = recorder_columns.known_at_start(asdict(options), attached.started_ns, offset, command)
        with _writing(options.db, about, lambda: clock.boot_ns() + offset) as (queue, others):
            observer.started(queue.id, others)
            session = Session(source, queue, offset, _path_lookup(), target.filters.active)
            return _write(session, queue, attached, first, options, view, observer)
    finally:
        source.close()


@contextlib.contextmanager
def _writing(path: Path, about: dict[str, Any], now: Callable[[], int]) -> Iterator[tuple[WriteQueue, int]]:
    """A new recording in this file, to be written, and how many others are being written to it."""
    from ..storage.recording_file import Store
    from ..storage.write_queue import WriteQueue

    store = Store(path)
    queue = None
    try:
        others = store.mark_interrupted()
        queue = WriteQueue(store, store.begin(about), now)
        yield queue, others
    finally:
        if queue is None or queue.close():
            store.close()
        else:
            store.abandon()


def _path_lookup() -> PathLookup | None:
    from .path_lookup import PathLookup

    mine = supervisor.current()
    return PathLookup(mine.lookups, lambda: mine.channel.send(channel.WORKER)) if mine else None


def _sifted(source: Source, since_ns: int, options: Options, redaction: Redaction, offset: int) -> Source:
    """The source, without what is not to be written down."""
    if redaction.active:
        source = Redacted(source, redaction)
    if options.min_lifetime is None:
        return source
    return Lasting(source, _ns(options.min_lifetime), since_ns, lambda: clock.boot_ns() + offset)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _write(
    session: Session,
    queue: WriteQueue,
    attached: probe.Probe,
    first: FirstLook,
    options: Options,
    view: View,
    observer: Observer,
) -> Summary:
    """Writes all that happens from the first look to the end."""
    from .incident_log import IncidentLog

    target = view.target
    log = IncidentLog(session, queue, options.db, observer.told)
    session.places.know_cgroups(first.cgroup_paths)
    session.take_in(first.events, first.until_ns)
    session.drain()  # what has come while the modules were imported, before anything is waited for
    state_of = partial(procfs.state_of, clock_offset=view.clock_offset)
    try:
        target.start(attached)
    except WebpfError:
        session.finish(state_of)
        raise
    _run(session, log, options, attached.started_ns, view, observer, state_of)
    observer.finishing()
    session.take_in_found(*view.again())
    ended_ns = session.finish(state_of, view.changed)
    log.look()
    queue.await_idle()
    queue.check_file()
    seconds = (ended_ns - attached.started_ns) / 1e9
    return Summary(queue.id, options.db, seconds, session.counts, queue.written, queue.totals())


def _run(
    session: Session,
    log: IncidentLog,
    options: Options,
    started_ns: int,
    view: View,
    observer: Observer,
    state_of: Callable[[int, int], procfs.State],
) -> None:
    """Takes events in until the time or the target is over."""
    next_heartbeat, next_sweep = 0.0, SWEEP_SECONDS
    while not view.target.is_over(session.is_anyone_alive):
        elapsed = (session.now() - started_ns) / 1e9
        left = DRAIN_SECONDS if options.duration is None else options.duration - elapsed
        if left <= 0:
            return
        session.source.wait(min(left, DRAIN_SECONDS))
        session.drain()
        log.look()
        if elapsed >= next_heartbeat:
            next_heartbeat = elapsed + HEARTBEAT_SECONDS
            supervisor.stop_with_supervisor()
            session.update_counts()
        if elapsed >= next_sweep:
            next_sweep = elapsed + SWEEP_SECONDS
            session.forget_unfreed(state_of)
            session.take_in_found(*view.again())
        observer.status(
            Status(elapsed, options.duration, session.processes, sum(session.writer.written), sum(session.counts.lost))
        )
