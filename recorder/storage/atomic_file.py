"""Where an output goes: a file that is written as a whole or not at all, or what is no file and is written to as it is.

Who may write in a file's folder could put something there: a link to another's file, a pipe. What root writes doesn't
follow another user's link, and a pipe, a device or a descriptor is never replaced by a file.
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
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # as on FAT
_NO_SUCH_RENAME = (errno.EINVAL, errno.ENOSYS)
_AT_FDCWD, _RENAME_NOREPLACE = -100, 1  # fcntl.h, linux/fs.h
_KINDS = {stat.S_IFDIR: "directory", stat.S_IFBLK: "block device", stat.S_IFSOCK: "socket"}


@contextlib.contextmanager
def opened(wanted: Path, replaces: bool, makes_folders: bool = False) -> Iterator[BinaryIO]:
    """A new file to write to, mode 0600, that takes the wanted one's place when the block is left; or a stream.

    If that fails, the file is gone. replaces: whether one that is there may be replaced; the new one then has its mode
    and owner. makes_folders: those on its way are made where they are missing. Raises UsageError, CannotCreate or
    StorageError.
    """
    with _errors_told(wanted):
        if is_stream(wanted):
            with _stream(wanted) as out:
                yield out
            return
        with (
            _new(wanted, replaces, makes_folders) as (descriptor, _),
            os.fdopen(descriptor, "wb", closefd=False) as out,
        ):
            yield out


@contextlib.contextmanager
def path(wanted: Path, replaces: bool) -> Iterator[Path]:
    """The same for what needs a path: an empty file beside the wanted one. It can't be a stream."""
    with _errors_told(wanted):
        if is_stream(wanted):
            raise CannotCreate(f"{wanted} is no file, and an SQLite database must be one", retry_at_home("-o", wanted))
        for side in file_owner.side_files(file_owner.resolve_link(wanted, "-o")):
            if os.path.lexists(side):  # SQLite would take it for the new file's
                raise CannotCreate(f"{side} is there, of a database that was not closed", retry_at_home("-o", wanted))
        with _new(wanted, replaces, makes_folders=False) as (_, made):
            yield made


def is_stream(wanted: Path) -> bool:
    """Whether it is written to as it is: a descriptor of ours (/dev/stdout, /dev/fd/3), a pipe, a character device."""
    if _descriptor(wanted) is not None:
        return True
    try:
        mode = wanted.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def is_same(wanted: Path, file: Path) -> bool:
    """Whether both are the same file."""
    try:
        return wanted.samefile(file)
    except OSError:
        return False


def _descriptor(wanted: Path) -> int | None:
    """The number of a descriptor of this process that a path leads to."""
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
    # A descriptor is not opened again: what is a file would be written from its begin.
    descriptor = os.dup(number) if number is not None else _open_stream(wanted)
    with os.fdopen(descriptor, "wb") as out:
        try:
            yield out
        except BaseException:
            # What is still in the buffer would wait for the reader once more.
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
    """Where it leads. Raises CannotCreate for a link that isn't followed, also on the way."""
    for folder in wanted.absolute().parents if os.geteuid() == 0 else ():
        file_owner.check_link(folder, "-o")
    return file_owner.resolve_link(wanted, "-o")


@contextlib.contextmanager
def _new(wanted: Path, replaces: bool, makes_folders: bool) -> Iterator[tuple[int, Path]]:
    """An empty file, as a descriptor and a path."""
    target = _followed(wanted)
    before = _there(wanted, target, replaces)
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
            _put(Path(name), target, replaces)
        finally:
            os.close(descriptor)
            temporary_file.remove(Path(name))
    finally:
        _remove_empty(missing)


def _there(wanted: Path, target: Path, replaces: bool) -> os.stat_result | None:
    """What is there already, if it is a file that may be replaced."""
    try:
        status = target.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "special file")
        raise CannotCreate(f"{wanted} is a {kind}", retry_at_home("-o", wanted))
    if not replaces:
        raise _taken(wanted)
    return status


def _taken(wanted: Path) -> UsageError:
    hint = " ".join(map(argv.word, ["webpf", *sys.argv[1:], "--force"]))
    return UsageError(f"{wanted} is there already; --force replaces it", hint)


def _make_like(descriptor: int, before: os.stat_result) -> None:
    """Owner and mode, as far as we may and the file system knows them."""
    with contextlib.suppress(OSError):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, before.st_mode & 0o777)


@contextlib.contextmanager
def _errors_told(wanted: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:  # somebody was quicker
        raise _taken(wanted) from None
    except OSError as error:
        if error.errno in _FULL:
            raise StorageError(f"{wanted} can't be written: {error.strerror}", retry_at_home("-o", wanted)) from None
        raise CannotCreate(f"{wanted} can't be created: {error.strerror}", retry_at_home("-o", wanted)) from None


def _remove_empty(folders: list[Path]) -> None:
    """Of folders, the deepest first, those that nothing was put in."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _put(made: Path, target: Path, replaces: bool) -> None:
    """Gives the file its name. Raises FileExistsError if it has been taken meanwhile, and may not be replaced."""
    if replaces:
        made.replace(target)
        return
    if _renamed(made, target):
        return
    try:
        os.link(made, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        made.replace(target)  # the empty one of the line above


def _renamed(made: Path, target: Path) -> bool:
    """Whether it could be renamed without replacing anything: not every file system can, nor every C library."""
    import ctypes

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(made), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_SUCH_RENAME:
        return False
    raise OSError(number, os.strerror(number), str(target))
