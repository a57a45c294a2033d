"""The priorities of systemd's journal, which a line has in front where stderr goes there: see sd-daemon(3)."""

from __future__ import annotations

import contextlib
import os

ERROR, WARNING, INFO, DEBUG = 3, 4, 6, 7
"""As in syslog(3)."""


def is_at(descriptor: int = 2) -> bool:
    """Whether what is written to a descriptor goes to the journal: JOURNAL_STREAM names its device and inode."""
    stream = os.environ.get("JOURNAL_STREAM", "")
    with contextlib.suppress(OSError):
        status = os.fstat(descriptor)
        return stream == f"{status.st_dev}:{status.st_ino}"
    return False


def prefix(priority: int, descriptor: int = 2) -> str:
    """Returns what a line of this priority begins with, on this descriptor; empty if it doesn't go to the journal."""
    return f"<{priority}>" if is_at(descriptor) else ""
