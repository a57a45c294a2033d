"""Finds the processes that hold locks on a recording file, in /proc/locks (see proc(5))."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ..model.events import decode_escaped
from . import file_owner

_LOCKS = Path("/proc/locks")
_MAX_SHOWN = 3


def describe(path: Path) -> str:
    """Returns text like `by pid 12 (python3)`, with writers first; empty if no holder is known."""
    holders = [f"pid {pid} ({_name(pid)})" for pid in find(path)]
    if not holders:
        return ""
    more = f" and {len(holders) - _MAX_SHOWN} more" if len(holders) > _MAX_SHOWN else ""
    return f"by {', '.join(holders[:_MAX_SHOWN])}{more}"


def find(path: Path) -> list[int]:
    """Returns the pids of other processes with a lock on the file or on SQLite's side files, with writers first."""
    file_ids = set()
    for file in (path, *file_owner.side_files(path)):
        with contextlib.suppress(OSError):
            status = file.stat()
            file_ids.add((os.major(status.st_dev), os.minor(status.st_dev), status.st_ino))
    is_reader: dict[int, bool] = {}  # by pid, whether it holds read locks only
    try:
        lines = _LOCKS.read_text(errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        # 1: POSIX  ADVISORY  WRITE 1234 fe:00:5678 1073741826 1073742335
        # A process that waits for a lock has one word more: -> before POSIX.
        fields = line.split()
        if len(fields) != 8:
            continue
        _, _, _, kind, pid, file_id, *_ = fields
        major, minor, inode = file_id.split(":")
        if (int(major, 16), int(minor, 16), int(inode)) in file_ids and int(pid) not in (os.getpid(), -1):
            is_reader[int(pid)] = is_reader.get(int(pid), True) and kind == "READ"
    return sorted(is_reader, key=lambda pid: (is_reader[pid], pid))


def _name(pid: int) -> str:
    try:
        return decode_escaped(Path(f"/proc/{pid}/comm").read_bytes().rstrip(b"\n"))
    except OSError:
        return "ended"
