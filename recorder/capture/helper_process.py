"""Small processes that do for the recorder what it can't do itself: helpers. helper_protocol.py has what they do.

They are needed for two reasons:

- A process that reads a directory on a file system that hangs (NFS without its server) hangs too, and sometimes even
  SIGKILL doesn't end it. A process can't exit while one of its threads hangs in this way. So helpers look up the paths
  of working directories, and no process waits for them.
- Under sudo the recorder stops being root. What only root may read or do is then done by the helpers, which stay root.

All helpers read requests from one socket: a request goes to a helper that is free. They exit when the recorder ends,
however that happens, because this closes its end of the socket. They also end with the process that forked them, which
may end earlier than a malicious recorder, or than a child that such a recorder has left the socket to.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Collection
from typing import NoReturn

from ..host import syscalls
from ..host.inherited_state import close_all_but
from . import helper_protocol, supervisor_channel

MOST_HELPERS = 5
"""Maximum number of helpers. As many file systems less one can hang; then no more paths are looked up."""


class HelperProcesses:
    """Both ends of the socket between the helpers and the recorder. `ours` is the recorder's end."""

    def __init__(self) -> None:
        if "SUDO_UID" in os.environ:
            # The recorder will probably become that user, who may be able to change the files of webpf. So helpers
            # that are forked later must not read them.
            from . import helper_requests  # noqa: F401
        self._theirs, self.ours = supervisor_channel.make_socket_pair(socket.SOCK_SEQPACKET)
        self._forked = 0

    def keep_their_end(self) -> None:
        """Closes the recorder's end; to be called in the process that forks the helpers.

        The helpers exit when the recorder's end is closed everywhere.
        """
        self.ours.close()

    def keep_our_end(self) -> None:
        """Closes the helpers' end; to be called in the recorder."""
        self._theirs.close()

    def fork(self) -> None:
        """Forks another helper. Does nothing if there are MOST_HELPERS, or if the system has no room for a process."""
        if self._forked == MOST_HELPERS:
            return
        parent = os.getpid()
        with contextlib.suppress(OSError):
            if os.fork() == 0:
                _answer_requests(self._theirs, parent)
            self._forked += 1

    def fork_first(self) -> Callable[[], None]:
        """Forks the first helper. Returns the function that forks another one."""
        self.fork()
        return self.fork

    def fork_forker(self) -> Callable[[], None]:
        """Forks a small process that forks the first helper, and others on request.

        It is for a recorder that has no supervisor, and stops being root. Returns the function that requests a helper.
        The forker exits when the recorder ends.
        """
        requests, ours = supervisor_channel.make_socket_pair(socket.SOCK_STREAM)
        parent = os.getpid()
        if os.fork() == 0:
            self._fork_on_request(requests, parent)
        requests.close()
        self.keep_our_end()

        def request() -> None:
            with contextlib.suppress(OSError):
                ours.send(b"1", socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)

        return request

    def _fork_on_request(self, requests: socket.socket, parent: int) -> NoReturn:
        try:
            _detach({requests.fileno(), self._theirs.fileno()}, parent)
            self.fork()
            while requests.recv(1):
                self.fork()
        finally:
            os._exit(0)


def _detach(kept: Collection[int], parent: int) -> None:
    """Ends this process with its parent, ignores signals, which are for the recorder, and closes other descriptors."""
    syscalls.die_with_parent()
    if os.getppid() != parent:  # it ended before die_with_parent()
        os._exit(0)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_IGN)
    close_all_but(kept)


def _answer_requests(socket_: socket.socket, parent: int) -> NoReturn:
    """Answers requests until the recorder's end is closed, then exits. Never returns, even after an exception."""
    try:
        _detach({socket_.fileno()}, parent)
        from . import helper_requests

        while request := socket_.recv(helper_protocol.LONGEST_REQUEST + 1):
            for packet in helper_requests.answer(request, parent):
                socket_.send(packet)
    finally:
        os._exit(0)
