"""Writing in a thread of its own, so that a file which is locked, full or slow stops neither draining nor signals.

What can't be written is kept, and tried again. When more than MOST_BYTES wait, nothing more is to be drained: what the
kernel's buffer can't hold then is counted as lost.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from ..errors import WebpfError
from .attempts import Attempts

if TYPE_CHECKING:
    from ..model.process import Process
    from ..model.source import Counts
    from .columns import Facts
    from .incidents import Incident
    from .recording_file import Store
    from .recording_writer import Link, RecordingWriter
    from .totals import Totals

MOST_BYTES = 64 << 20

_RETRY_SECONDS = 0.2
_WATCH_SECONDS = 0.8  # from one look at the file to the next; half of it more, if nothing wakes the thread
_TROUBLE_SECONDS = 5.0  # at the end, for a file that can't be written
_HUNG_SECONDS = 10.0  # at the end, for a write that doesn't come back
_SMALL = 1024  # bytes for a job without events
_Job: TypeAlias = Callable[[], None]


class WriteQueue:
    """A RecordingWriter whose writes are done later, in order; it raises StorageError once nothing more can be written.

    now: Unix ns by the clock of the events.
    """

    def __init__(self, store: Store, writer: RecordingWriter, now: Callable[[], int]) -> None:
        self.id = writer.id
        self._store = store
        self._writer = writer
        self._jobs: deque[tuple[_Job, int]] = deque()
        self._bytes = 0
        self._counts: tuple[Counts, int] | None = None  # that are still to be written
        self._latest: tuple[Counts, int] | None = None
        self._ids_wanted = 0
        self._changed = threading.Condition()
        self._error: WebpfError | None = None  # why nothing more is written
        self._attempts = Attempts(store, now)
        self._is_closing = False
        writer.fetch_ids()
        store.retry_soon()
        self._thread = threading.Thread(target=self._run, name="webpf writer", daemon=True)
        self._thread.start()

    # For the thread that records.

    @property
    def written(self) -> tuple[int, ...]:
        """Events that are in the file or will be, by kind."""
        return self._writer.prepared

    @property
    def has_room(self) -> bool:
        """Whether more should be drained."""
        self._check()
        return self._bytes < MOST_BYTES and self._writer.has_ids

    @property
    def is_idle(self) -> bool:
        """Whether all is written."""
        return not self._jobs

    @property
    def waiting_bytes(self) -> int:
        """How much waits to be written."""
        return self._bytes

    def reserve(self, count: int) -> int:
        """See RecordingWriter.reserve(). It waits, if so many were not expected."""
        if not self._writer.can_reserve(count):
            self._ids_wanted = count
            self._await(lambda: self._writer.can_reserve(count))
        return self._writer.reserve(count)

    def write(self, facts: Facts, processes: Iterable[Process], until_ns: int, links: Iterable[Link] = ()) -> None:
        batch = self._writer.prepare(facts, processes, until_ns, links)
        self._put(lambda: self._writer.execute(batch), batch.bytes)

    def write_counts(self, counts: Counts, until_ns: int) -> None:
        self._check()
        with self._changed:
            self._counts = self._latest = (counts, until_ns)
            self._changed.notify_all()

    def write_cgroups(self, paths: Mapping[int, str | bytes | None]) -> None:
        size = sum(len(path or "") for path in paths.values())
        self._put(lambda: self._writer.write_cgroups(paths), _SMALL + size)

    def write_directories(self, paths: Mapping[tuple[int, int], str | bytes]) -> None:
        self._put(lambda: self._writer.write_directories(paths), _SMALL + sum(map(len, paths.values())))

    def write_incident(self, incident: Incident) -> None:
        self._put(lambda: self._writer.write_incident(incident), _SMALL)

    def forget(self, process_id: int) -> None:
        self._writer.forget(process_id)

    def await_room(self) -> None:
        """Waits until there is room, or writing doesn't get on."""
        self._await(lambda: self.has_room)

    def await_idle(self) -> None:
        """Waits until all is written, or writing doesn't get on."""
        self._await(lambda: self._counts is None and self.is_idle)

    def finish(self, status: str, ended_ns: int) -> None:
        """Ends the recording, with the latest counts; waits until that is written. See RecordingWriter.finish()."""
        if (counts := self._latest) is not None:
            self._put(lambda: self._writer.write_counts(*counts), _SMALL)
        self._do(lambda: self._writer.finish(status, ended_ns))

    def check_file(self) -> None:
        """At the end, when all is written: whether the file is where it was. Asks once more, in the queue's thread."""
        self._do(self._store.watch.check)

    def totals(self) -> Totals:
        """Of a recording that is finished. Read in the queue's thread: a connection serves one at a time."""
        found: list[Totals] = []
        self._do(lambda: found.append(self._writer.totals()))
        return found[0]

    @property
    def trouble(self) -> Incident | None:
        """What keeps it from writing just now."""
        return self._attempts.trouble

    def take_incidents(self) -> list[Incident]:
        """Those that have ended since the last call."""
        return self._attempts.take_incidents()

    def close(self) -> bool:
        """Ends the thread. False if it hangs in a write: then nothing may use the file any more."""
        self._is_closing = True
        with self._changed:
            self._changed.notify_all()
        self._thread.join(_HUNG_SECONDS if self._error is None else 2 * _RETRY_SECONDS)
        return not self._thread.is_alive()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _put(self, job: _Job, size: int) -> None:
        self._check()
        with self._changed:
            self._jobs.append((job, size))
            self._bytes += size
            self._changed.notify_all()

    def _do(self, job: _Job) -> None:
        self._put(job, _SMALL)
        self.await_idle()

    def _await(self, condition: Callable[[], bool]) -> None:
        since, jobs = time.monotonic(), len(self._jobs)
        with self._changed:
            while not condition():
                self._check()
                self._changed.wait(0.1)
                if len(self._jobs) != jobs:
                    since, jobs = time.monotonic(), len(self._jobs)
                waited = time.monotonic() - since
                if self._attempts.failure is not None and waited > _TROUBLE_SECONDS:
                    self._error = self._attempts.failure
                elif waited > _HUNG_SECONDS:
                    self._error = self._store.failure(TimeoutError("the disk doesn't answer"))

    # In the thread of its own.

    def _run(self) -> None:
        try:
            watched = time.monotonic()
            while not (self._is_closing and (self._attempts.failure or not self._jobs)):
                self._do_next()
                if time.monotonic() - watched > _WATCH_SECONDS:
                    self._store.watch.check()
                    watched = time.monotonic()
        except Exception as error:  # whatever it is, the other thread is to know
            failure = error if isinstance(error, WebpfError) else self._store.failure(error)
            with self._changed:
                self._error = failure
                self._changed.notify_all()

    def _do_next(self) -> None:
        with self._changed:
            if not (self._jobs or self._counts or self._is_closing):
                self._changed.wait(1.5 * _WATCH_SECONDS)
            job, size = self._jobs[0] if self._jobs else (None, 0)
            counts = self._counts
        if self._ids_wanted or self._writer.needs_ids:
            self._attempt(lambda: self._writer.fetch_ids(self._ids_wanted))
            self._ids_wanted = 0
        if counts is not None and self._attempt(lambda: self._writer.write_counts(*counts)):
            with self._changed:
                self._counts = None if self._counts is counts else self._counts
                self._changed.notify_all()
        if job is not None and self._attempt(job):
            with self._changed:
                self._jobs.popleft()
                self._bytes -= size
                self._changed.notify_all()

    def _attempt(self, job: _Job) -> bool:
        """Whether it is done; if not, some time has gone by."""
        if self._attempts.make(job, is_head=not self._jobs or job is self._jobs[0][0]):
            return True
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing, _RETRY_SECONDS)
        return False
