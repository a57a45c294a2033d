"""Reads from /proc to whom a process belongs: what of it can change without an event."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..model.events import decode_escaped
from . import cgroups

_NO_LOGINUID = 2**32 - 1


class Identity(NamedTuple):
    """What of a process can change without an event. None: unknown, but for loginuid: nobody logged in."""

    comm: str
    uid: int
    cgroup_id: int | None
    sid: int | None
    loginuid: int | None


def read_identity(pid: int, cgroup_ids: dict[str, int]) -> Identity | None:
    """Returns the identity of a process; None if there is none. Faster than read_process().

    cgroup_ids: as in scan().
    """
    folder = Path(f"/proc/{pid}")
    try:
        name = (folder / "comm").read_bytes().removesuffix(b"\n")
        lines = (folder / "status").read_bytes()
        cgroup = read_cgroup(folder)
    except (FileNotFoundError, ProcessLookupError):
        return None
    uid = int(lines.partition(b"\nUid:")[2].split(None, 1)[0])
    sids = lines.partition(b"\nNSsid:")[2].split(None, 1)
    return Identity(
        decode_escaped(name),
        uid,
        cgroup_id(cgroup, cgroup_ids),
        int(sids[0]) if sids else None,
        read_loginuid(folder),
    )


def read_loginuid(folder: Path) -> int | None:
    """Returns None if nobody logged in, or if the kernel has no audit."""
    with contextlib.suppress(OSError):
        loginuid = int((folder / "loginuid").read_bytes())
        return None if loginuid == _NO_LOGINUID else loginuid
    return None


def read_cgroup(folder: Path) -> bytes:
    """Returns the lines of the file cgroup in a folder of /proc; empty if this user may not read it."""
    with unreadable_ignored():
        return (folder / "cgroup").read_bytes()
    return b""


@contextlib.contextmanager
def unreadable_ignored() -> Iterator[None]:
    """Ignores the error for a file that this user may not read, and for a path that is longer than a page."""
    try:
        yield
    except PermissionError:
        pass
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise


def cgroup_id(lines: bytes, known: dict[str, int]) -> int | None:
    """Returns the id of the cgroup v2 in these lines; None if there is none. known: ids by path; it is added to it."""
    for line in lines.splitlines():
        if line.startswith(b"0::"):
            path = os.fsdecode(line[3:])
            if path not in known:
                number = cgroups.id_of(path)
                if number is None:
                    return None
                known[path] = number
            return known[path]
    return None
