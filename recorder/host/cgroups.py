"""Cgroup v2: finds the id of a path, as the kernel reports it, and the path of an id."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

_FILEID_KERNFS = 0xFE  # include/linux/exportfs.h: the handle is the node's 64-bit id


class _FileHandle(ctypes.Structure):
    """struct file_handle of open_by_handle_at(2), with space for one kernfs id."""

    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("id", ctypes.c_uint64)]


@cache
def mount_point() -> Path | None:
    """Returns where the cgroup v2 hierarchy is mounted; None if it isn't, or if another file system covers it."""
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields, _, filesystem = line.partition(" - ")
        path = Path(fields.split()[4])
        if filesystem.startswith("cgroup2 ") and (path / "cgroup.controllers").exists():
            return path
    return None


def id_of(path: str) -> int | None:
    """Returns the id of the cgroup at this path of the hierarchy (its inode number); None if there is none."""
    mount = mount_point()
    try:
        return (mount / path.lstrip("/")).stat().st_ino if mount else None
    except OSError:
        return None


def path_of(cgroup_id: int) -> str | None:
    """Returns the path in the hierarchy of the cgroup with this id; None if it was removed or can't be looked up.

    The id is a file handle of the cgroup file system, so open_by_handle_at(2) finds the folder without a search. This
    needs CAP_DAC_READ_SEARCH.
    """
    mount = mount_point()
    if mount is None:
        return None
    handle = _FileHandle(8, _FILEID_KERNFS, cgroup_id)
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "open_by_handle_at"):
        return None
    try:
        mount_fd = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fd = libc.open_by_handle_at(mount_fd, ctypes.byref(handle), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if fd < 0:
            return None
        try:
            path = str(Path(f"/proc/self/fd/{fd}").readlink())
        except OSError:  # the path is longer than a page
            return None
        finally:
            os.close(fd)
    finally:
        os.close(mount_fd)
    if not path.startswith(str(mount)) or path.endswith(" (deleted)"):
        return None
    return path.removeprefix(str(mount)) or "/"
