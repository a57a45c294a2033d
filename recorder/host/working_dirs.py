"""Finds the path of a process's working directory, if it is still the directory that the kernel reported."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeAlias

from ..model.events import decode_exact

DirectoryId: TypeAlias = tuple[int, int]
"""Identifies a directory: device as the kernel's own dev_t (12 bits major, 20 bits minor), and inode number."""

_MINOR_BITS = 20  # include/linux/kdev_t.h


def path_of(pid: int, numbers: DirectoryId) -> str | bytes | None:
    """Returns the path of the working directory, as bytes if it isn't UTF-8.

    None if the process has ended, has another working directory now, or may not be read by this user.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/cwd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        device, inode = numbers
        if status.st_ino != inode % 2**64:  # the inode of an event is signed
            return None
        if device != _kernel_dev_t(status.st_dev) and device != _device_of_mount(pid, descriptor):
            return None
        return decode_exact(os.fsencode(Path(f"/proc/self/fd/{descriptor}").readlink()))
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _kernel_dev_t(device: int) -> int:
    return os.major(device) << _MINOR_BITS | os.minor(device)


def _device_of_mount(pid: int, descriptor: int) -> int | None:
    """Returns the device in the mount table, which the kernel uses; on btrfs and overlayfs, stat() returns another."""
    fdinfo = Path(f"/proc/self/fdinfo/{descriptor}").read_text(errors="replace")
    mount = re.search(r"^mnt_id:\s*(\d+)$", fdinfo, re.MULTILINE)
    for line in Path(f"/proc/{pid}/mountinfo").read_text(errors="replace").splitlines():
        number, _, device, *_ = line.split()
        if mount and number == mount[1]:
            major, _, minor = device.partition(":")
            return int(major) << _MINOR_BITS | int(minor)
    return None
