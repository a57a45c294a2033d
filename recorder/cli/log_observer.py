"""Logs the progress of a recording once a minute, and each message: for recordings that run for weeks."""

from __future__ import annotations

import mmap
from pathlib import Path

from ..capture.recorder import Observer, Status
from ..log import get_logger
from .live_status import Rate

_log = get_logger(__name__)
_SECONDS = 60.0
_MIB = 1 << 20


class LogObserver:
    """An Observer that logs its calls and passes them to another Observer."""

    def __init__(self, shown: Observer) -> None:
        self._shown = shown
        self._next = _SECONDS
        self._rate = Rate()

    def started(self, recording_id: int, others: int) -> None:
        _log.info("recording %d has begun; %d other recordings go to this file", recording_id, others)
        self._shown.started(recording_id, others)

    def status(self, status: Status) -> None:
        if status.elapsed >= self._next:
            self._next = status.elapsed + _SECONDS
            _log.info(
                "after %.0f s: %.1f events/s; %d processes, %d events, %d lost; %.1f MiB wait; %.1f MiB resident",
                *(status.elapsed, self._rate.update(status), status.processes, status.events, status.lost),
                *(status.waiting_bytes / _MIB, _resident_bytes() / _MIB),
            )
        self._shown.status(status)

    def finishing(self) -> None:
        _log.info("the recording ends: reading the events that are left in the buffer")
        self._shown.finishing()

    def message(self, text: str) -> None:
        _log.warning("%s", text)
        self._shown.message(text)


def _resident_bytes() -> int:
    """Returns the resident memory of this process in bytes; see proc_pid_statm(5)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
