"""Reads and writes files that root can rely on: nobody else can have written them, or can replace them.

Each folder on the way is opened from the one above it, without following links, and judged by its descriptor. So
nothing can be swapped between the check and the use.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from ..errors import DataError

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS_WRITE = 0o022  # with an ACL the group's bits are its mask, so they tell of that too


def read(path: Path, max_bytes: int) -> bytes:
    """Returns the content of a plain file. Raises OSError, and DataError if others can have written it.

    Others are all users but root and the caller.
    """
    folder = _open_folder(path.parent)
    try:
        descriptor = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path} is not a regular file")
        _check(path, status)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise DataError(f"{path} is too large")
    return content


def names(path: Path) -> list[str]:
    """Returns the names in a folder. Raises OSError, and DataError if others can write into it or replace it."""
    folder = _open_folder(path)
    try:
        # Through /proc, because a descriptor that was opened with O_PATH can't be listed itself.
        return [entry.name for entry in os.scandir(f"/proc/self/fd/{folder}")]
    finally:
        os.close(folder)


def write(path: Path, content: bytes, keep: int) -> None:
    """Writes a file into a folder of its own, which is created, and puts it in place as a whole.

    keep: the number of files that stay in the folder, the newest. Raises OSError, and DataError if others can write
    into the folder or replace it.
    """
    with contextlib.suppress(FileExistsError):
        path.parent.mkdir(mode=0o755 if os.geteuid() == 0 else 0o700)
    folder = _open_folder(path.parent)
    try:
        temporary = f".{path.name}.{os.getpid()}"
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o644)  # whatever the umask is
                file.write(content)
            os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
        _remove_oldest(folder, keep)
    finally:
        os.close(folder)


def _open_folder(path: Path) -> int:
    """Returns a descriptor of a folder, of which each folder on the way to it was checked."""
    real = Path(os.path.realpath(path))
    descriptor = os.open("/", _FOLDER)
    try:
        _check(Path("/"), os.fstat(descriptor))
        for at in [*reversed(real.parents), real][1:]:
            below = os.open(at.name, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
            _check(at, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(path: Path, status: os.stat_result) -> None:
    """Raises DataError if others own or can write it. Sticky folders too: others can create files there."""
    if status.st_uid not in {0, os.geteuid()}:
        raise DataError(f"{path} belongs to another user (uid {status.st_uid})")
    if status.st_mode & _OTHERS_WRITE:
        raise DataError(f"{path} can be written by other users (mode {status.st_mode & 0o7777:04o})")


def _remove_oldest(folder: int, keep: int) -> None:
    """Also removes what a killed process left."""
    # Through /proc, because a descriptor that was opened with O_PATH can't be listed itself.
    with contextlib.suppress(OSError):
        entries = sorted(os.scandir(f"/proc/self/fd/{folder}"), key=lambda entry: -entry.stat().st_mtime_ns)
        for entry in entries[keep:]:
            os.unlink(entry.name, dir_fd=folder)
