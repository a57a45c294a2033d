"""Writes in a separate thread, so that a locked, full or slow file stops neither draining nor signal handling.

Writes that fail stay in the queue, and are tried again. When more than MOST_BYTES wait, the recorder must stop
draining; the events that the ring buffer then has no room for are counted as lost.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from ..errors import WebpfError
from .write_attempts import WriteAttempts

if TYPE_CHECKING:
    from ..model.event_source import Counts
    from ..model.process import Process
    from .event_rows import EventRows
    from .incidents import Incident
    from .process_rows import Link
    from .recording_file import RecordingFile
    from .recording_totals import Totals
    from .recording_writer import RecordingWriter

MOST_BYTES = 64 << 20

_RETRY_SECONDS = 0.2
_FILE_CHECK_SECONDS = 0.8  # between checks of the file; up to 1.5 times as long while the queue is empty
_FAILING_SECONDS = 5.0  # how long to wait at the end while writes fail
_HUNG_SECONDS = 10.0  # how long to wait at the end for a write that doesn't return
_SMALL = 1024  # estimated bytes of a job without events
_Job: TypeAlias = Callable[[], None]


class WriteQueue:
    """A RecordingWriter that queues its writes, and runs them in order. Raises StorageError once writing is impossible.

    now: returns Unix ns by the clock of the events.
    """

    def __init__(self, file: RecordingFile, writer: RecordingWriter, now: Callable[[], int]) -> None:
        self.id = writer.id
        self.left_out = writer.left_out
        self._file = file
        self._writer = writer
        self._jobs: deque[tuple[_Job, int]] = deque()
        self._bytes = 0
        self._enqueued = self._done = 0  # jobs so far
        self._counts: _Job | None = None  # writes the latest counts, if that is still to be done
        self._latest: _Job | None = None
        self._ids_wanted = 0
        self._changed = threading.Condition()
        self._error: WebpfError | None = None  # the reason why no more can be written
        self._attempts = WriteAttempts(file, now)
        self._is_closing = False
        writer.fetch_ids()
        file.retry_soon()
        self._thread = threading.Thread(target=self._run, name="webpf writer", daemon=True)
        self._thread.start()

    # The recording thread calls these.

    @property
    def written(self) -> tuple[int, ...]:
        """Events that are in the file or in the queue, by kind."""
        return self._writer.prepared

    @property
    def has_room(self) -> bool:
        """True if the recorder should drain more events."""
        self._check()
        return self._bytes < MOST_BYTES and self._writer.has_enough_ids

    @property
    def enqueued(self) -> int:
        """How many writes have been queued so far."""
        return self._enqueued

    def has_written(self, count: int) -> bool:
        """Whether the first writes of this number are done."""
        return self._done >= count

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait to be written."""
        return self._bytes

    @property
    def committed_ns(self) -> int | None:
        """Unix ns of the latest commit; None before the first."""
        return self._attempts.committed_ns

    def reserve_ids(self, count: int) -> int:
        """See RecordingWriter.reserve_ids(). Waits if the writing thread must fetch more ids first."""
        if not self._writer.can_reserve_ids(count):
            self._ids_wanted = count
            self._wait_for(lambda: self._writer.can_reserve_ids(count))
        return self._writer.reserve_ids(count)

    def write(self, events: EventRows, processes: Iterable[Process], until_ns: int, links: Iterable[Link] = ()) -> None:
        batch = self._writer.prepare(events, processes, until_ns, links)
        self._enqueue(lambda: self._writer.execute(batch), batch.bytes)

    def write_counts(self, counts: Counts, until_ns: int) -> None:
        """See RecordingWriter.write_counts(). Counts overtake the batches that wait: a full disk has room for them."""
        self._check()
        enqueued = self._enqueued

        def job() -> None:
            # What waits before them may never be written: so far, it is not in the file.
            self._writer.write_counts(counts, until_ns if self.has_written(enqueued) else 0)

        with self._changed:
            self._counts = self._latest = job
            self._changed.notify_all()

    def write_cgroups(self, paths: Mapping[int, str | bytes | None]) -> None:
        size = sum(len(path or "") for path in paths.values())
        self._enqueue(lambda: self._writer.write_cgroups(paths), _SMALL + size)

    def write_directories(self, paths: Mapping[tuple[int, int], str | bytes]) -> None:
        self._enqueue(lambda: self._writer.write_directories(paths), _SMALL + sum(map(len, paths.values())))

    def write_incident(self, incident: Incident) -> None:
        self._enqueue(lambda: self._writer.write_incident(incident), _SMALL)

    def forget_process(self, process_id: int) -> None:
        self._writer.forget_process(process_id)

    def await_room(self) -> None:
        """Waits until there is room. Raises StorageError if the writes make no progress."""
        self._wait_for(lambda: self.has_room)

    def await_idle(self) -> None:
        """Waits until everything is written. Raises StorageError if the writes make no progress."""
        self._wait_for(lambda: self._counts is None and not self._jobs)

    def finish(self, status: str, ended_ns: int) -> None:
        """Ends the recording with the latest counts, and waits until this is written. See RecordingWriter.finish()."""
        if self._latest is not None:
            self._enqueue(self._latest, _SMALL)
        self._run_and_wait(lambda: self._writer.finish(status, ended_ns))

    def check_file(self) -> None:
        """Checks, after the last write, in the queue's thread, that the file still is at its path. Raises FileLost."""
        self._run_and_wait(self._file.monitor.check)

    def totals(self) -> Totals:
        """Returns the totals of a finished recording, read in the queue's thread: a connection serves one thread."""
        found: list[Totals] = []
        self._run_and_wait(lambda: found.append(self._writer.totals()))
        return found[0]

    @property
    def current_incident(self) -> Incident | None:
        """The incident that is going on, or None."""
        return self._attempts.current_incident

    def take_ended_incidents(self) -> list[Incident]:
        """Returns the incidents that have ended since the last call."""
        return self._attempts.take_ended_incidents()

    def close(self) -> bool:
        """Ends the thread. Returns False if it hangs in a write: then nothing may use the file any more."""
        self._is_closing = True
        with self._changed:
            self._changed.notify_all()
        self._thread.join(_HUNG_SECONDS if self._error is None else 2 * _RETRY_SECONDS)
        return not self._thread.is_alive()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _enqueue(self, job: _Job, size: int) -> None:
        self._check()
        with self._changed:
            self._jobs.append((job, size))
            self._bytes += size
            self._enqueued += 1
            self._changed.notify_all()

    def _run_and_wait(self, job: _Job) -> None:
        self._enqueue(job, _SMALL)
        self.await_idle()

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        since, jobs = time.monotonic(), len(self._jobs)
        with self._changed:
            while not condition():
                self._check()
                self._changed.wait(0.1)
                if len(self._jobs) != jobs:
                    since, jobs = time.monotonic(), len(self._jobs)
                waited = time.monotonic() - since
                if self._attempts.failure is not None and waited > _FAILING_SECONDS:
                    self._error = self._attempts.failure
                elif waited > _HUNG_SECONDS:
                    self._error = self._file.failure(TimeoutError("the disk doesn't answer"))

    # These run in the queue's own thread.

    def _run(self) -> None:
        try:
            checked_at = time.monotonic()
            while not (self._is_closing and (self._attempts.failure or not self._jobs)):
                self._run_next()
                if time.monotonic() - checked_at > _FILE_CHECK_SECONDS:
                    self._file.monitor.check()
                    checked_at = time.monotonic()
        except Exception as error:  # pass any error on to the recording thread
            failure = error if isinstance(error, WebpfError) else self._file.failure(error)
            with self._changed:
                self._error = failure
                self._changed.notify_all()

    def _run_next(self) -> None:
        with self._changed:
            if not (self._jobs or self._counts or self._is_closing):
                self._changed.wait(1.5 * _FILE_CHECK_SECONDS)
            job, size = self._jobs[0] if self._jobs else (None, 0)
            counts = self._counts
        if self._ids_wanted or self._writer.needs_ids:
            self._attempt(lambda: self._writer.fetch_ids(self._ids_wanted))
            self._ids_wanted = 0
        if counts is not None and self._attempt(counts):
            with self._changed:
                self._counts = None if self._counts is counts else self._counts
                self._changed.notify_all()
        if job is not None and self._attempt(job):
            with self._changed:
                self._jobs.popleft()
                self._bytes -= size
                self._done += 1
                self._changed.notify_all()

    def _attempt(self, job: _Job) -> bool:
        """Runs a write. Returns False if it failed, after a pause."""
        if self._attempts.run(job, is_first=not self._jobs or job is self._jobs[0][0]):
            return True
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing, _RETRY_SECONDS)
        return False
