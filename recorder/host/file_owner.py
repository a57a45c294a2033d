"""Whose a file is: what somebody may have planted where a recording shall go is found, and not written to.

Who may write in the file's folder could put something there: a link to another's file, or a file of his own, to read
what root records. So what is there already must be a plain file with one name, of root, of the caller, or of the user
behind sudo. What SQLite has opened is looked at once more (check_opened), for it may have been swapped meanwhile.
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
from .invocation import again_with, elsewhere

Identity: TypeAlias = tuple[int, int]
"""Which file it is, whatever its name: device and inode."""

MOST_LINKS = 40  # as many as Linux follows
_NO_ID = 2**32 - 1  # chown(2) and others take it for "leave it as it is"

SIDE_FILES = ("-wal", "-shm", "-journal")
"""What SQLite appends to the name of the database for the files that it makes beside it."""


def invoking_user() -> tuple[int, int] | None:
    """User and group id of the user behind sudo; None without sudo, or where it names ids that can't be."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError, ValueError):
        ids = int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
        if all(0 <= each < _NO_ID for each in ids):
            return ids
    return None


def trusted() -> set[int]:
    """Whose files are taken: root's, the caller's, and under sudo those of the user behind it."""
    user = invoking_user()
    return {0, os.geteuid(), *([user[0]] if user else [])}


def follow(path: Path, option: str = "--db") -> Path:
    """Where a symbolic link leads, or the path itself. Raises CannotCreate for a link that webpf doesn't follow.

    option: with which another place is chosen.
    """
    for _ in range(MOST_LINKS):
        if not check_link(path, option):
            return path  # even if it is a link by now: whoever opens it doesn't follow that
        if "SUDO_UID" in os.environ:
            hint = _instead(path, option)
            raise CannotCreate(f"{path} is a symbolic link, which webpf doesn't follow under sudo", hint)
        path = path.parent / path.readlink()
    raise CannotCreate(f"{path} is a symbolic link that leads nowhere", elsewhere(option, path))


def check_link(path: Path, option: str) -> bool:
    """Whether it is a symbolic link. Raises CannotCreate if it is another user's."""
    try:
        status = path.lstat()
    except OSError:
        return False
    if not stat.S_ISLNK(status.st_mode):
        return False
    if status.st_uid not in trusted():
        hint = _instead(path, option)
        raise CannotCreate(f"{path} is a symbolic link of another user (uid {status.st_uid})", hint)
    return True


def _instead(path: Path, option: str) -> str:
    return again_with(option, os.path.realpath(path))


def check_owner(path: Path, status: os.stat_result) -> None:
    """Raises CannotCreate for a file whose owner could read along, or that is another's by a hard link."""
    name = argv.file_word(path)
    if status.st_uid not in trusted():
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
    """What SQLite calls the files that it makes beside this one; whether they are there or not."""
    return [path.with_name(path.name + suffix) for suffix in SIDE_FILES]


def check_side_files(path: Path) -> None:
    """Raises CannotCreate for files beside this one that SQLite would write to, or take rows from, but didn't make."""
    for side in side_files(path):
        try:
            status = side.lstat()
        except OSError:
            continue
        owners = trusted() | ({path.stat().st_uid} if path.exists() else set())
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1 or status.st_uid not in owners:
            raise CannotCreate(
                f"{side} is no file of SQLite's, but was put there (by uid {status.st_uid})",
                f"rm {argv.file_word(side)}",
            )


def open_descriptors() -> dict[int, os.stat_result]:
    """What this process has open, for check_opened()."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing itself
            found[int(entry.name)] = os.fstat(int(entry.name))
    return found


def check_opened(path: Path, wanted: Identity, before: Collection[int]) -> None:
    """Raises CannotCreate if what was opened since `before` is not the file that create() had, with files of its own.

    By descriptor: between a check of a path and its opening, somebody could put a link there. SQLite itself opens the
    last part of a path without following links, but a hard link, or a file of another user, looks like any other.
    """
    now_open = open_descriptors()
    # Not only among the new ones: of a file that it has open already, SQLite may use an old descriptor again.
    owners = {status.st_uid for status in now_open.values() if identity_of(status) == wanted}
    if not owners:
        raise CannotCreate(f"{path} was replaced while it was being opened", "webpf record --db ~/webpf.db")
    for status in (now_open[fd] for fd in now_open.keys() - before):
        is_suspect = status.st_uid not in owners | trusted() or status.st_nlink > 1
        if is_suspect and stat.S_ISREG(status.st_mode):
            raise CannotCreate(
                f"a file that SQLite needs beside {path} was put there by another user (uid {status.st_uid})",
                "webpf record --db ~/webpf.db",
            )


def give_to_invoking_user(path: Path, wanted: Identity) -> None:
    """Under sudo, root's file becomes that of the user behind it; no other file does, should one be at its path."""
    owner = invoking_user()
    if owner is None:
        return
    with suppressed(__name__, f"giving {path} away", OSError):  # it has gone, or a link took its place
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(fd)
            if status.st_uid == 0 and identity_of(status) == wanted:
                os.fchown(fd, *owner)
        finally:
            os.close(fd)


def identity_of(status: os.stat_result) -> Identity:
    """Of a file, by what stat() says."""
    return status.st_dev, status.st_ino
