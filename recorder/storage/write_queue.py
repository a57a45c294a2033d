"""Queues the writes of a recording, or of a chain of recordings, and runs them in another thread (job_queue.py).

When more than MOST_BYTES wait, the recorder must stop draining; the events that the ring buffer then has no room for
are counted as lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from . import event_ids
from .job_queue import SMALL, Job, JobQueue
from .recording_writer import RecordingWriter
from .segment_cut import SegmentCut

if TYPE_CHECKING:
    from ..model.event_source import Counts
    from ..model.limits import Limits
    from ..model.process import Process
    from .carried_rows import CarriedRows
    from .event_rows import EventRows
    from .incidents import Incident
    from .process_rows import Link
    from .recording_file import RecordingFile
    from .recording_totals import Totals
    from .retention import Retention

MOST_BYTES = 64 << 20


class WriteQueue:
    """A RecordingWriter that queues its writes, and runs them in order. Raises StorageError once writing is impossible.

    now: returns Unix ns by the clock of the events.
    """

    def __init__(self, file: RecordingFile, writer: RecordingWriter, now: Callable[[], int]) -> None:
        self.id = writer.id
        """The number of the recording; of a chain, of its first one."""
        self.left_out = writer.left_out
        self._file = file
        self._writer = writer  # of the segment that is being recorded
        self._ended: RecordingWriter | None = None  # of the segment before
        self._latest: Job | None = None  # writes the latest counts
        self._ids_wanted = 0
        self._retention: Retention | None = None
        writer.fetch_ids()
        self._jobs = JobQueue(file, now, self._ids_first)

    @property
    def written(self) -> tuple[int, ...]:
        """Events that are in the file or in the queue, by kind; of a chain, those of the latest segment."""
        return self._writer.prepared

    @property
    def last_id(self) -> int:
        """The number of the recording; of a chain, of its last one. Call it when everything is written."""
        return self._writer.id

    @property
    def has_room(self) -> bool:
        """True if the recorder should drain more events."""
        self._jobs.check()
        return self._jobs.bytes < MOST_BYTES and self._writer.has_enough_ids

    @property
    def enqueued(self) -> int:
        """How many writes have been queued so far."""
        return self._jobs.enqueued

    def has_written(self, count: int) -> bool:
        """Whether the first writes of this number are done."""
        return self._jobs.has_done(count)

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait to be written."""
        return self._jobs.bytes

    @property
    def committed_ns(self) -> int | None:
        """Unix ns of the latest commit; None before the first."""
        return self._jobs.committed_ns

    def reserve_ids(self, count: int) -> int:
        """See RecordingWriter.reserve_ids(). Waits if the writing thread must fetch more ids first."""
        if not self._writer.can_reserve_ids(count):
            self._ids_wanted = count
            self._jobs.wait_for(lambda: self._writer.can_reserve_ids(count))
        return self._writer.reserve_ids(count)

    def write(self, events: EventRows, processes: Iterable[Process], until_ns: int, links: Iterable[Link] = ()) -> None:
        writer, batch = self._writer, self._writer.prepare(events, processes, until_ns, links)
        self._jobs.add(lambda: writer.execute(batch), batch.bytes)

    def write_counts(self, counts: Counts, until_ns: int) -> None:
        """See RecordingWriter.write_counts(). Counts overtake the batches that wait: a full disk has room for them."""
        enqueued, writer = self._jobs.enqueued, self._writer

        def job() -> None:
            # What waits before them may never be written: so far, it is not in the file.
            if writer.has_begun:
                writer.write_counts(counts, until_ns if self.has_written(enqueued) else 0)

        self._latest = job
        self._jobs.set_urgent(job)

    def write_cgroups(self, paths: Mapping[int, str | bytes | None]) -> None:
        writer, size = self._writer, sum(len(path or "") for path in paths.values())
        self._jobs.add(lambda: writer.write_cgroups(paths), SMALL + size)

    def write_directories(self, paths: Mapping[tuple[int, int], str | bytes]) -> None:
        writer = self._writer
        self._jobs.add(lambda: writer.write_directories(paths), SMALL + sum(map(len, paths.values())))

    def write_incident(self, incident: Incident) -> None:
        writer = self._writer
        self._jobs.add(lambda: writer.write_incident(incident))

    def forget_process(self, process_id: int) -> None:
        self._writer.forget_process(process_id)

    @property
    def enough_ids(self) -> int:
        """How many ids a segment should begin with."""
        return event_ids.ENOUGH

    def can_cut(self, ids: int) -> bool:
        """Whether a segment can end now: the file can be written, and so many ids are reserved, or else will be."""
        if self._jobs.current_incident is not None or not self._writer.has_begun:
            return False
        if not self._writer.can_reserve_ids(ids):
            self._ids_wanted = ids
            return False
        return True

    def begin_segment(self, kept_ids: int, running: Iterable[Process]) -> tuple[range, ...]:
        """Directs all that follows to the next segment of the chain, which write_cut() then begins.

        kept_ids: how many ids the segment before keeps for late frees. running: its processes that go over. Returns the
        ids that it passes on.
        """
        before = self._writer
        for process in running:
            before.forget_process(process.id)
        passed = before.pass_ids(kept_ids)
        self._writer, self._ended = RecordingWriter(self._file, None, not before.left_out, passed), before
        self._latest = None
        self._jobs.set_urgent(None)  # these counts are older than those of write_cut()
        return passed

    def write_cut(
        self,
        ended_ns: int,
        counts: Counts,
        passed_ids: tuple[range, ...],
        columns: Mapping[str, Any],
        alive: CarriedRows,
    ) -> None:
        """Ends the segment before, and begins this one with the processes that go over: see SegmentCut."""
        assert self._ended is not None
        batch, known = self._writer.prepare(alive.events, alive.processes, ended_ns), (alive.commands, alive.cgroups)
        cut = SegmentCut(self._ended, self._writer, ended_ns, counts, passed_ids, columns, batch, *known)
        self._jobs.add(lambda: cut.execute(self._file), batch.bytes)

    def reserve_late_ids(self, count: int) -> int | None:
        """Returns the first of consecutive ids that the segment before has kept; None if it has not so many."""
        ended = self._ended
        return ended.reserve_ids(count) if ended is not None and ended.can_reserve_ids(count) else None

    def write_late(self, frees: EventRows, processes: Iterable[Process], until_ns: int) -> None:
        """Writes frees of processes that ended in the segment before. until_ns: its end."""
        ended = self._ended
        assert ended is not None
        batch = ended.prepare(frees, processes, until_ns)
        self._jobs.add(lambda: ended.execute_late(batch), batch.bytes)

    def await_room(self) -> None:
        """Waits until there is room. Raises StorageError if the writes make no progress."""
        self._jobs.wait_for(lambda: self.has_room)

    def await_idle(self) -> None:
        """Waits until everything is written. Raises StorageError if the writes make no progress."""
        self._jobs.await_idle()

    def finish(self, status: str, ended_ns: int) -> None:
        """Ends the recording with the latest counts, and waits until this is written. See RecordingWriter.finish()."""
        if self._latest is not None:
            self._jobs.add(self._latest)
        self._jobs.run_and_wait(lambda: self._writer.finish(status, ended_ns))

    def check_file(self) -> None:
        """Checks, after the last write, in the queue's thread, that the file still is at its path. Raises FileLost."""
        self._jobs.run_and_wait(self._file.monitor.check)

    def totals(self) -> Totals:
        """Returns the totals of a finished recording, read in the queue's thread: a connection serves one thread."""
        found: list[Totals] = []
        self._jobs.run_and_wait(lambda: found.append(self._writer.totals()))
        return found[0]

    def keep_within(self, limits: Limits, now: Callable[[], int]) -> None:
        """Keeps the file within limits from now on, in the thread that writes. now: returns Unix ns."""
        from .retention import Retention

        self._retention = retention = Retention(self._file, limits, now, lambda: self._segment_id)
        self._file.check_room = retention.check_room
        self._jobs.upkeep = retention.tidy

    def end_pauses(self) -> None:
        """Writes what waits even if writing pauses: at the end of a recording it would be lost, and it is not much."""
        self._file.may_pause = False

    @property
    def _segment_id(self) -> int:
        """The number of the latest recording that is in the file."""
        writer = self._writer
        return writer.id if writer.has_begun or self._ended is None else self._ended.id

    @property
    def is_segment_full(self) -> bool:
        """Whether the segment that is being recorded should end before its time."""
        return self._retention is not None and self._retention.is_segment_full

    @property
    def current_incident(self) -> Incident | None:
        """The incident that is going on, or None."""
        return self._jobs.current_incident

    def take_ended_incidents(self) -> list[Incident]:
        """Returns the incidents that have ended since the last call."""
        return self._jobs.take_ended_incidents()

    def close(self) -> bool:
        """Ends the thread. Returns False if it hangs in a write: then nothing may use the file any more."""
        return self._jobs.close()

    def _ids_first(self) -> Job | None:
        """Returns the job that fetches ids, if it is time for that. Called in the queue's thread."""
        writer, wanted = self._writer, self._ids_wanted
        if not (wanted or writer.needs_ids) or not writer.has_begun:
            return None

        def job() -> None:
            writer.fetch_ids(wanted)
            self._ids_wanted = 0

        return job
