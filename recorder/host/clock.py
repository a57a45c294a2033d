"""The kernel's boot clock, in any time namespace, and its offset to Unix time.

The kernel stamps events and the starts of processes with CLOCK_BOOTTIME of the first time namespace. In another time
namespace, the clock and /proc show a process values that are shifted by an offset (time_namespaces(7)). So all code
reads the boot clock with this module, and converts every start time of /proc with to_kernel_clock().
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
    """Returns nanoseconds since boot, including time in suspend, by the kernel's clock, which all events have."""
    return _read_boot_clock() - namespace_offset_ns()


def to_kernel_clock(shown_ns: int) -> int:
    """Converts a start time in ns that /proc shows to this process; returns boot ns by the kernel's clock.

    The kernel computes modulo 2^64, so /proc shows a start before time 0 of this time namespace as a large number.
    """
    return (shown_ns if shown_ns < _WRAP // 2 else shown_ns - _WRAP) - namespace_offset_ns()


def measure_offset(samples: int = _SAMPLES) -> int:
    """Returns the nanoseconds to add to boot time to get Unix time, as of now.

    Each sample reads the real-time clock between two readings of the boot clock. The sample with the least time between
    these two has the smallest error (well under a microsecond).
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
    """Returns how far the boot clock of this process is ahead of the kernel's, in ns; 0 in the first time namespace.

    It is cached: a process never changes its time namespace. But a forked child may have another one.
    """
    try:
        own, of_children = (Path(f"/proc/self/ns/{name}").readlink() for name in ("time", "time_for_children"))
        offsets = Path("/proc/self/timens_offsets").read_text()
    except OSError:
        return 0  # this kernel has no time namespaces
    # /proc shows only the offset of the namespace of future children. After unshare(2) that is not the process's own.
    offset = parse_offset(offsets)
    return offset if own == of_children else offset - _measure_child_ahead_ns()


os.register_at_fork(after_in_child=namespace_offset_ns.cache_clear)


def parse_offset(offsets: str) -> int:
    """Returns the offset of the boot clock in /proc/PID/timens_offsets, in ns; 0 if it has no such line."""
    for line in offsets.splitlines():
        clock, seconds, nanoseconds = line.split()
        if clock == "boottime":
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return 0


def _read_boot_clock() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _measure_child_ahead_ns() -> int:
    """Forks a child that reads its boot clock; returns how far that is ahead of this process's, to a few us."""
    request, answer = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(request[1])
            while os.read(request[0], 1):
                os.write(answer[1], _read_boot_clock().to_bytes(8, "little"))
        finally:
            os._exit(0)
    os.close(request[0])
    os.close(answer[1])
    try:
        return min(_ask_child(request[1], answer[0]) for _ in range(_SAMPLES))[1]
    finally:
        os.close(request[1])
        os.close(answer[0])
        os.waitpid(child, 0)


def _ask_child(request: int, answer: int) -> tuple[int, int]:
    """Returns how long the answer took, and how far the child's clock was ahead in the middle of that time."""
    before = _read_boot_clock()
    os.write(request, b"?")
    childs = int.from_bytes(os.read(answer, 8), "little")
    after = _read_boot_clock()
    return after - before, childs - (before + after) // 2
