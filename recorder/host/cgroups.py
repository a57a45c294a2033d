"""Cgroup v2: from a path to the id that the kernel reports, and from the id back to the path."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

_FILEID_KERNFS = 0xFE  # include/linux/exportfs.h: the handle is the node's 64-bit id


class _FileHandle(ctypes.Structure):
    """struct file_handle of open_by_handle_at(2), with room for one kernfs id."""

    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("id", ctypes.c_uint64)]


@cache
def mount_point() -> Path | None:
    """Where the cgroup v2 hierarchy is mounted; None if it is not, or if something else is mounted over it."""
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields, _, filesystem = line.partition(" - ")
        path = Path(fields.split()[4])
        if filesystem.startswith("cgroup2 ") and (path / "cgroup.controllers").exists():
            return path
    return None


def id_of(path: str) -> int | None:
    """Id of the cgroup at this path of the hierarchy: the inode number of its folder."""
    mount = mount_point()
    try:
        return (mount / path.lstrip("/")).stat().st_ino if mount else None
    except OSError:
        return None


def path_of(cgroup_id: int) -> str | None:
    """Path in the hierarchy of the cgroup with this id; None if it is gone, or can't be looked up here.

    The id is a file handle of the cgroup file system, so no folder has to be searched (needs CAP_DAC_READ_SEARCH).
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
        except OSError:  # a path of more than a page
            return None
        finally:
            os.close(fd)
    finally:
        os.close(mount_fd)
    if not path.startswith(str(mount)) or path.endswith(" (deleted)"):
        return None
    return path.removeprefix(str(mount)) or "/"
