"""The kernel's own boot clock, whatever time namespace this process is in, and its distance to Unix time.

The kernel stamps events, and starts of processes, with CLOCK_BOOTTIME of the first time namespace. What a process
reads, from the clock and in /proc, is shifted by the offset of its own time namespace (time_namespaces(7)). So every
reading of that clock goes through this module, and every start that /proc tells goes through kernels_own().
"""

from __future__ import annotations

import contextlib
import os
import time
from functools import cache
from pathlib import Path

_WRAP = 1 << 64
_SAMPLES = 32


def boot_ns() -> int:
    """Nanoseconds since boot by the kernel's own clock, with time spent suspended: the clock of every event."""
    return _own_ns() - namespace_offset_ns()


def kernels_own(shown_ns: int) -> int:
    """Boot ns by the kernel's own clock of a start time that /proc shows to this process, in ns.

    The kernel counts modulo 2^64, so a start from before the zero of this time namespace is shown as a large number.
    """
    return (shown_ns if shown_ns < _WRAP // 2 else shown_ns - _WRAP) - namespace_offset_ns()


def measure_offset(samples: int = _SAMPLES) -> int:
    """Nanoseconds to add to boot time to get Unix time, as of now.

    Each sample reads the real-time clock between two readings of the boot clock; the sample whose two readings are
    closest has the smallest error (well under a microsecond).
    """
    best = None
    for _ in range(samples):
        before = boot_ns()
        unix = time.time_ns()
        after = boot_ns()
        if best is None or after - before < best[0]:
            best = (after - before, unix - (before + after) // 2)
    assert best is not None
    return best[1]


def local_zone() -> tuple[str | None, int]:
    """Name of the local time zone, as in the tz database, where it can be found out; and seconds ahead of UTC now."""
    name = os.environ.get("TZ", "").removeprefix(":") or None
    if name is None:
        with contextlib.suppress(OSError):
            name = os.readlink("/etc/localtime").partition("zoneinfo/")[2] or None  # noqa: PTH115 - only its text
    return name, time.localtime().tm_gmtoff


@cache
def namespace_offset_ns() -> int:
    """How much this process's boot clock is ahead of the kernel's own; 0 outside of time namespaces.

    A process stays in its time namespace, but what it forks may get another.
    """
    try:
        own, childrens = (Path(f"/proc/self/ns/{name}").readlink() for name in ("time", "time_for_children"))
        offsets = Path("/proc/self/timens_offsets").read_text()
    except OSError:
        return 0  # this kernel has no time namespaces
    # The kernel tells only the offset of the namespace that children get. unshare(2) makes these two differ.
    offset = parse_offset(offsets)
    return offset if own == childrens else offset - _ahead_of_parent_ns()


os.register_at_fork(after_in_child=namespace_offset_ns.cache_clear)


def parse_offset(offsets: str) -> int:
    """Nanoseconds by which /proc/PID/timens_offsets moves the boot clock; 0 if it says nothing of it."""
    for line in offsets.splitlines():
        clock, seconds, nanoseconds = line.split()
        if clock == "boottime":
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return 0


def _own_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _ahead_of_parent_ns() -> int:
    """How much the boot clock of a child is ahead of this process's, to some microseconds: the child is asked."""
    asked, answered = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(asked[1])
            while os.read(asked[0], 1):
                os.write(answered[1], _own_ns().to_bytes(8, "little"))
        finally:
            os._exit(0)
    os.close(asked[0])
    os.close(answered[1])
    try:
        return min(_ask(asked[1], answered[0]) for _ in range(_SAMPLES))[1]
    finally:
        os.close(asked[1])
        os.close(answered[0])
        os.waitpid(child, 0)


def _ask(asked: int, answered: int) -> tuple[int, int]:
    """How long the answer took, and how much later the child's clock was than the middle of that time."""
    before = _own_ns()
    os.write(asked, b"?")
    theirs = int.from_bytes(os.read(answered, 8), "little")
    after = _own_ns()
    return after - before, theirs - (before + after) // 2
