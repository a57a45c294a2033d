"""Output that never waits for its reader while a recording file is open.

SQLite holds its read lock while rows are read, and the reader of the output can be a pager or a stopped program. So
output that can't be written at once is kept, in memory and then in an unnamed file, until the recording file is closed.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shlex
import stat
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from ..errors import CannotCreate, Signalled, WebpfError
from ..host import standard_streams
from ..host.invocation import program
from . import pager

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_CHUNK = 64 * 1024
_IN_MEMORY = 2 * 2**20  # bytes; the rest goes into a temporary file


@contextlib.contextmanager
def spooled(output: TextIO, whole: bool = False, encoding: str | None = None, pages: bool = False) -> Iterator[TextIO]:
    """Opens a text stream that replaces standard output in a block that reads a recording file; see spooled_bytes().

    encoding: default: the encoding of standard output. pages: on a terminal, show long output in a pager.
    """
    output.flush()
    try:
        descriptor = output.fileno()
    except io.UnsupportedOperation:  # the output is in memory: a Python program called the function
        yield output
        return
    with spooled_bytes(descriptor, "standard output", whole, pages) as buffer:
        text = io.TextIOWrapper(buffer, encoding or output.encoding, output.errors, newline="\n")
        try:
            yield text
        finally:
            text.detach()  # this flushes it


@contextlib.contextmanager
def spooled_bytes(
    descriptor: int, name: str, whole: bool = False, pages: bool = False
) -> Iterator[io.BufferedWriter[_Spool]]:
    """Opens a stream that replaces a descriptor in a block that reads a recording file. name: for messages.

    As much as possible is written at once without waiting, and the rest at the end of the block. The recording file
    must be opened and closed within the block. Raises StorageError, and CannotCreate if there is no room for the rest.

    whole: write everything at the end of the block, and nothing if the block fails: half a JSON document is useless.
    pages: on a terminal, show what is longer than it in a pager, at the end of the block.
    """
    pages = pages and pager.is_possible(descriptor)
    spool = _Spool(descriptor, name, whole or pages)
    buffer = io.BufferedWriter(spool, _CHUNK)
    try:
        try:
            yield buffer
        except Signalled:
            raise
        except WebpfError:
            if not whole:
                buffer.flush()  # the rows that could be read
                spool.write_out()
            raise
        buffer.flush()
        if not pages or not spool.page_out():
            spool.write_out()
    finally:
        spool.discard()


class _Spool(io.RawIOBase):
    """Writes to a descriptor, and keeps in order what could not be written yet."""

    def __init__(self, descriptor: int, name: str, keeps_all: bool = False) -> None:
        self._descriptor = descriptor
        self._name = name
        self._at_once = None if keeps_all else _without_waiting(descriptor)
        self._is_discarded = False
        self._lines = 0  # that are kept
        self._head = b""  # the first kept bytes; the others are in the file, from _begin to _end
        self._begin = self._end = 0
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: ReadableBuffer, /) -> int:
        view = memoryview(data).cast("B")
        if self._is_discarded:
            return len(view)
        while self._next_chunk():
            written = self._offer(self._head)
            self._head = self._head[written:]
            if self._head:
                break
        rest = view if self._head else view[self._offer(view) :]
        if rest:
            self._keep(rest)
        return len(view)

    def write_out(self) -> None:
        """Writes everything that was kept, waiting for the reader. Raises StorageError."""
        while not self._is_discarded and self._next_chunk():
            self._head = self._head[standard_streams.write(self._descriptor, self._head, self._name) :]

    def page_out(self) -> bool:
        """Shows everything in a pager, if all of it was kept and is long. Returns whether it did."""
        if not pager.is_needed(self._lines):
            return False
        self._file.rollover()
        return pager.show(self._file)

    def discard(self) -> None:
        """Drops what is kept, and everything that is written from now on."""
        self._is_discarded = True
        self._file.close()
        if self._at_once is not None and self._at_once != self._descriptor:
            os.close(self._at_once)
        self._at_once = None

    def _offer(self, data: ReadableBuffer) -> int:
        """Writes as much as possible without waiting; returns the number of bytes."""
        return 0 if self._at_once is None else standard_streams.write(self._at_once, data, self._name, waits=False)

    def _keep(self, data: memoryview) -> None:
        try:
            self._file.seek(self._end)
            self._lines += bytes(data).count(b"\n")
            self._end += self._file.write(data)
        except OSError as error:
            self.discard()
            what = f"there is no room to keep the output until its reader takes it: {error.strerror or error}"
            hint = shlex.join(["env", "TMPDIR=/var/tmp", *program(sys.argv[0]), *sys.argv[1:]])
            raise CannotCreate(what, hint) from None

    def _next_chunk(self) -> bytes:
        """Returns the first kept bytes; empty if nothing is kept."""
        if not self._head and self._begin < self._end:
            self._file.seek(self._begin)
            self._head = self._file.read(min(_CHUNK, self._end - self._begin))
            self._begin += len(self._head)
            if self._begin == self._end:
                self._begin = self._end = 0
        return self._head


def _without_waiting(descriptor: int) -> int | None:
    """Returns a descriptor of the same output whose writes don't wait; None if that is impossible.

    Pipes and terminals are opened a second time: other programs share the first description, so that must not become
    non-blocking. A plain file never waits for a reader. A read-only descriptor is returned as it is: writing to it
    gives the right error.
    """
    mode = os.fstat(descriptor).st_mode
    is_read_only = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    if is_read_only or stat.S_ISREG(mode) or stat.S_ISBLK(mode):
        return descriptor
    if not stat.S_ISFIFO(mode) and not stat.S_ISCHR(mode):
        return None
    try:
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return os.open(f"/proc/self/fd/{descriptor}", flags)
    except OSError:
        return None
