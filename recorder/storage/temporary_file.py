"""Temporary files with hidden names: an output is written to one of them, and renamed when it is complete.

A process that is killed leaves its temporary file behind. The next process that writes to the same folder removes it:
the kernel has released the lock of the killed process.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import stat
import tempfile
from pathlib import Path

_PREFIX, _SUFFIX = ".webpf-", ".tmp"


def make(folder: Path) -> tuple[int, str]:
    """Creates a file of mode 0600. Removes files in the folder that killed processes of this user have left.

    Returns its descriptor, which holds a lock (flock) until it is closed, and its path. Raises OSError.
    """
    for leftover in folder.glob(f"{_PREFIX}????????{_SUFFIX}"):
        with contextlib.suppress(OSError):
            descriptor = os.open(leftover, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                status = os.fstat(descriptor)
                if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove(leftover)
            finally:
                os.close(descriptor)
    while True:
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=_PREFIX, suffix=_SUFFIX)
        if _is_locked(descriptor) and Path(name).exists():
            return descriptor, name
        os.close(descriptor)  # another process took it for a leftover before it was locked


def _is_locked(descriptor: int) -> bool:
    """Locks a file. Returns False if another process holds the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # without locks on this file system, no file is ever removed as a leftover
        return True
    return True


def remove(temporary: Path) -> None:
    """Removes a temporary file, and the files that SQLite made beside it."""
    for leftover in temporary.parent.glob(f"{glob.escape(temporary.name)}*"):
        leftover.unlink(missing_ok=True)
