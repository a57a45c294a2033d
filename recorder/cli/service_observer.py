"""Tells the service manager of a recording's start, progress and end."""

from __future__ import annotations

import time

from ..capture import service_notice
from ..capture.recorder import Observer, Status
from ..host import service_manager
from .live_status import Rate, describe_status

_TEXT_SECONDS = 60.0
_SIGNS_OF_LIFE = 3  # in the time after which the service manager takes the recorder for hung


class ServiceObserver:
    """An Observer that tells the service manager of its calls, and passes them to another Observer.

    The service has started once something of the recording is committed to the file.
    """

    def __init__(self, shown: Observer) -> None:
        self._shown = shown
        self._recording_id = 0
        self._is_ready = False
        self._next_text = 0.0
        self._lost = 0
        self._rate = Rate()
        limit = service_notice.watchdog_seconds()
        self._sign_seconds = None if limit is None else limit / _SIGNS_OF_LIFE
        self._next_sign = 0.0

    def started(self, recording_id: int, others: int) -> None:
        self._recording_id = recording_id
        self._shown.started(recording_id, others)

    def status(self, status: Status) -> None:
        if not self._is_ready and status.commit_age is not None:
            self._is_ready = True
            service_notice.send(service_manager.READY)
        if status.elapsed >= self._next_text or status.lost != self._lost:
            self._next_text, self._lost = status.elapsed + _TEXT_SECONDS, status.lost
            text = describe_status(status, self._rate.update(status))
            service_notice.send_text(f"recording {self._recording_id}: {text}")
        now = time.monotonic()
        if self._sign_seconds is not None and now >= self._next_sign:
            self._next_sign = now + self._sign_seconds
            service_notice.send(service_manager.ALIVE)
        self._shown.status(status)

    def finishing(self) -> None:
        service_notice.send(service_manager.STOPPING)
        self._shown.finishing()

    def message(self, text: str) -> None:
        self._shown.message(text)
