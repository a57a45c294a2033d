"""Creates a recording file, with the owner and the mode that it is to have, before anything is written to it."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from ..errors import CannotCreate
from ..host import file_owner
from ..log import suppressed

_PRIVATE = 0o600


def create(path: Path, mode: int | None = None) -> file_owner.Identity:
    """Creates the file unless it exists. SQLite gives the files beside it the same owner and mode.

    mode: its permissions, whatever the umask; an existing file gets them too, with the files beside it. By default,
    only the owner can read and write a new or empty file, because argv may hold secrets, and others keep their mode.
    Under sudo, the owner of a new file is the user who called sudo. Returns the identity of the file.
    Raises CannotCreate, also if another user has put a file at this path.
    """
    path = file_owner.resolve_link(path)
    try:
        fd, is_new = _open(path, mode or _PRIVATE)
    except OSError as error:
        raise CannotCreate(f"{path} can't be created: {error.strerror}", "webpf record --db ~/webpf.db") from None
    try:
        status = os.fstat(fd)
        if is_new:
            file_owner.give_new_file(path, fd)
        else:
            file_owner.check_owner(path, status)
        if mode is not None:
            _set_mode(path, fd, mode)
            if not is_new:
                _set_modes_beside(path, mode)
        elif status.st_size == 0:  # nothing is recorded yet, so nobody has made it readable for others on purpose
            _make_private(path, fd)
        return file_owner.identity_of(status)
    finally:
        os.close(fd)


def _set_mode(path: Path, fd: int, mode: int) -> None:
    """Raises CannotCreate if the file doesn't get the mode: on FAT and others, a mount option decides who can read."""
    with contextlib.suppress(OSError):
        os.fchmod(fd, mode)
    found = stat.S_IMODE(os.fstat(fd).st_mode)
    if found != mode:
        message = f"{path} can't have the mode {mode:04o}: its file system or its owner leaves it at {found:04o}"
        raise CannotCreate(message, "webpf record --db ~/webpf.db")


def _set_modes_beside(path: Path, mode: int) -> None:
    """Sets the mode of the log and others that a killed recorder has left, or that another one uses.

    file_check.check_writable() has checked whose they are.
    """
    for side in file_owner.side_files(path):
        with suppressed(__name__, f"setting the mode of {side}", OSError):  # there is none, or it was a link
            fd = os.open(side, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.fchmod(fd, mode)
            finally:
                os.close(fd)


def _make_private(path: Path, fd: int) -> None:
    """Raises CannotCreate for a file that other users can read and whose mode can't be changed.

    FAT and other file systems have no permissions: a mount option decides there who can read. They accept a chmod()
    that changes nothing.
    """
    try:
        os.fchmod(fd, _PRIVATE)
    except OSError as error:
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        if mode & 0o077 and not _takes_mode(fd, mode):
            message = f"{path} could be read by other users, and that can't be changed: {error.strerror}"
            raise CannotCreate(message, "webpf record --db ~/webpf.db") from None


def _takes_mode(fd: int, mode: int) -> bool:
    try:
        os.fchmod(fd, mode)
    except OSError:
        return False
    return True


def _open(path: Path, mode: int) -> tuple[int, bool]:
    """Returns a descriptor of the file, and whether it is new. Does not follow a link at the end of the path."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(FileExistsError):
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, mode), True
    return os.open(path, flags), False
