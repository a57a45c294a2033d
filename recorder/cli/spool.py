"""Output that never waits for its reader while a recording file is open.

SQLite's read lock is held as long as rows are read, and a reader of ours may be a pager, or a program that has stopped.
So what can't be written at once is kept, in memory and then in a file without a name, until the file is closed.
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

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_CHUNK = 64 * 1024
_IN_MEMORY = 2 * 2**20  # bytes; what is more goes into a temporary file


@contextlib.contextmanager
def spooled(output: TextIO, whole: bool = False, encoding: str | None = None) -> Iterator[TextIO]:
    """A stream in place of standard output, for a block that reads a recording file; see spooled_bytes().

    encoding: the one of standard output, unless another one is given.
    """
    output.flush()
    try:
        descriptor = output.fileno()
    except io.UnsupportedOperation:  # it is in memory, as where a program calls this one's functions
        yield output
        return
    with spooled_bytes(descriptor, "standard output", whole) as buffer:
        text = io.TextIOWrapper(buffer, encoding or output.encoding, output.errors, newline="\n")
        try:
            yield text
        finally:
            text.detach()  # which flushes it


@contextlib.contextmanager
def spooled_bytes(descriptor: int, name: str, whole: bool = False) -> Iterator[io.BufferedWriter[_Spool]]:
    """A stream in place of a descriptor, for a block that reads a recording file. name: of it, for messages.

    What is written to it goes out as far as that needs no waiting, and the rest when the block is left. A file must be
    opened, and closed, within the block. Raises StorageError, and CannotCreate where there is no place for the rest.

    whole: nothing goes out before the block is left, and nothing at all if it fails: half a JSON document is of no use.
    """
    spool = _Spool(descriptor, name, whole)
    buffer = io.BufferedWriter(spool, _CHUNK)
    try:
        try:
            yield buffer
        except Signalled:
            raise
        except WebpfError:
            if not whole:
                buffer.flush()  # what could be read before
                spool.write_out()
            raise
        buffer.flush()
        spool.write_out()
    finally:
        spool.discard()


class _Spool(io.RawIOBase):
    """What is written to a descriptor, and in order what couldn't be written yet."""

    def __init__(self, descriptor: int, name: str, keeps_all: bool = False) -> None:
        self._descriptor = descriptor
        self._name = name
        self._at_once = None if keeps_all else _without_waiting(descriptor)
        self._is_discarded = False
        self._head = b""  # of what is kept, the first bytes; the others are in the file, from _begin to _end
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
        """Writes all that was kept, and waits for the reader. Raises StorageError."""
        while not self._is_discarded and self._next_chunk():
            self._head = self._head[standard_streams.write(self._descriptor, self._head, self._name) :]

    def discard(self) -> None:
        """Forgets what is kept, and takes no more."""
        self._is_discarded = True
        self._file.close()
        if self._at_once is not None and self._at_once != self._descriptor:
            os.close(self._at_once)
        self._at_once = None

    def _offer(self, data: ReadableBuffer) -> int:
        """Writes as much as needs no waiting; returns how many bytes that was."""
        return 0 if self._at_once is None else standard_streams.write(self._at_once, data, self._name, waits=False)

    def _keep(self, data: memoryview) -> None:
        try:
            self._file.seek(self._end)
            self._end += self._file.write(data)
        except OSError as error:
            self.discard()
            what = f"there is no room for the output, which is kept until its reader comes: {error.strerror or error}"
            hint = shlex.join(["env", "TMPDIR=/var/tmp", *program(sys.argv[0]), *sys.argv[1:]])
            raise CannotCreate(what, hint) from None

    def _next_chunk(self) -> bytes:
        """The first of what is kept, if there is any."""
        if not self._head and self._begin < self._end:
            self._file.seek(self._begin)
            self._head = self._file.read(min(_CHUNK, self._end - self._begin))
            self._begin += len(self._head)
            if self._begin == self._end:
                self._begin = self._end = 0
        return self._head


def _without_waiting(descriptor: int) -> int | None:
    """A descriptor of the same output whose writes don't wait; None if there can be none.

    Not this one made non-blocking: other programs share it. For pipes and terminals it is opened once more. A plain
    file has no reader to wait for; and one that can't be written to shall say so.
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
