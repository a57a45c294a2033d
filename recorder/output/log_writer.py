"""Log lines on stderr, for `--verbose`: from a thread of their own, so that a stopped terminal stops only that."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable

from .. import log
from .escape import safe

_FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s[%(process)d %(threadName)s]: %(message)s"
_MOST_WAITING = 1000  # lines that stderr has not taken yet; more are left out
_LEAVE_SECONDS = 0.5


class LogWriter(logging.Handler):
    """Writes to a descriptor of its own, a copy of stderr: BCC's messages are caught by redirecting the other one."""

    def __init__(self) -> None:
        super().__init__()
        formatter = logging.Formatter(_FORMAT, "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)
        self._descriptor = os.dup(2)
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._left_out = 0
        self._thread = threading.Thread(target=self._run, name="webpf log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the line on; never waits. Counts it if too many wait already."""
        try:
            self._lines.put_nowait(safe(self.format(record)))
        except queue.Full:
            self._left_out += 1

    def handleError(self, record: logging.LogRecord) -> None:
        """Do nothing: logging's own would write to stderr in the thread that logs."""

    def end(self) -> None:
        """Write what waits, as far as stderr takes it within a second."""
        try:
            self._lines.put(None, timeout=_LEAVE_SECONDS)
        except queue.Full:
            return
        self._thread.join(_LEAVE_SECONDS)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            self._write(line)
            left_out, self._left_out = self._left_out, 0
            if left_out:
                self._write(f"webpf: {left_out:,} log lines were left out: stderr didn't take them")

    def _write(self, line: str) -> None:
        data = f"{line}\n".encode(errors="backslashreplace")
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:  # closed, full, or the reader has gone: a recording goes on
            self._left_out += 1


def start() -> Callable[[], None] | None:
    """Log all that webpf's modules say from now on. Returns what ends that; None if it has begun already."""
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
