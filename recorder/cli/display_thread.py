"""Shows the progress of a recording in a separate thread: a stopped terminal (Ctrl-S) blocks only this thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType

from ..capture.recorder import Status
from .live_status import QuietStatus

_MOST_WAITING = 100  # calls that wait for a stopped terminal; more are dropped
_LEAVE_SECONDS = 1.0
_STATUS_SECONDS = 0.25


class Display:
    """An Observer that passes its calls to another Observer, which can block because of its terminal."""

    def __init__(self, shown: QuietStatus) -> None:
        self._shown = shown
        self.needed_later = shown.needed_later
        self._calls: queue.Queue[Callable[[], None] | None] = queue.Queue(_MOST_WAITING)
        self._next = 0.0
        self._status: Status | None = None  # the latest one, if it has not been shown
        self._thread = threading.Thread(target=self._run, name="webpf display", daemon=True)

    def started(self, recording_id: int, others: int) -> None:
        self._put(lambda: self._shown.started(recording_id, others))

    def status(self, status: Status) -> None:
        if not self._shown.shows_status or status.elapsed < self._next:
            return
        self._next = status.elapsed + _STATUS_SECONDS
        is_waiting, self._status = self._status is not None, status
        if not is_waiting:
            self._put(self._show_status)

    def finishing(self) -> None:
        self._put(self._shown.finishing)

    def message(self, text: str) -> None:
        self._put(lambda: self._shown.message(text))

    def __enter__(self) -> Display:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._put(None)
        self._thread.join(_LEAVE_SECONDS)

    def _put(self, call: Callable[[], None] | None) -> None:
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            self._status = None

    def _show_status(self) -> None:
        status, self._status = self._status, None
        if status is not None:
            self._shown.status(status)

    def _run(self) -> None:
        with self._shown:
            while (call := self._calls.get()) is not None:
                call()
