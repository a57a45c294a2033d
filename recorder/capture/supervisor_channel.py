"""Messages between the recorder and its supervisor, over a pair of sockets.

Under sudo the recorder stops being root, and the supervisor stays root. So from then on the supervisor must not trust
the recorder: after SEALED it accepts only requests without content, and numbers.

The recorder's messages are a byte, which says what it is, and:

| message | content | meaning |
|---|---|---|
| PREPARE | command_launch.Start (marshal) | this is the command; only before SEALED |
| SEALED | | what follows can't be trusted |
| START | | start the command |
| HELPER | | fork another helper |
| DONE | an exit code | the recorder exits with this code |
| NOTICE | its number in NOTICES | for the service manager |
| NOTICE_TEXT | a line of text | the same, for people; only before SEALED |

The supervisor's messages are tuples of a name and a value (marshal). Both ends are the same program, but only data of a
trusted process may be read by `marshal`.
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import socket
import struct
from typing import Any

from ..host import service_manager

PREPARE, SEALED, START, HELPER, DONE, NOTICE, NOTICE_TEXT = (bytes([number]) for number in range(1, 8))

NOTICES = (service_manager.READY, service_manager.STOPPING, service_manager.ALIVE)

CODE = struct.Struct("=i")
"""The exit code of DONE."""

STARTED, FAILED, REFUSED, ENDED = "started", "failed", "refused", "ended"
"""From the supervisor about the command: it runs (pid), can't be executed (errno), isn't started because a signal came
before (number), has ended (exit code)."""

LONGEST_SEALED = 1 + CODE.size
"""Bytes of the longest message after SEALED."""

_LENGTH = struct.Struct("=Q")
_CHUNK = 1 << 16
_ANY_LENGTH = 1 << 62


class Channel:
    """One end of a channel."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._received = b""
        self.longest = _ANY_LENGTH
        """A message that is longer than these bytes closes this end."""
        self.is_sealed = False
        """Whether this end has sent SEALED: longer messages than LONGEST_SEALED would close the other end."""

    def fileno(self) -> int:
        """Returns the descriptor, for poll(2) and select(2)."""
        return self._end.fileno()

    def send(self, data: bytes) -> None:
        """Sends a message. Blocks until the socket has room for it. Does nothing if the other end is closed."""
        with contextlib.suppress(OSError):
            self._end.sendall(_LENGTH.pack(len(data)) + data, socket.MSG_NOSIGNAL)

    def receive(self) -> list[bytes] | None:
        """Returns the complete messages that have arrived; None if the other end is closed.

        Blocks until there is something to read. The list is empty if only a part of a message has arrived.
        """
        try:
            data = self._end.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:
            return None
        self._received += data
        messages: list[bytes] = []
        while len(self._received) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._received)[0]
            if end - _LENGTH.size > self.longest:
                self.close()
                return messages or None
            if len(self._received) < end:
                break
            messages.append(self._received[_LENGTH.size : end])
            self._received = self._received[end:]
        return messages

    def close(self) -> None:
        """Closes this end. The other end then receives None."""
        self._end.close()


def pack(*values: Any) -> bytes:
    """Returns values of plain types as a message or its content."""
    return marshal.dumps(values)


def unpack(data: bytes) -> tuple[Any, ...]:
    """Returns the values of pack(). The data must come from a trusted process."""
    values: tuple[Any, ...] = marshal.loads(data)
    return values


def make_pair() -> tuple[Channel, Channel]:
    """Returns both ends of a new channel."""
    first, second = make_socket_pair(socket.SOCK_STREAM)
    return Channel(first), Channel(second)


def make_socket_pair(kind: int) -> tuple[socket.socket, socket.socket]:
    """Returns a pair of connected sockets of this kind (socket.SOCK_STREAM ...), which are closed on exec.

    Their descriptors are 3 or higher: if the caller closed a standard descriptor, the command must find it closed too.
    """
    ends = socket.socketpair(socket.AF_UNIX, kind)
    with ends[0], ends[1]:
        first, second = (socket.socket(fileno=fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3)) for end in ends)
    return first, second
