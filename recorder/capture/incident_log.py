"""Reports times in which a recording's file could not be written, and records them when they are over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..storage.incidents import Incident
from ..storage.write_queue import WriteQueue
from .session import Session

_SHORTEST_NS = 1_000_000_000  # what is shorter, and cost no event, is not worth a word


class IncidentLog:
    """The incidents of one recording. report: gets one line for each incident that is over.

    Without report, nothing is recorded of them: what hinders a replay costs no event, and isn't of its machine.
    """

    def __init__(self, session: Session, queue: WriteQueue, path: Path, report: Callable[[str], None] | None) -> None:
        self._session = session
        self._queue = queue
        self._path = path
        self._report = report
        self._over: list[Incident] = []
        self._lost_before = 0

    def record_ended(self) -> None:
        """Take in incidents that are over. Call it often, in the thread that records."""
        self._over += self._queue.take_ended_incidents()
        if self._report is None:
            self._over = []
            return
        if not self._over:
            if self._queue.current_incident is None:
                self._lost_before = sum(self._session.counts.lost)
            return
        if not self._queue.is_idle:
            return  # what couldn't be written still waits: because of it, more may be lost
        self._session.update_counts()
        lost = sum(self._session.counts.lost) - self._lost_before
        longest = max(self._over, key=lambda incident: incident.until_ns - incident.from_ns)
        for incident in self._over:
            ended = replace(incident, lost=lost if incident is longest else 0)
            if ended.lost or ended.until_ns - ended.from_ns >= _SHORTEST_NS:
                self._queue.write_incident(ended)
                self._report(ended.describe(self._path))
        self._over = []
        self._lost_before += lost
