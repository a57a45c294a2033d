"""Attempts to write to a recording's file, and the incidents that come of them. By the thread that writes."""

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
    from .recording_file import Store

_log = get_logger(__name__)
_SLOW_NS = 3_000_000_000  # a write that takes longer is an incident
_SLOW_LOOKS = 10  # and the recorder has run meanwhile: else it was stopped, or the machine was


class Attempts:
    """An incident goes from the first attempt that failed to one that succeeded, when nothing that failed still waits.

    now: Unix ns by the clock of the events.
    """

    def __init__(self, store: Store, now: Callable[[], int]) -> None:
        self._store = store
        self._now = now
        self._since_ns = self._since_look = 0  # when the attempt began that is under way
        self._looks = 0
        self._incident: Incident | None = None
        self._over: deque[Incident] = deque()
        self.failure: StorageError | None = None
        """Of the latest attempt, or of an earlier one of what still waits."""

    def make(self, job: Callable[[], None], is_head: bool) -> bool:
        """Whether it is done. Raises what is no use to try again.

        is_head: nothing waits that is to be tried before it. A small write may have room where a large one has none.
        """
        self._since_ns, self._since_look = self._now(), self._looks
        try:
            job()
        except StorageError as error:
            self._store.watch.check()  # a file that was taken away, or overwritten, isn't waited for
            if not isinstance(error.__cause__, sqlite3.OperationalError | MemoryError):
                raise
            self.failure = error
            if self._incident is None:
                self._incident = incidents.begun(error.__cause__, self._store.path, self._since_ns)
                _log.warning("incident begins: %s", error.message)
            self._since_ns = 0
            return False
        if is_head or self._incident is None:
            incident = self._incident or self._slow()
            if incident is not None:
                self._over.append(incident := incident.ended(self._now()))
                seconds = (incident.until_ns - incident.from_ns) / 1e9
                _log.warning("incident ends: %s for %.1f s, %s", incident.kind, seconds, incident.detail or "no detail")
            self._incident = self.failure = None
        self._since_ns = 0
        return True

    # For the thread that records.

    @property
    def trouble(self) -> Incident | None:
        """What keeps it from writing just now."""
        return self._incident or self._slow()

    def take_incidents(self) -> list[Incident]:
        """Those that have ended since the last call."""
        self._looks += 1
        return [self._over.popleft() for _ in range(len(self._over))]

    def _slow(self) -> Incident | None:
        """The attempt that is under way, if it takes too long."""
        since_ns = self._since_ns
        if since_ns and self._now() - since_ns > _SLOW_NS and self._looks - self._since_look > _SLOW_LOOKS:
            return Incident(since_ns, since_ns, incidents.SLOW, "")
        return None
