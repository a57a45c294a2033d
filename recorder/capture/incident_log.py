"""Incidents: times in which the file of a recording could not be written. Reports and records them when they end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..storage.incidents import Incident
from ..storage.write_queue import WriteQueue
from .recording_session import Session

_SHORTEST_NS = 1_000_000_000  # shorter incidents are ignored if no event was lost

_LONG_NS = 5_000_000_000


class IncidentLog:
    """The incidents of one recording. report: is called with one line of text for each incident that has ended.

    With report=None, incidents are discarded: during a replay they lose no event, and they didn't happen on the machine
    that the events come from.
    """

    def __init__(self, session: Session, queue: WriteQueue, path: Path, report: Callable[[str], None] | None) -> None:
        self._session = session
        self._queue = queue
        self._path = path
        self._report = report
        self._over: list[Incident] = []
        self._waited = 0  # how many writes had been queued when the latest incident ended
        self._lost_before = 0
        self._told_ns = 0  # begin of the latest incident that was reported while it went on
        self.reported = 0
        """How many incidents were reported. One that was reported while it went on and at its end counts once."""

    def record_ended(self) -> None:
        """Reports and records the incidents that have ended. Call it often, in the thread that records."""
        if ended := self._queue.take_ended_incidents():
            self._waited = self._queue.enqueued
            self._over += ended
        if self._report is None:
            self._over = []
            return
        if not self._over:
            self._report_long()
            if self._queue.current_incident is None:
                self._lost_before = sum(self._session.counts.lost)
            return
        if not self._queue.has_written(self._waited):
            return  # data of its time is still waiting, so more events can be lost because of this incident
        self._session.update_counts()
        lost = sum(self._session.counts.lost) - self._lost_before
        longest = max(self._over, key=lambda incident: incident.until_ns - incident.from_ns)
        for incident in self._over:
            told = replace(incident, lost=lost if incident is longest else 0)
            if told.lost or told.until_ns - told.from_ns >= _SHORTEST_NS:
                self._queue.write_incident(told)
                self.reported += told.from_ns != self._told_ns
                self._report(told.describe(self._path))
        self._over = []
        self._lost_before += lost

    def _report_long(self) -> None:
        """Reports an incident that goes on for a while, once: its end may never come."""
        incident = self._queue.current_incident
        if incident is None or incident.from_ns == self._told_ns or self._report is None:
            return
        if self._session.now() - incident.from_ns >= _LONG_NS:
            self._told_ns = incident.from_ns
            self.reported += 1
            self._report(incident.describe_begin(self._path))
