"""The CPUs that the kernel has room for."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def possible() -> int:
    """Returns the number of possible CPUs. There may be more of them than are online; per-CPU maps have them all."""
    ranges = Path("/sys/devices/system/cpu/possible").read_text().strip().split(",")
    return sum(int(last or first) - int(first) + 1 for first, _, last in (each.partition("-") for each in ranges))
