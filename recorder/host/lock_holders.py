"""Which other processes hold a recording file locked, as far as the kernel tells: /proc/locks, see proc(5)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ..model.events import text
from . import file_owner

_LOCKS = Path("/proc/locks")
_MOST = 3


def describe(path: Path) -> str:
    """`by pid 12 (python3)`: those that write first; empty if nobody is known."""
    holders = [f"pid {pid} ({_name(pid)})" for pid in find(path)]
    if not holders:
        return ""
    more = f" and {len(holders) - _MOST} more" if len(holders) > _MOST else ""
    return f"by {', '.join(holders[:_MOST])}{more}"


def find(path: Path) -> list[int]:
    """Pids of other processes with a lock on the file, or on those that SQLite makes beside it; writers first."""
    wanted = set()
    for file in (path, *file_owner.side_files(path)):
        with contextlib.suppress(OSError):
            status = file.stat()
            wanted.add((os.major(status.st_dev), os.minor(status.st_dev), status.st_ino))
    found: dict[int, bool] = {}  # whether it is a reader only
    try:
        lines = _LOCKS.read_text(errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        # 1: POSIX  ADVISORY  WRITE 1234 fe:00:5678 1073741826 1073742335; with -> before POSIX: it waits for one.
        fields = line.split()
        if len(fields) != 8:
            continue
        _, _, _, kind, pid, place, *_ = fields
        major, minor, inode = place.split(":")
        if (int(major, 16), int(minor, 16), int(inode)) in wanted and int(pid) not in (os.getpid(), -1):
            found[int(pid)] = found.get(int(pid), True) and kind == "READ"
    return sorted(found, key=lambda pid: (found[pid], pid))


def _name(pid: int) -> str:
    try:
        return text(Path(f"/proc/{pid}/comm").read_bytes().rstrip(b"\n"))
    except OSError:
        return "gone"
