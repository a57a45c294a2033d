"""Checks the owner of a recording file, so that root doesn't write to a file that another user planted.

A user who may write in the folder of the recording file could put a link to another user's file there, or an own file,
to read what root records. So an existing file must be a regular file with one hard link, and belong to root, to the
caller, or to the user behind sudo. check_opened() checks again the files that SQLite has opened, because somebody may
have replaced them after the first check.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import TypeAlias

from ..errors import CannotCreate
from ..log import suppressed
from ..model import argv
from . import service_place
from .invocation import as_user, retry_at_home, retry_with

Identity: TypeAlias = tuple[int, int]
"""Device and inode number, which identify a file whatever its name is."""

MAX_LINKS = 40  # MAXSYMLINKS in include/linux/namei.h
_NO_ID = 2**32 - 1  # for chown(2) and others it means "don't change the id"

SIDE_FILE_SUFFIXES = ("-wal", "-shm", "-journal")
"""Suffixes of the files that SQLite makes beside the database."""


def invoking_user() -> tuple[int, int] | None:
    """Returns user and group id of the user behind sudo; None without sudo, or if SUDO_UID or SUDO_GID is invalid."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError, ValueError):
        ids = int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
        if all(0 <= each < _NO_ID for each in ids):
            return ids
    return None


def trusted_uids() -> set[int]:
    """Returns the users whose files may be written to: root, the caller, and the user behind sudo."""
    user = invoking_user()
    return {0, os.geteuid(), *([user[0]] if user else [])}


def resolve_link(path: Path, option: str = "--db") -> Path:
    """Returns the target of a symbolic link, or the path itself. Raises CannotCreate for a link that isn't followed.

    option: of the command line that chooses the path; the hint names it.
    """
    for _ in range(MAX_LINKS):
        if not check_link(path, option):
            return path  # if somebody puts a link there now, it isn't followed when the file is opened
        if "SUDO_UID" in os.environ:
            hint = _hint_of_target(path, option)
            raise CannotCreate(f"{path} is a symbolic link, which webpf doesn't follow under sudo", hint)
        path = path.parent / path.readlink()
    raise CannotCreate(f"{path} is a symbolic link that leads nowhere", retry_at_home(option, path))


def check_link(path: Path, option: str) -> bool:
    """Whether the path is a symbolic link. Raises CannotCreate if the link belongs to another user."""
    try:
        status = path.lstat()
    except OSError:
        return False
    if not stat.S_ISLNK(status.st_mode):
        return False
    if status.st_uid not in trusted_uids():
        hint = _hint_of_target(path, option)
        raise CannotCreate(f"{path} is a symbolic link of another user (uid {status.st_uid})", hint)
    return True


def _hint_of_target(path: Path, option: str) -> str:
    return retry_with(option, os.path.realpath(path))


def check_owner(path: Path, status: os.stat_result) -> None:
    """Raises CannotCreate for a file that belongs to another user, or that has a second hard link.

    status: of the file.
    """
    name = argv.file_word(path)
    if status.st_uid not in trusted_uids():
        if path.parent == service_place.FOLDER:
            message = f"{path} belongs to the service: do this as its user, so that it stays readable for the service"
            raise CannotCreate(message, as_user(service_place.USER))
        user = invoking_user()
        raise CannotCreate(
            f"{path} belongs to another user (uid {status.st_uid}), who could read"
            " all that is recorded; if it is yours all the same, make it so",
            f"sudo chown {user[0] if user else os.geteuid()} {name}",
        )
    if status.st_nlink > 1:
        raise CannotCreate(
            f"{path} is a hard link: the same file has another name, and may be another user's;"
            " remove this one, and the other stays",
            f"rm {name}",
        )


def side_files(path: Path) -> list[Path]:
    """Returns the paths of the files that SQLite makes beside the database. They need not exist."""
    return [path.with_name(path.name + suffix) for suffix in SIDE_FILE_SUFFIXES]


def check_side_files(path: Path) -> None:
    """Raises CannotCreate for side files that SQLite didn't make, but would write to or read rows from."""
    for side in side_files(path):
        try:
            status = side.lstat()
        except OSError:
            continue
        owners = trusted_uids() | ({path.stat().st_uid} if path.exists() else set())
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1 or status.st_uid not in owners:
            raise CannotCreate(
                f"{side} is no file of SQLite's, but was put there (by uid {status.st_uid})",
                f"rm {argv.file_word(side)}",
            )


def open_descriptors() -> dict[int, os.stat_result]:
    """Returns the open descriptors of this process, each with its stat() result, for check_opened()."""
    opened = {}
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor of the listing itself is closed by now
            opened[int(entry.name)] = os.fstat(int(entry.name))
    return opened


def check_opened(path: Path, identity: Identity, before: Collection[int]) -> None:
    """Raises CannotCreate if SQLite has not opened the file `identity`, or has opened a planted file beside it.

    before: the descriptors that were open before SQLite opened its files. This check uses descriptors, because
    somebody could put a link at a path between its check and its opening. SQLite doesn't follow a symbolic link in the
    last part of a path, but it opens a hard link, or a file of another user, like any other file.
    """
    now_open = open_descriptors()
    # All descriptors, not only the new ones: SQLite may reuse an old descriptor of a file that it has open already.
    owners = {status.st_uid for status in now_open.values() if identity_of(status) == identity}
    if not owners:
        raise CannotCreate(f"{path} was replaced while it was being opened", "webpf record --db ~/webpf.db")
    for status in (now_open[fd] for fd in now_open.keys() - before):
        is_suspect = status.st_uid not in owners | trusted_uids() or status.st_nlink > 1
        if is_suspect and stat.S_ISREG(status.st_mode):
            raise CannotCreate(
                f"a file that SQLite needs beside {path} was put there by another user (uid {status.st_uid})",
                "webpf record --db ~/webpf.db",
            )


def give_new_file(path: Path, descriptor: int) -> None:
    """Under sudo, gives a file that root has just created to the user behind sudo.

    Its group is that user's, unless the folder decides the group (setgid).
    """
    owner = invoking_user()
    if owner is None:
        return
    with suppressed(__name__, f"giving {path} away", OSError):  # FAT has no owners
        os.fchown(descriptor, owner[0], -1 if _decides_group(path.parent) else owner[1])


def _decides_group(folder: Path) -> bool:
    """Whether files in this folder get the group of the folder, and not of the process that creates them."""
    return bool(folder.stat().st_mode & stat.S_ISGID)


def give_to_invoking_user(path: Path, identity: Identity) -> None:
    """Under sudo, changes the owner of the file from root to the user behind sudo.

    It changes no other file, even if `path` is now another file than `identity`.
    """
    owner = invoking_user()
    if owner is None:
        return
    with suppressed(__name__, f"changing the owner of {path}", OSError):  # it was removed, or replaced by a link
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(fd)
            if status.st_uid == 0 and identity_of(status) == identity:
                give_new_file(path, fd)
        finally:
            os.close(fd)


def identity_of(status: os.stat_result) -> Identity:
    """Returns the identity of the file with this stat() result."""
    return status.st_dev, status.st_ino
