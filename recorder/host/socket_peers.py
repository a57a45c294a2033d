"""Finds the user at the other end of a TCP connection within this machine."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path

_ESTABLISHED = "01"  # include/net/tcp_states.h; a closed socket is shown as root's
_MAPPED = b"\0" * 10 + b"\xff\xff"  # an IPv4 address in a socket for IPv6


def find_uid(own: tuple[str, int], other: tuple[str, int]) -> int | None:
    """Returns the uid of the socket that is bound to `other` and connected to `own` (IPv4 address and port each).

    None if this machine has no such socket: the connection is closed, or comes from another machine.
    """
    for name, prefix in (("tcp", b""), ("tcp6", _MAPPED)):
        try:
            lines = Path("/proc/self/net", name).read_text().splitlines()[1:]
        except OSError:
            continue
        expected = [_shown(prefix, *other), _shown(prefix, *own), _ESTABLISHED]
        for line in lines:
            words = line.split()
            if words[1:4] == expected:
                return int(words[7])
    return None


def _shown(prefix: bytes, address: str, port: int) -> str:
    """Returns an address as /proc/net shows it: words of four bytes in the machine's byte order."""
    raw = prefix + ipaddress.IPv4Address(address).packed
    words = (int.from_bytes(raw[first : first + 4], sys.byteorder) for first in range(0, len(raw), 4))
    return f"{''.join(f'{word:08X}' for word in words)}:{port:04X}"
