"""Whether a recording that is marked as going on is still being written, or was broken off."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..model.events import TICK_NS
from . import procfs


def boot_id() -> str:
    """Identity of this boot of this machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def is_recorder_alive(recording: Mapping[str, Any]) -> bool:
    """recording: boot_id, recorder_pid and recorder_start_ns (boot ns) of a row of `recordings`."""
    if recording["boot_id"] != boot_id():
        return False
    stat = procfs.read_stat(recording["recorder_pid"])
    if stat is None or procfs.has_ended(stat):
        return False
    # Who recorded may have been in another time namespace: then its ticks, and ours, begin at other moments.
    return abs(stat.start_ns - int(recording["recorder_start_ns"])) < TICK_NS


def current_status(recording: Mapping[str, Any]) -> str:
    """The row's status, but `interrupted` for one that nobody writes any more, as after kill -9."""
    status = str(recording["status"])
    if status == "recording" and not is_recorder_alive(recording):
        return "interrupted"
    return status
