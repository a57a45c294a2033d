"""Whether a recorder still writes a recording with status `recording`, or was killed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..model.events import TICK_NS
from . import procfs


def boot_id() -> str:
    """Returns the kernel's random id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def is_recorder_alive(recording: Mapping[str, Any]) -> bool:
    """Whether the recorder of a recording still runs.

    recording: a row of `recordings` with boot_id, recorder_pid and recorder_start_ns (boot ns).
    """
    if recording["boot_id"] != boot_id():
        return False
    stat = procfs.read_stat(recording["recorder_pid"])
    if stat is None or procfs.has_ended(stat):
        return False
    # In another time namespace the recorder rounded its start to other ticks than this process does.
    return abs(stat.start_ns - int(recording["recorder_start_ns"])) < TICK_NS


def current_status(recording: Mapping[str, Any]) -> str:
    """Returns the status in the row, but `interrupted` if it is `recording` and its recorder no longer runs."""
    status = str(recording["status"])
    if status == "recording" and not is_recorder_alive(recording):
        return "interrupted"
    return status
