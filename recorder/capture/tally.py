"""Counts the processes of a recording while it goes on, for `--metrics`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ..model.events import Event, Exit, Fork
from ..model.process import Process

if TYPE_CHECKING:
    from .recording_session import Session

_SECONDS = 1.0


class ProcessTally:
    """Processes of a recording, without kernel threads. It is used in the thread that records, and read in others.

    started, ended, failed: since the recording began; failed are those that a signal ended, or that ended with another
    exit code than 0. alive: as of the last second.
    """

    def __init__(self) -> None:
        self.started = self.ended = self.failed = self.alive = 0
        self._next = 0.0

    def follow(self, session: Session) -> Callable[[], None]:
        """Counts the processes of a session from now on. Returns what must be called after each drain."""
        session.on_paired = self.add
        return lambda: self.count_running(session.running)

    def add(self, events: Sequence[Event], owners: Sequence[int], changed: Iterable[Process]) -> None:
        """Counts events that have just been paired. owners: the id of the process of each. changed: these processes."""
        processes = {process.id: process for process in changed}
        for event, owner in zip(events, owners, strict=True):
            if isinstance(event, Fork):
                self.started += not event.kernel
            elif isinstance(event, Exit):
                process = processes.get(owner)
                # Two threads that exit together can both report the end, before Linux 6.16.
                if process is not None and not process.kernel and process.end_ns == event.time_ns:
                    self.ended += 1
                    self.failed += process.status != 0

    def count_running(self, running: Callable[[], Iterable[Process]]) -> None:
        """Counts the processes that are alive, at most once a second. running: returns them."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _SECONDS
            self.alive = sum(not process.kernel for process in running())
