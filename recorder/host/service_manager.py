"""Tells the service manager how this service is: the protocol of systemd's sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import socket

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"
"""The service has started; it has begun to stop; it has not hung since the last of these."""

_SECONDS = 1.0  # how long to wait for a service manager that doesn't read


def is_listening() -> bool:
    """Whether there is a service manager that wants to be told."""
    return bool(_address())


def notify(state: str) -> None:
    """Sends a state to the service manager. It takes only those of the process that it started (NotifyAccess=main)."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.settimeout(_SECONDS)
        out.sendto(state.encode("utf-8", "replace"), _address())


def watchdog_seconds(main_pid: int) -> float | None:
    """Returns after how many seconds without ALIVE the service manager takes a service for hung. None: it never does.

    main_pid: the process that the service manager started.
    """
    with contextlib.suppress(ValueError):
        if int(os.environ.get("WATCHDOG_PID", main_pid)) == main_pid:
            return int(os.environ.get("WATCHDOG_USEC", "")) / 1e6 or None
    return None


def _address() -> bytes:
    """Returns the address of the service manager's socket: a path, or a name after a zero byte. Empty if there is none.

    In the environment, `@` stands for that zero byte.
    """
    address = os.fsencode(os.environ.get("NOTIFY_SOCKET", ""))
    return {b"/": address, b"@": b"\0" + address[1:]}.get(address[:1], b"")
