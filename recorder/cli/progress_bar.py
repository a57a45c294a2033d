"""Long operations: a progress bar on stderr after the first second, and a clean end at Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sqlite3
import sys
import time
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from ..host.signals import STOP_SIGNALS
from ..progress import UNDONE, Interrupted

if TYPE_CHECKING:
    from rich.progress import Progress

_SHOW_AFTER_SECONDS = 1.0
_REDRAW_SECONDS = 0.1
_INSTRUCTIONS = 50_000  # of SQLite's virtual machine between two checks for a signal: some milliseconds


class ProgressBar:
    """Progress as a bar, which signals interrupt. what: a noun for the bar and for the message after a signal.

    streams: the operation writes to standard output, not to a file that must not stay half written. Then a signal ends
    it at once, even while it waits for a reader; and there is no bar if standard output is a terminal. outcome: what a
    signal leaves, for the message.
    """

    def __init__(self, what: str, streams: bool = False, outcome: str = UNDONE) -> None:
        self._what = what
        self._outcome = outcome
        self._streams = streams
        self._is_shown = sys.stderr.isatty() and not (streams and sys.stdout.isatty())
        self._received: int | None = None
        self._before: dict[int, Any] = {}
        self._progress: Progress | None = None
        self._begun = self._drawn = time.monotonic()

    def report(self, done: int, total: int) -> None:
        if self._received is not None:
            raise Interrupted(self._what, self._received, self._outcome)
        now = time.monotonic()
        if now - self._begun >= _SHOW_AFTER_SECONDS and now - self._drawn >= _REDRAW_SECONDS and self._is_shown:
            self._drawn = now
            if select.select([], [sys.stderr], [], 0)[
                1
            ]:  # the terminal is not stopped (Ctrl-S): waiting would hold the lock of the recording file
                self._draw(done, total)

    def make_interruptible(self, connection: sqlite3.Connection) -> None:
        connection.set_progress_handler(lambda: self._received is not None, _INSTRUCTIONS)

    def clear(self) -> None:
        """Erases the bar before something else is printed. The next at() draws it again."""
        if self._progress is not None:
            with contextlib.suppress(OSError):
                self._progress.stop()
            self._progress = None

    def _draw(self, done: int, total: int) -> None:
        if self._progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

            columns = (TextColumn(self._what), BarColumn(bar_width=20), TaskProgressColumn(), TimeRemainingColumn())
            console = Console(stderr=True)
            self._progress = Progress(*columns, console=console, transient=True, auto_refresh=False)
            self._progress.add_task(self._what)
            self._progress.start()
        with contextlib.suppress(OSError):
            self._progress.update(self._progress.task_ids[0], completed=done, total=max(done, total))
            self._progress.refresh()

    def __enter__(self) -> ProgressBar:
        for number in STOP_SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        if self._streams:
            # Otherwise, flushing the buffers at exit would wait for the reader again.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.close(nowhere)
            raise Interrupted(self._what, number, self._outcome)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self.clear()
        # SQLite reports an interrupted statement as failed, and its callers raise that as an error of their own.
        if error is not None and self._received is not None and not isinstance(error, Interrupted):
            raise Interrupted(self._what, self._received, self._outcome) from None
