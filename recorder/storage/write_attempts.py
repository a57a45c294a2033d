"""Runs the writes to a recording file in the writing thread, and notes incidents: times when writes fail or hang."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import StorageError
from ..log import get_logger
from . import incidents
from .incidents import Incident

if TYPE_CHECKING:
    from .recording_file import RecordingFile

_log = get_logger(__name__)
_SLOW_WRITE_NS = 3_000_000_000  # a write that takes longer is an incident ...
_SLOW_WRITE_POLLS = 10  # ... if the recorder polled so often meanwhile; otherwise it was stopped, or the machine was


class WriteAttempts:
    """Runs writes, and keeps track of the incident that is going on.

    An incident begins with the first write that fails. It ends when a write succeeds and no failed write is waiting.
    now: returns Unix ns by the clock of the events.
    """

    def __init__(self, file: RecordingFile, now: Callable[[], int]) -> None:
        self._file = file
        self._now = now
        self._since_ns = self._since_poll = 0  # start of the write that is running; 0: none is
        self._polls = 0
        self._incident: Incident | None = None
        self._ended: deque[Incident] = deque()
        self.failure: StorageError | None = None
        """The error of the latest write, or of an earlier one that is still waiting."""
        self.committed_ns: int | None = None
        """Unix ns of the latest write that succeeded; None before the first."""

    def run(self, job: Callable[[], None], is_first: bool) -> bool:
        """Runs a write. Returns False if it failed and should be tried again. Raises errors that a retry can't mend.

        is_first: no other write is waiting before this one. If a small write succeeds while a large one waits for
        room on the disk, the incident goes on.
        """
        self._since_ns, self._since_poll = self._now(), self._polls
        try:
            self._file.check_pauses()
            job()
        except StorageError as error:
            self._file.monitor.check()  # don't retry if the file was removed or overwritten
            if not isinstance(error.__cause__, sqlite3.OperationalError | MemoryError):
                raise
            self.failure = error
            if self._incident is None:
                self._incident = incidents.incident_from_error(error.__cause__, self._file.path, self._since_ns)
                _log.warning("incident begins: %s", error.message)
            self._since_ns = 0
            return False
        if is_first or self._incident is None:
            incident = self._incident or self._slow_write()
            if incident is not None:
                self._ended.append(incident := incident.end_at(self._now()))
                seconds = (incident.until_ns - incident.from_ns) / 1e9
                _log.warning("incident ends: %s for %.1f s, %s", incident.kind, seconds, incident.detail or "no detail")
            self._incident = self.failure = None
        self._since_ns = 0
        self.committed_ns = self._now()
        return True

    # The recording thread calls these.

    @property
    def current_incident(self) -> Incident | None:
        """The incident that is going on, or None."""
        return self._incident or self._slow_write()

    def take_ended_incidents(self) -> list[Incident]:
        """Returns the incidents that have ended since the last call. The recorder calls this regularly."""
        self._polls += 1
        return [self._ended.popleft() for _ in range(len(self._ended))]

    def _slow_write(self) -> Incident | None:
        """Returns the write that is running now as an incident if it takes too long, or None."""
        since_ns = self._since_ns
        if since_ns and self._now() - since_ns > _SLOW_WRITE_NS and self._polls - self._since_poll > _SLOW_WRITE_POLLS:
            return Incident(since_ns, since_ns, incidents.SLOW, "")
        return None
