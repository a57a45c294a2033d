"""Signals that ask a recorder to end, noted instead of died of."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from types import FrameType

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those that ask a program to end."""

ENDING = (*ASKING, signal.SIGQUIT)
"""The same, and that of Ctrl-\\."""


class StopSignal:
    """Notes signals instead of dying of them. A handler only sets a flag."""

    def __init__(self, numbers: Sequence[signal.Signals] = ASKING) -> None:
        self.received: int | None = None
        for number in numbers:
            # nohup ignores SIGHUP, and means it. An ignored SIGINT is only what shells do to background jobs.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number


def ignore(numbers: Sequence[signal.Signals]) -> None:
    """They are meant for somebody else, who gets them too."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def restore(numbers: Sequence[signal.Signals]) -> None:
    """They end this process again: what is left to do is only to tell."""
    for number in numbers:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
