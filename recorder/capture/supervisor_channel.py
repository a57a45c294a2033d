"""Messages between the recorder and its supervisor, over a pair of sockets.

A message is a tuple: its name, then values of plain types. `marshal` is enough, since both ends are the same program.
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import socket
import struct
from typing import Any, TypeAlias

Message: TypeAlias = tuple[Any, ...]

START, WORKER, DONE = "start", "worker", "done"
"""From the recorder: start this command (launch.Start), fork another directory worker, "I exit with this code"."""

STARTED, FAILED, REFUSED, ENDED = "started", "failed", "refused", "ended"
"""From the supervisor about the command: it runs (pid), can't be executed (errno), isn't started because a signal came
before (number), has ended (exit code)."""

_LENGTH = struct.Struct("=Q")
_CHUNK = 1 << 16


class Channel:
    """One end of a channel."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._received = b""

    def fileno(self) -> int:
        """Returns the descriptor, for poll(2) and select(2)."""
        return self._end.fileno()

    def send(self, *message: Any) -> None:
        """Sends a message. Blocks until the socket has room for it. Does nothing if the other end is closed."""
        data = marshal.dumps(message)
        with contextlib.suppress(OSError):
            self._end.sendall(_LENGTH.pack(len(data)) + data, socket.MSG_NOSIGNAL)

    def receive(self) -> list[Message] | None:
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
        messages = []
        while len(self._received) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._received)[0]
            if len(self._received) < end:
                break
            messages.append(marshal.loads(self._received[_LENGTH.size : end]))
            self._received = self._received[end:]
        return messages

    def close(self) -> None:
        """Closes this end. The other end then receives None."""
        self._end.close()


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
