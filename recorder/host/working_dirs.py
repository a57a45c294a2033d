"""The path of a process's working directory, if it still is the one whose numbers the kernel reported."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeAlias

from ..model.events import exact

Numbers: TypeAlias = tuple[int, int]
"""Of a directory: its file system's number as the kernel writes it (dev_t: 12 and 20 bits), its own number there."""

_MINOR_BITS = 20  # include/linux/kdev_t.h


def path_of(pid: int, numbers: Numbers) -> str | bytes | None:
    """None if the process is gone, works elsewhere by now, or can't be looked at by this user.

    As bytes if it is no UTF-8.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/cwd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        device, inode = numbers
        if found.st_ino != inode:
            return None
        if device != _as_kernel(found.st_dev) and device != _device_of_mount(pid, descriptor):
            return None
        return exact(os.fsencode(Path(f"/proc/self/fd/{descriptor}").readlink()))
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _as_kernel(device: int) -> int:
    return os.major(device) << _MINOR_BITS | os.minor(device)


def _device_of_mount(pid: int, descriptor: int) -> int | None:
    """The device as the mount table has it, which is the kernel's own: stat() of btrfs and overlayfs says another."""
    about = Path(f"/proc/self/fdinfo/{descriptor}").read_text(errors="replace")
    mount = re.search(r"^mnt_id:\s*(\d+)$", about, re.MULTILINE)
    for line in Path(f"/proc/{pid}/mountinfo").read_text(errors="replace").splitlines():
        number, _, device, *_ = line.split()
        if mount and number == mount[1]:
            major, _, minor = device.partition(":")
            return int(major) << _MINOR_BITS | int(minor)
    return None
