"""Makes one recording from start to end: source -> pairing -> file. Decides when to stop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import WebpfError
from ..log import Steps, get_logger
from ..model.event_source import Counts, Source
from . import recording_end, supervisor
from .record_options import RecordOptions
from .surroundings import Snapshot, Surroundings

if TYPE_CHECKING:
    from ..storage.recording_totals import Totals
    from ..storage.write_queue import WriteQueue
    from .recording_session import Session
    from .tally import ProcessTally

_log = get_logger(__name__)

DRAIN_SECONDS = 0.2  # with a commit after each drain, so that readers see rows within a quarter of a second
HEARTBEAT_SECONDS = 1.0


@dataclass(frozen=True)
class Status:
    """The progress of a recording.

    elapsed, duration: seconds. lost: events of all kinds. waiting_bytes: bytes that are not written to the file yet.
    commit_age: seconds since the latest commit to the file; None before the first. written, lost_kinds: events in the
    file, and lost ones, by kind. pauses: times in which the file could not be written, as far as they were reported.
    """

    elapsed: float
    duration: float | None
    processes: int
    events: int
    lost: int
    waiting_bytes: int = 0
    commit_age: float | None = None
    written: tuple[int, ...] = ()
    lost_kinds: tuple[int, ...] = ()
    pauses: int = 0


@dataclass(frozen=True)
class Summary:
    """What a finished recording holds.

    recording_id, totals: of a chain, those of its last segment. segments: how many the chain has got; 1: it is no
    chain. processes: of all segments, and of kernel threads none.
    """

    recording_id: int
    db: Path
    seconds: float
    counts: Counts
    written: tuple[int, ...]
    totals: Totals
    is_interrupted: bool
    processes: int
    segments: int = 1

    @property
    def complete(self) -> bool:
        """Whether no event was lost, and the file has as many events as the kernel counted."""
        is_whole = self.counts.are_known and not self.is_interrupted
        return is_whole and not any(self.counts.lost) and self.counts.arrived == self.written


class Observer(Protocol):
    """Gets the progress of a recording."""

    def started(self, recording_id: int, others: int) -> None:
        """Called when the recording has started. others: number of other recorders that write to the same file."""

    def status(self, status: Status) -> None:
        """Called at each drain, several times a second."""

    def finishing(self) -> None:
        """Called at the end, before the last events are drained and written."""

    def message(self, text: str) -> None:
        """Called with one line of text for the user."""


class Recordable(Protocol):
    """What is recorded, for example a Target: how it starts, and when it is over."""

    def start(self) -> None:
        """Starts it; called when the recorder is ready."""

    def is_over(self, is_anyone_alive: Callable[[], bool]) -> bool:
        """Whether the recording ends now. is_anyone_alive: returns whether a recorded process is alive."""


def record(
    options: RecordOptions,
    source: Source,
    machine: Surroundings,
    target: Recordable,
    observer: Observer,
    before_writing: Callable[[], None] = lambda: None,
    tally: ProcessTally | None = None,
) -> Summary:
    """Records the events of a source. machine: where the events come from. The caller closes the source.

    before_writing: called when all is imported, before the file is opened. tally: counts processes meanwhile.
    Raises a WebpfError if recording isn't possible, or fails later: the file keeps what has been written.
    """
    steps = Steps(_log)
    snapshot = machine.snapshot(source)
    steps.done(f"snapshot of /proc with {len(snapshot.events)} events and {len(snapshot.cgroup_paths)} cgroups")
    # These imports take a while; meanwhile the source collects events.
    from .incident_log import IncidentLog
    from .recording_session import Session
    from .rotation import Rotation

    before_writing()

    def describe(started_ns: int) -> dict[str, Any]:
        times = {"started_ns": started_ns, "updated_ns": started_ns}
        return {"name": options.name, **times, "options": options.recorded(), **asdict(machine.describe_host())}

    first = {"segment": 1} if options.rotate else options.columns_of_run
    with _writing(options, describe(machine.started_ns) | first, machine.now) as (queue, others):
        observer.started(queue.id, others)
        session = Session(source, queue, machine, options.is_filtered)
        log = IncidentLog(session, queue, options.db, observer.message if machine.is_live else None)
        rotation = Rotation(session, queue, options.rotate, describe) if options.rotate else None
        counting = [] if tally is None else [tally.follow(session)]
        after_drain = (log.record_ended, *([rotation.step] if rotation else []), *counting)
        run = Run(session, machine, target, options, observer, after_drain, queue.end_pauses, lambda: log.reported)
        ended_ns = run.finish(snapshot)
        log.record_ended()
        queue.await_idle()
        queue.check_file()
        seconds, segments = (ended_ns - machine.started_ns) / 1e9, rotation.segments if rotation else 1
        return _summarize(session, queue, options.db, seconds, segments)


def _summarize(session: Session, queue: WriteQueue, db: Path, seconds: float, segments: int) -> Summary:
    return Summary(
        recording_id=queue.last_id,
        db=db,
        seconds=seconds,
        counts=session.counts,
        written=session.written,
        totals=queue.totals(),
        is_interrupted=session.machine.is_interrupted,
        processes=session.processes,
        segments=segments,
    )


@contextlib.contextmanager
def _writing(
    options: RecordOptions, columns: dict[str, Any], now: Callable[[], int]
) -> Iterator[tuple[WriteQueue, int]]:
    """Yields the writer of a new recording in its file, and how many other recordings are being written to it."""
    from ..storage.recording_file import RecordingFile
    from ..storage.write_queue import WriteQueue

    file = RecordingFile(options.db, options.file_mode)
    queue = None
    try:
        others = file.mark_interrupted()
        queue = WriteQueue(file, file.begin(columns), now)
        if options.limits.in_use:
            queue.keep_within(options.limits, now)
        yield queue, others
    finally:
        if queue is None or queue.close():
            file.close()
        else:
            file.abandon()


@dataclass(frozen=True)
class Run:
    """Runs a session whose writer is ready. after_drain: called after each drain, in the thread that records.

    at_end: called in the same thread when the target is over, before the last events are written. pauses: as in Status.
    """

    session: Session
    machine: Surroundings
    target: Recordable
    options: RecordOptions
    observer: Observer
    after_drain: Sequence[Callable[[], None]] = ()
    at_end: Callable[[], None] = lambda: None
    pauses: Callable[[], int] = lambda: 0

    def finish(self, snapshot: Snapshot) -> int:
        """Writes all events from the snapshot to the end of the recording. Returns the end in Unix ns."""
        session = self.session
        session.paths.write_cgroups(snapshot.cgroup_paths)
        session.add_events(snapshot.events, snapshot.until_ns)
        session.drain()  # events that came during the imports, before the target starts
        try:
            self.target.start()
        except WebpfError:
            recording_end.finish(session)
            raise
        self._loop()
        self.observer.finishing()
        self.at_end()
        session.add_scan(self.machine.rescan())
        return recording_end.finish(session, self.machine.find_changed)

    def _loop(self) -> None:
        """Drains events until the duration or the target is over."""
        session, duration = self.session, self.options.duration
        next_heartbeat, next_sweep = 0.0, self.machine.sweep_seconds
        while not self.target.is_over(lambda: bool(session.running())):
            elapsed = (session.now() - self.machine.started_ns) / 1e9
            left = DRAIN_SECONDS if duration is None else duration - elapsed
            if left <= 0:
                return
            session.source.wait(min(left, DRAIN_SECONDS))
            session.drain()
            for call in self.after_drain:
                call()
            if elapsed >= next_heartbeat:
                next_heartbeat = elapsed + HEARTBEAT_SECONDS
                supervisor.stop_with_supervisor()
                session.update_counts()
            if elapsed >= next_sweep:
                next_sweep = elapsed + self.machine.sweep_seconds
                session.forget_unfreed()
                session.add_scan(self.machine.rescan())
            self.observer.status(self._status(elapsed))

    def _status(self, elapsed: float) -> Status:
        session, writer = self.session, self.session.writer
        written, lost = session.written, session.counts.lost
        age = None if writer.committed_ns is None else (session.now() - writer.committed_ns) / 1e9
        numbers = session.processes, sum(written), sum(lost), writer.waiting_bytes
        return Status(elapsed, self.options.duration, *numbers, age, written, lost, self.pauses())
