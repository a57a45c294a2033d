"""Signals that ask a recorder to end, noted instead of died of."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from types import FrameType

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those that ask a program to end."""


class StopSignal:
    """Notes signals instead of dying of them. A handler only sets a flag.

    respects_ignored: those that are ignored stay so, for what is started inherits that.
    """

    def __init__(self, numbers: Sequence[signal.Signals] = ASKING, respects_ignored: bool = False) -> None:
        self.received: int | None = None
        for number in numbers:
            # nohup ignores SIGHUP, and means it. An ignored SIGINT is only what shells do to background jobs.
            ignores = signal.getsignal(number) == signal.SIG_IGN
            if not ignores or not (respects_ignored or number == signal.SIGHUP):
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
