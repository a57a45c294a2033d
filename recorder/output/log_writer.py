"""Writes log lines to stderr for `--verbose`, in a thread of its own, so that a stopped terminal stops only that."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable

from .. import log
from . import journal
from .escape import safe

_FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s[%(process)d %(threadName)s]: %(message)s"
_PRIORITIES = (
    (logging.ERROR, journal.ERROR),
    (logging.WARNING, journal.WARNING),
    (logging.INFO, journal.INFO),
    (logging.NOTSET, journal.DEBUG),
)
_MAX_WAITING = 1000  # lines that are not written yet; more are left out
_END_SECONDS = 0.5


class LogWriter(logging.Handler):
    """Writes to a copy of stderr's descriptor, since stderr itself is redirected to catch BCC's messages."""

    def __init__(self) -> None:
        super().__init__()
        formatter = logging.Formatter(_FORMAT, "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)
        self._descriptor = os.dup(2)
        self._lines: queue.Queue[str | None] = queue.Queue(_MAX_WAITING)
        self._left_out = 0
        self._thread = threading.Thread(target=self._run, name="webpf log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Passes the line to the thread, without waiting. If too many lines wait, it is left out and counted."""
        try:
            priority = next(each for level, each in _PRIORITIES if record.levelno >= level)
            self._lines.put_nowait(journal.prefix(priority, self._descriptor) + safe(self.format(record)))
        except queue.Full:
            self._left_out += 1

    def handleError(self, record: logging.LogRecord) -> None:
        """Does nothing. The method of logging.Handler would write to stderr in the thread that logs."""

    def end(self) -> None:
        """Writes the waiting lines, as far as that is possible within a second."""
        try:
            self._lines.put(None, timeout=_END_SECONDS)
        except queue.Full:
            return
        self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            self._write(line)
            left_out, self._left_out = self._left_out, 0
            if left_out:
                self._write(f"webpf: {left_out:,} log lines were left out because stderr was blocked")

    def _write(self, line: str) -> None:
        data = f"{line}\n".encode(errors="backslashreplace")
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:  # it is closed or full, or its reader has ended: a recording continues
            self._left_out += 1


def start() -> Callable[[], None] | None:
    """Writes all log messages of webpf from now on. Returns a function that ends this; None if it was on before."""
    root = logging.getLogger(log.ROOT)
    if any(isinstance(handler, LogWriter) for handler in root.handlers):
        return None
    writer = LogWriter()
    root.addHandler(writer)
    root.setLevel(logging.DEBUG)

    def end() -> None:
        root.removeHandler(writer)
        root.setLevel(logging.NOTSET)
        writer.end()

    return end
