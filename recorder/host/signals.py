"""Context managers that note or ignore the signals that ask a recorder to end, and restore the handlers at the end."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any, TypeAlias

from ..log import get_logger

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a program to end."""

ALL_STOP_SIGNALS = (*STOP_SIGNALS, signal.SIGQUIT)
"""The same, and the signal of Ctrl-\\."""

_Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int | None


class StopSignal:
    """Notes signals within its block instead of ending the process. `received` is the last one, None if none came."""

    def __init__(self, numbers: Sequence[signal.Signals] = STOP_SIGNALS) -> None:
        self.received: int | None = None
        self._is_logged = False
        self._numbers = numbers
        self._handlers = contextlib.ExitStack()

    def __enter__(self) -> StopSignal:
        # An ignored SIGHUP stays ignored: nohup does this on purpose. An ignored SIGINT does not: shells set it for all
        # background jobs.
        is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        noted = [number for number in self._numbers if number != signal.SIGHUP or not is_ignored]
        self._handlers.enter_context(_handled(noted, self._note))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handlers.close()

    def has_come(self) -> bool:
        """Whether a signal was noted. The log then has its name."""
        if self.received is not None and not self._is_logged:
            self._is_logged = True
            # It isn't logged in the handler, which may have interrupted its thread in the middle of a log line.
            get_logger(__name__).info("%s has come", signal.Signals(self.received).name)
        return self.received is not None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number


def ignored(numbers: Sequence[signal.Signals]) -> contextlib.AbstractContextManager[None]:
    """Ignores these signals within the block, because they are meant for another process that gets them too."""
    return _handled(numbers, signal.SIG_IGN)


@contextlib.contextmanager
def _handled(numbers: Sequence[signal.Signals], handler: _Handler) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, signal.SIG_DFL if previous is None else previous)
