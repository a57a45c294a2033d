"""Signals that ask a recorder to end, noted instead of died of."""

from __future__ import annotations

import signal
from types import FrameType


class StopSignal:
    """Notes SIGINT, SIGTERM and SIGHUP instead of dying of them. A handler only sets a flag."""

    def __init__(self) -> None:
        self.received: int | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup ignores SIGHUP, and means it. An ignored SIGINT is only what shells do to background jobs.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
