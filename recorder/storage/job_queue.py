"""Runs writes in a separate thread, so that a locked, full or slow file stops neither draining nor signal handling.

Writes that fail stay in the queue, and are tried again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ..errors import WebpfError
from .write_attempts import WriteAttempts

if TYPE_CHECKING:
    from .incidents import Incident
    from .recording_file import RecordingFile

SMALL = 1024
"""Estimated bytes of a job without events."""

_RETRY_SECONDS = 0.2
_FILE_CHECK_SECONDS = 0.8  # between checks of the file; up to 1.5 times as long while the queue is empty
_FAILING_SECONDS = 5.0  # how long to wait at the end while writes fail
_HUNG_SECONDS = 10.0  # how long to wait at the end for a write that doesn't return
Job: TypeAlias = Callable[[], None]


class JobQueue:
    """Runs jobs in order, each until it succeeds. Its methods raise StorageError once writing is impossible.

    now: returns Unix ns by the clock of the events. prepare: called in the queue's thread before each job; returns a
    job that must run first, or None.
    """

    def __init__(self, file: RecordingFile, now: Callable[[], int], prepare: Callable[[], Job | None]) -> None:
        self._file = file
        self._prepare = prepare
        self._jobs: deque[tuple[Job, int]] = deque()
        self._urgent: Job | None = None  # runs before all others
        self.bytes = 0
        """Bytes that wait to be written."""
        self.enqueued = self._done = 0  # jobs so far
        self._changed = threading.Condition()
        self._error: WebpfError | None = None  # the reason why no more can be written
        self._attempts = WriteAttempts(file, now)
        self._is_closing = False
        self.upkeep: Job = lambda: None
        """Called before each job, and about once a second, in the queue's thread. It must not take long."""
        file.retry_soon()
        self._thread = threading.Thread(target=self._run, name="webpf writer", daemon=True)
        self._thread.start()

    # The recording thread calls these.

    def check(self) -> None:
        """Raises StorageError if writing is impossible."""
        if self._error is not None:
            raise self._error

    def add(self, job: Job, size: int = SMALL) -> None:
        """Adds a job. size: the bytes that wait with it."""
        self.check()
        with self._changed:
            self._jobs.append((job, size))
            self.bytes += size
            self.enqueued += 1
            self._changed.notify_all()

    def set_urgent(self, job: Job | None) -> None:
        """Adds a job that overtakes the others, in place of an earlier one; None: drops that."""
        self.check()
        with self._changed:
            self._urgent = job
            self._changed.notify_all()

    def has_done(self, count: int) -> bool:
        """Whether the first jobs of this number are done."""
        return self._done >= count

    def run_and_wait(self, job: Job) -> None:
        """Runs a job after all others, and waits for it. Raises StorageError if they make no progress."""
        self.add(job)
        self.await_idle()

    def await_idle(self) -> None:
        """Waits until all jobs are done. Raises StorageError if they make no progress."""
        self.wait_for(lambda: self._urgent is None and not self._jobs)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Waits until the jobs have brought about something. Raises StorageError if they make no progress."""
        since, jobs = time.monotonic(), len(self._jobs)
        with self._changed:
            while not condition():
                self.check()
                self._changed.wait(0.1)
                if len(self._jobs) != jobs:
                    since, jobs = time.monotonic(), len(self._jobs)
                waited = time.monotonic() - since
                if self._attempts.failure is not None and waited > _FAILING_SECONDS:
                    self._error = self._attempts.failure
                elif waited > _HUNG_SECONDS:
                    self._error = self._file.failure(TimeoutError("the disk doesn't answer"))

    @property
    def committed_ns(self) -> int | None:
        """Unix ns of the latest commit; None before the first."""
        return self._attempts.committed_ns

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
            if not (self._jobs or self._urgent or self._is_closing):
                self._changed.wait(1.5 * _FILE_CHECK_SECONDS)
            job, size = self._jobs[0] if self._jobs else (None, 0)
            urgent = self._urgent
        self.upkeep()
        first = self._prepare()
        if first is not None:
            self._attempt(first)
        if urgent is not None and self._attempt(urgent):
            with self._changed:
                self._urgent = None if self._urgent is urgent else self._urgent
                self._changed.notify_all()
        if job is not None and self._attempt(job):
            with self._changed:
                self._jobs.popleft()
                self.bytes -= size
                self._done += 1
                self._changed.notify_all()

    def _attempt(self, job: Job) -> bool:
        """Runs a write. Returns False if it failed, after a pause."""
        if self._attempts.run(job, is_first=not self._jobs or job is self._jobs[0][0]):
            return True
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing, _RETRY_SECONDS)
        return False
