"""Limits that the caller set (ulimit): they are meant for the command, and may be too low for a recorder."""

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
    # Tried with BCC 0.26: with 500 and 200 MiB it still records, and with 28 files.
    resource.RLIMIT_AS: (600 << 20, "-v", "bytes of memory"),
    resource.RLIMIT_DATA: (256 << 20, "-d", "bytes of memory"),
    resource.RLIMIT_NOFILE: (32, "-n", "open files"),
}


def lift() -> None:
    """Lifts them for this process, as far as it may. Raises Unavailable for one that is too low all the same."""
    for limit in _LIFTED:
        _, hard = resource.getrlimit(limit)
        most = 1 << 20 if limit == resource.RLIMIT_NOFILE else resource.RLIM_INFINITY  # fs.nr_open is the most
        for wanted in ((most, most), (hard, hard)):
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(limit, wanted)
                break
    for limit, (needed, option, what) in _NEEDED.items():
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY and soft < needed:
            hint = f"ulimit {option} {'1024' if limit == resource.RLIMIT_NOFILE else 'unlimited'}"
            raise Unavailable(f"a recorder needs {needed:,} {what}, and may have {soft:,}", hint)
