"""Worker processes that read the paths of working directories for the recorder, because a file system can hang.

A process that reads a directory on such a file system hangs too, and sometimes even SIGKILL doesn't end it. A process
can't exit while one of its threads hangs in this way. So small processes read the directories, and no process waits for
them. All workers read requests from one socket: a request goes to a worker that is free.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
import socket
from typing import NoReturn

from ..host.inherited_state import close_all_but
from . import supervisor_channel

LONGEST_MESSAGE = 8192
"""Maximum bytes of a request or an answer. A request is a list of (device and inode of a directory, pids that may be in
it); an answer is (device and inode, path or None)."""


class Workers:
    """Both ends of the socket between the workers and the recorder. `ours` is the recorder's end."""

    def __init__(self) -> None:
        self._theirs, self.ours = supervisor_channel.make_socket_pair(socket.SOCK_SEQPACKET)

    def keep_their_end(self) -> None:
        """Closes the recorder's end; to be called in the process that forks the workers.

        The workers exit when the recorder's end is closed everywhere.
        """
        self.ours.close()

    def keep_our_end(self) -> None:
        """Closes the workers' end; to be called in the recorder."""
        self._theirs.close()

    def fork(self) -> None:
        """Forks another worker."""
        if os.fork() == 0:
            _answer_requests(self._theirs)


def _answer_requests(requests: socket.socket) -> NoReturn:
    """Answers requests until the recorder's end is closed, then exits. Never returns, even after an exception."""
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
