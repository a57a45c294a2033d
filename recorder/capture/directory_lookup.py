"""Gets the paths of working directories from worker processes, without waiting for a file system that hangs.

directory_worker.py has the workers.
"""

from __future__ import annotations

import contextlib
import marshal
import select
import socket
import time
from collections.abc import Callable, Sequence

from ..host.working_dirs import DirectoryId
from .directory_worker import LONGEST_MESSAGE

_MOST_WORKERS = 4  # if as many file systems hang, no more paths are looked up
_SLOW_SECONDS = 0.5  # after this time without an answer, a file system counts as hanging, and a worker is added
_MOST_WAITING = 1024  # directories that have not been sent to a worker
_MOST_ASKED, _MOST_PIDS = 32, 8  # directories in one request, and pids for each: such a request fits LONGEST_MESSAGE


class PathLookup:
    """Sends requests to the workers and takes their answers.

    requests: the recorder's end of the workers' socket. add_worker: starts another worker. own_pids: processes of
    webpf that can be in any of the directories. Each file system has at most one open request, so a file system that
    hangs blocks only one worker.
    """

    def __init__(self, requests: socket.socket, add_worker: Callable[[], None], own_pids: Sequence[int] = ()) -> None:
        self._requests = requests
        self._requests.setblocking(False)
        self._add_worker = add_worker
        self._own_pids = own_pids
        self._workers = 1
        self._asked: dict[int, tuple[set[DirectoryId], float]] = {}  # by device: the open request, and its time
        self._waiting: dict[DirectoryId, list[int]] = {}

    def request_path(self, numbers: DirectoryId, pids: Sequence[int]) -> None:
        """Queues a request for the path of a directory. pids: processes that are probably in that directory.

        Does nothing if 1,024 directories are queued.
        """
        if len(self._waiting) < _MOST_WAITING:
            self._waiting[numbers] = [*pids, *self._own_pids][:_MOST_PIDS]

    def take_answers(self) -> dict[DirectoryId, str | bytes]:
        """Sends the queued requests, and returns the paths that were found since the last call."""
        found: dict[DirectoryId, str | bytes] = {}
        if not self._asked and not self._waiting:  # nearly always
            return found
        with contextlib.suppress(OSError):
            while answer := self._requests.recv(LONGEST_MESSAGE):
                numbers, path = marshal.loads(answer)
                asked, _ = self._asked.get(numbers[0], (set(), 0.0))
                asked.discard(numbers)
                if not asked:
                    self._asked.pop(numbers[0], None)
                if path is not None:
                    found[numbers] = path
        self._send()
        return found

    def await_answers(self, seconds: float) -> dict[DirectoryId, str | bytes]:
        """Like take_answers(), but waits up to `seconds` for the open requests: for the end of the recording."""
        deadline = time.monotonic() + seconds
        found = self.take_answers()
        while self._asked and (left := deadline - time.monotonic()) > 0:
            select.select([self._requests], [], [], left)
            found |= self.take_answers()
        return found

    def _send(self) -> None:
        now = time.monotonic()
        by_device: dict[int, list[DirectoryId]] = {}
        for numbers in self._waiting:
            if numbers[0] not in self._asked:
                by_device.setdefault(numbers[0], []).append(numbers)
        for device, directories in by_device.items():
            hanging = sum(now - since > _SLOW_SECONDS for _, since in self._asked.values())
            if hanging >= self._workers and self._workers < _MOST_WORKERS:
                self._workers += 1
                self._add_worker()
            if hanging >= self._workers:
                return
            asked = directories[:_MOST_ASKED]
            try:
                self._requests.send(marshal.dumps([(numbers, self._waiting[numbers]) for numbers in asked]))
            except OSError:  # the socket is full: the next call tries again
                return
            for numbers in asked:
                del self._waiting[numbers]
            self._asked[device] = (set(asked), now)
