"""Prepares standard input, output and error: all open, able to write any text, and with clear errors.

A caller may have closed any of them, may have chosen an encoding that lacks most characters, or may have redirected
output to a full disk. After prepare() the commands need no code for these cases.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from ..errors import StorageError
from . import inherited_state

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_ERRORS = "webpf.lookalikes"
_LOOKALIKES = dict(zip("─│├└…±▁▂▃▄▅▆▇█", "-||`~~_.-=+*%#", strict=True))
_SIZES = ("COLUMNS", "LINES")
_MAX_SIZE = 100_000  # columns or lines; a larger value is a mistake, and would cost much memory


def prepare() -> None:
    """Prepares the three streams, and removes invalid values of COLUMNS and LINES. Call it before anything else."""
    codecs.register_error(_ERRORS, _lookalikes)
    inherited_state.fill_standard_descriptors()
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False, errors="backslashreplace")  # noqa: SIM115
    encoding = sys.stdout.encoding if sys.stdout is not None else sys.getfilesystemencoding()
    buffer = io.BufferedWriter(_Output(1, "w", closefd=False))
    sys.stdout = io.TextIOWrapper(buffer, encoding, _ERRORS, newline="\n", line_buffering=os.isatty(1))
    for name in _SIZES:
        if name in os.environ and not _is_size(os.environ[name]):
            del os.environ[name]


def flush() -> None:
    """Flushes standard output. Raises StorageError."""
    sys.stdout.flush()


def write(descriptor: int, data: ReadableBuffer, name: str, waits: bool = True) -> int:
    """Writes as os.write() does. Raises StorageError. name: what the message calls the descriptor.

    waits: if false, it returns 0 instead of waiting for a non-blocking descriptor that is full. If the reader of a pipe
    has ended, SIGPIPE ends webpf, like other tools.
    """
    while True:
        try:
            return os.write(descriptor, data)
        except BlockingIOError:
            if not waits:
                return 0
            select.select([], [descriptor], [])
        except BrokenPipeError:
            _end_by_sigpipe()
        except OSError as error:
            why = "it is closed" if error.errno == errno.EBADF else error.strerror
            raise StorageError(f"{name} can't be written: {why}") from None


class _Output(io.FileIO):
    """Standard output. The first write that fails raises StorageError; later writes do nothing."""

    _has_failed = False

    def write(self, data: ReadableBuffer, /) -> int:
        if self._has_failed:
            return memoryview(data).nbytes
        try:
            return write(self.fileno(), data, "standard output")
        except StorageError:
            self._has_failed = True
            raise


def _lookalikes(error: UnicodeError) -> tuple[str, int]:
    """Replaces a character that the encoding lacks by a similar one or by its escape sequence (see codecs)."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    plain = (_LOOKALIKES.get(each) or each.encode("unicode_escape").decode("ascii") for each in missing)
    return "".join(plain), error.end


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:9]) < _MAX_SIZE


def _end_by_sigpipe() -> NoReturn:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPIPE])
    os.kill(os.getpid(), signal.SIGPIPE)
    os._exit(128 + signal.SIGPIPE)
