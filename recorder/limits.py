"""What values the options of a recording may have."""

from __future__ import annotations

from .errors import UsageError

_MIB = 1024 * 1024
_MAX_ARGS = 2 * _MIB  # argv.LONGEST


def check(duration: float | None, buffer_mib: int, max_args: int) -> None:
    """Raises UsageError for a duration (seconds), buffer (MiB) or length of arguments (bytes) that can't be."""
    if duration is not None and not 0 < duration < 1e9:
        raise UsageError(f"--duration must be more than 0 seconds, not {duration:g}", "--duration 60")
    if not 1 <= buffer_mib <= 1024 or buffer_mib & (buffer_mib - 1):
        raise UsageError(f"--buffer-mib must be a power of two from 1 to 1024, not {buffer_mib}", "--buffer-mib 16")
    if not 0 <= max_args <= _MAX_ARGS:
        raise UsageError(f"--max-args must be from 0 to {_MAX_ARGS}, not {max_args}", "--max-args 32768")
    if max_args * 4 > buffer_mib * _MIB:
        raise UsageError(f"--max-args {max_args} needs a larger buffer than {buffer_mib} MiB", "--buffer-mib 16")
