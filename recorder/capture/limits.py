"""What values the options of a recording may have."""

from __future__ import annotations

from ..errors import UsageError

_MIB = 1024 * 1024
_MAX_ARGS = 2 * _MIB  # argv.LONGEST


def check(buffer_mib: int, max_args: int) -> None:
    """Raises UsageError for a buffer (MiB) or a length of arguments (bytes) that can't be."""
    if not 1 <= buffer_mib <= 1024 or buffer_mib & (buffer_mib - 1):
        raise UsageError(
            f"--buffer-mib must be a power of two from 1 to 1024, not {buffer_mib}", "webpf record --buffer-mib 16"
        )
    if not 0 <= max_args <= _MAX_ARGS:
        raise UsageError(f"--max-args must be from 0 to {_MAX_ARGS}, not {max_args}", "webpf record --max-args 32768")
    if max_args * 4 > buffer_mib * _MIB:
        raise UsageError(
            f"--max-args {max_args} needs a larger buffer than {buffer_mib} MiB", "webpf record --buffer-mib 16"
        )
