"""Calls systemd's own programs."""

from __future__ import annotations

from pathlib import Path

from ..host import service_place
from . import programs

_RUNNING = Path("/run/systemd/system")  # as sd_booted(3) checks
_LOG_LINES = 20


def is_running() -> bool:
    """Whether systemd is what started this machine."""
    return _RUNNING.is_dir()


def control(*arguments: str) -> None:
    """Calls systemctl. Raises Unavailable with its message if it fails."""
    programs.require("systemctl", *arguments, hint=f"systemctl status {service_place.UNIT}")


def properties(*names: str) -> dict[str, str]:
    """Returns properties of the service's unit. Times are `@` and Unix seconds."""
    wanted = [f"--property={name}" for name in names]
    called = programs.call("systemctl", "show", "--timestamp=unix", service_place.UNIT, *wanted)
    return dict(line.split("=", 1) for line in called.stdout.splitlines() if "=" in line)


def latest_message() -> str:
    """Returns the latest line that webpf wrote to the journal as the service; empty if there is none."""
    wanted = ["--unit", service_place.UNIT, "--output=cat", "--no-pager", f"--lines={_LOG_LINES}"]
    lines = [line for line in programs.call("journalctl", *wanted).stdout.splitlines() if line.startswith("webpf: ")]
    return lines[-1].removeprefix("webpf: ") if lines else ""
