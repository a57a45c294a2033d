"""Files under a hidden name, until they are whole and get their own.

A process that is killed leaves such a file. The next one in the same folder removes it: the kernel ended its lock.
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
    """Makes a new file of mode 0600, and removes what killed processes of this user have left in the folder.

    Returns its descriptor, which keeps it locked (flock) as long as it is open, and its path. Raises OSError.
    """
    for left in folder.glob(f"{_PREFIX}????????{_SUFFIX}"):
        with contextlib.suppress(OSError):
            descriptor = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                status = os.fstat(descriptor)
                if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove(left)
            finally:
                os.close(descriptor)
    while True:
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=_PREFIX, suffix=_SUFFIX)
        if _is_locked(descriptor) and Path(name).exists():
            return descriptor, name
        os.close(descriptor)  # another process came between these lines, and took the file for left


def _is_locked(descriptor: int) -> bool:
    """Locks a file; False if another process was quicker."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # where there are no locks, nothing is ever taken for left
        return True
    return True


def remove(temporary: Path) -> None:
    """Removes such a file, with those that SQLite made beside it."""
    for left in temporary.parent.glob(f"{glob.escape(temporary.name)}*"):
        left.unlink(missing_ok=True)
