"""Notices that the recording file is removed, moved or overwritten during a recording."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import StorageError
from ..host import file_owner
from ..host.file_owner import Identity, identity_of
from ..model import argv
from . import file_check


class FileLost(StorageError):
    """The path no longer leads to the file that webpf writes.

    is_overwritten: another program has changed its content, so SQLite must not write to it any more.
    """

    def __init__(self, message: str, path: Path, is_overwritten: bool = False) -> None:
        super().__init__(message, f"webpf record --db {argv.file_word(path)}")
        self.is_overwritten = is_overwritten


class FileMonitor:
    """Compares the file that SQLite has open with the file at its path. Raises FileLost if they differ."""

    def __init__(self, path: Path, identity: Identity) -> None:
        self._path = path
        self._identity = identity
        self._size = 0
        # Use SQLite's own descriptor: closing another descriptor of the file would release SQLite's locks (POSIX).
        found = (number for number, status in file_owner.open_descriptors().items() if identity_of(status) == identity)
        self._descriptor = next(found, -1)
        self.check()

    def check(self) -> None:
        """Raises FileLost. Calls the file system, which may hang."""
        try:
            status = os.fstat(self._descriptor)
            head = os.pread(self._descriptor, file_check.HEADER_BYTES, 0)
        except OSError as error:
            raise FileLost(f"{self._path} can't be checked: {error.strerror}", self._path) from None
        is_smaller = status.st_size < self._size and status.st_size != file_check.file_size_in_header(
            head
        )  # else: VACUUM
        if is_smaller or not (file_check.is_recording_header(head) or self._size == status.st_size == 0):
            message = f"{self._path} was overwritten while it was recorded: what had been recorded is lost"
            raise FileLost(message, self._path, is_overwritten=True)
        self._size = status.st_size
        if not self._is_there():
            raise FileLost(self._what_happened(status), self._path)

    def _is_there(self) -> bool:
        try:
            return identity_of(self._path.stat()) == self._identity
        except OSError:
            return False

    def _what_happened(self, status: os.stat_result) -> str:
        if status.st_nlink == 0:
            return f"{self._path} was removed while it was recorded: what had been recorded is lost"
        where = Path(f"/proc/self/fd/{self._descriptor}").readlink()
        return f"{self._path} was moved to {where} while it was recorded: what had been recorded by then is there"
