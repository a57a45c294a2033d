"""Worker processes that read the paths of working directories for the recorder, since a file system may hang.

A process that looks at a directory there hangs too. Sometimes not even SIGKILL ends it, and a process with one such
thread can't end. So small processes do it that nobody waits for. They share a socket: a free worker takes a request.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
import socket
from typing import NoReturn

from ..host.inherited import close_all_but
from . import channel

LONGEST_MESSAGE = 8192
"""Bytes of a request, a list of (numbers of a directory, pids that may be there), or an answer, (numbers, path)."""


class Workers:
    """The workers' end of the socket, in the process that forks them, and the recorder's."""

    def __init__(self) -> None:
        self._theirs, self.ours = channel.make_socket_pair(socket.SOCK_SEQPACKET)

    def keep_their_end(self) -> None:
        """In the process that forks workers: they end when the recorder's end is closed."""
        self.ours.close()

    def keep_our_end(self) -> None:
        """In the recorder."""
        self._theirs.close()

    def fork(self) -> None:
        """One more."""
        if os.fork() == 0:
            _answer_requests(self._theirs)


def _answer_requests(requests: socket.socket) -> NoReturn:
    """Answers requests until nobody can ask any more. Whatever happens, it doesn't return."""
    try:
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            with contextlib.suppress(OSError):
                signal.signal(number, signal.SIG_IGN)
        close_all_but({requests.fileno()})
        from ..host import working_dirs

        while request := requests.recv(LONGEST_MESSAGE):
            for numbers, pids in marshal.loads(request):
                paths = (working_dirs.path_of(pid, numbers) for pid in pids)
                answer = marshal.dumps((numbers, next((path for path in paths if path is not None), None)))
                requests.send(answer if len(answer) <= LONGEST_MESSAGE else marshal.dumps((numbers, None)))
    finally:
        os._exit(0)
