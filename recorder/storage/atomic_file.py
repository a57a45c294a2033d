"""Writes output files atomically: a file appears as a whole or not at all. Pipes and devices are written directly.

Other users may be able to write in the folder of an output, and may have put something at its path: a link to a file
of somebody else, or a pipe. So root doesn't follow links of other users, and webpf never replaces a pipe, a device or
a descriptor with a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import CannotCreate, StorageError, UsageError
from ..host import file_owner
from ..host.invocation import retry_at_home
from ..model import argv
from . import temporary_file

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)
_LINK_UNSUPPORTED = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # link() fails so on FAT
_RENAME_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS)
_AT_FDCWD, _RENAME_NOREPLACE = -100, 1  # fcntl.h, linux/fs.h
_KINDS = {stat.S_IFDIR: "directory", stat.S_IFBLK: "block device", stat.S_IFSOCK: "socket"}


@contextlib.contextmanager
def open_output(wanted: Path, replaces: bool, makes_folders: bool = False) -> Iterator[BinaryIO]:
    """Opens an output: a stream is opened as it is, anything else is a new file of mode 0600.

    The new file moves to the path `wanted` when the block ends without an error, and is removed otherwise.
    replaces: whether an existing file may be replaced; the new file then gets the mode and owner of the old one.
    makes_folders: whether missing parent folders are created. Raises UsageError, CannotCreate or StorageError.
    """
    with _os_errors_explained(wanted):
        if is_stream(wanted):
            with _stream(wanted) as out:
                yield out
            return
        with (
            _new_file(wanted, replaces, makes_folders) as (descriptor, _),
            os.fdopen(descriptor, "wb", closefd=False) as out,
        ):
            yield out


@contextlib.contextmanager
def open_path(wanted: Path, replaces: bool) -> Iterator[Path]:
    """As open_output(), for writers that need a path: yields the path of an empty file in the same folder.

    Raises CannotCreate for a stream.
    """
    with _os_errors_explained(wanted):
        if is_stream(wanted):
            raise CannotCreate(f"{wanted} is no file, and an SQLite database must be one", retry_at_home("-o", wanted))
        for side in file_owner.side_files(file_owner.resolve_link(wanted, "-o")):
            if os.path.lexists(side):  # SQLite would take it for a log of the new file
                raise CannotCreate(
                    f"{side} is left over from a database that was not closed", retry_at_home("-o", wanted)
                )
        with _new_file(wanted, replaces, makes_folders=False) as (_, temporary):
            yield temporary


def is_stream(wanted: Path) -> bool:
    """True for what is written directly: a descriptor of this process (/dev/stdout, /dev/fd/3), a pipe, a device."""
    if _descriptor(wanted) is not None:
        return True
    try:
        mode = wanted.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def is_same_file(wanted: Path, file: Path) -> bool:
    """True if both paths lead to the same file."""
    try:
        return wanted.samefile(file)
    except OSError:
        return False


def _descriptor(wanted: Path) -> int | None:
    """Returns the number of the descriptor of this process that a path leads to, or None."""
    for _ in range(file_owner.MAX_LINKS):
        if os.path.realpath(wanted.parent) == f"/proc/{os.getpid()}/fd" and wanted.name.isdecimal():
            return int(wanted.name)
        try:
            wanted = wanted.parent / wanted.readlink()
        except OSError:
            break
    return None


@contextlib.contextmanager
def _stream(wanted: Path) -> Iterator[BinaryIO]:
    number = _descriptor(wanted)
    # The descriptor is duplicated and not opened again: opening a file again would start at its beginning.
    descriptor = os.dup(number) if number is not None else _open_stream(wanted)
    with os.fdopen(descriptor, "wb") as out:
        try:
            yield out
        except BaseException:
            # Discard the buffer: flushing it on close could block until the reader reads.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
            raise


def _open_stream(wanted: Path) -> int:
    target = _followed(wanted)
    status = target.lstat()
    if stat.S_ISFIFO(status.st_mode) and os.geteuid() == 0 and status.st_uid not in file_owner.trusted_uids():
        raise CannotCreate(f"{wanted} is a pipe of another user (uid {status.st_uid})", retry_at_home("-o", wanted))
    return os.open(target, os.O_WRONLY | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _followed(wanted: Path) -> Path:
    """Returns where a path leads. Raises CannotCreate for a link that root must not follow, also in a parent folder."""
    for folder in wanted.absolute().parents if os.geteuid() == 0 else ():
        file_owner.check_link(folder, "-o")
    return file_owner.resolve_link(wanted, "-o")


@contextlib.contextmanager
def _new_file(wanted: Path, replaces: bool, makes_folders: bool) -> Iterator[tuple[int, Path]]:
    """Creates an empty file, and moves it to its path when the block ends. Yields its descriptor and temporary path."""
    target = _followed(wanted)
    before = _existing_file(wanted, target, replaces)
    missing = [folder for folder in target.parents if not folder.exists()] if makes_folders else []
    if not makes_folders and not target.parent.exists():
        raise CannotCreate(f"there is no folder {target.parent}", f"mkdir -p {argv.file_word(target.parent)}")
    try:
        if missing:
            missing[0].mkdir(parents=True, exist_ok=True)
        descriptor, name = temporary_file.make(target.parent)
        try:
            yield descriptor, Path(name)
            if not os.path.samestat(os.fstat(descriptor), Path(name).lstat()):
                raise CannotCreate(f"{wanted} was replaced while it was being written", retry_at_home("-o", wanted))
            if before is not None:
                _make_like(descriptor, before)
            _move_into_place(Path(name), target, replaces)
        finally:
            os.close(descriptor)
            temporary_file.remove(Path(name))
    finally:
        _remove_empty(missing)


def _existing_file(wanted: Path, target: Path, replaces: bool) -> os.stat_result | None:
    """Returns the status of the existing file that may be replaced, or None. Raises CannotCreate or UsageError."""
    try:
        status = target.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "special file")
        raise CannotCreate(f"{wanted} is a {kind}", retry_at_home("-o", wanted))
    if not replaces:
        raise _exists_error(wanted)
    return status


def _exists_error(wanted: Path) -> UsageError:
    hint = " ".join(map(argv.word, ["webpf", *sys.argv[1:], "--force"]))
    return UsageError(f"{wanted} already exists; --force replaces it", hint)


def _make_like(descriptor: int, before: os.stat_result) -> None:
    """Copies owner and mode, as far as this process is allowed to and the file system supports them."""
    status = os.fstat(descriptor)
    if (status.st_uid, status.st_gid) != (before.st_uid, before.st_gid):  # a service is killed if it calls chown(2)
        with contextlib.suppress(OSError):
            os.fchown(descriptor, before.st_uid, before.st_gid)
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, before.st_mode & 0o777)


@contextlib.contextmanager
def _os_errors_explained(wanted: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:  # another process created it first
        raise _exists_error(wanted) from None
    except OSError as error:
        if error.errno in _FULL:
            raise StorageError(f"{wanted} can't be written: {error.strerror}", retry_at_home("-o", wanted)) from None
        raise CannotCreate(f"{wanted} can't be created: {error.strerror}", retry_at_home("-o", wanted)) from None


def _remove_empty(folders: list[Path]) -> None:
    """Removes those of the folders that are empty. The deepest comes first."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _move_into_place(temporary: Path, target: Path, replaces: bool) -> None:
    """Renames the file. Raises FileExistsError if the path has appeared meanwhile and may not be replaced."""
    if replaces:
        temporary.replace(target)
        return
    if _rename_noreplace(temporary, target):
        return
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in _LINK_UNSUPPORTED:
            raise
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        temporary.replace(target)  # replaces the empty file that the line above created


def _rename_noreplace(temporary: Path, target: Path) -> bool:
    """Renames without replacing anything. Returns False if the file system or the C library can't do that."""
    import ctypes

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(temporary), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _RENAME_UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(target))
