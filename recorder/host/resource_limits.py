"""Lifts the resource limits (ulimit) of the caller for the recorder. They are meant for the command that it records."""

from __future__ import annotations

import contextlib
import resource

from ..errors import Unavailable

_LIFTED = (
    resource.RLIMIT_NOFILE,
    resource.RLIMIT_AS,
    resource.RLIMIT_DATA,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_CPU,
    resource.RLIMIT_NPROC,
    resource.RLIMIT_STACK,
    resource.RLIMIT_MEMLOCK,
)
_NEEDED = {
    # Measured with BCC 0.26: recording still works with 500 MiB of -v, 200 MiB of -d and 28 files.
    resource.RLIMIT_AS: (600 << 20, "-v", "bytes of memory"),
    resource.RLIMIT_DATA: (256 << 20, "-d", "bytes of memory"),
    resource.RLIMIT_NOFILE: (32, "-n", "open files"),
}


def lift() -> None:
    """Increases the limits of this process as far as allowed. Raises Unavailable if one stays too low for recording."""
    for limit in _LIFTED:
        _lift(limit)
    for limit, (needed, option, what) in _NEEDED.items():
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY and soft < needed:
            hint = f"ulimit {option} {'1024' if limit == resource.RLIMIT_NOFILE else 'unlimited'}"
            raise Unavailable(f"a recorder needs {needed:,} {what}, and may have {soft:,}", hint)


def lift_locked_memory() -> None:
    """Increases the limit of locked memory as far as allowed: before Linux 5.11 BPF maps count for it."""
    _lift(resource.RLIMIT_MEMLOCK)


def _lift(limit: int) -> None:
    _, hard = resource.getrlimit(limit)
    highest = 1 << 20 if limit == resource.RLIMIT_NOFILE else resource.RLIM_INFINITY  # 1 << 20: default fs.nr_open
    for limits in ((highest, highest), (hard, hard)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, limits)
            break
