"""Asks workers for the paths of working directories, and never waits for one that hangs: see directory_worker.py."""

from __future__ import annotations

import contextlib
import marshal
import select
import socket
import time
from collections.abc import Callable, Sequence

from ..host.working_dirs import DirectoryId
from .directory_worker import LONGEST_MESSAGE

_MOST_WORKERS = 4  # when so many file systems hang, no more paths are looked up
_SLOW_SECONDS = 0.5  # a worker that takes longer is thought to hang, and another one begins
_MOST_WAITING = 1024  # directories that wait for a request
_MOST_ASKED, _MOST_PIDS = 32, 8  # directories of one request, and pids of each: less than LONGEST_MESSAGE


class PathLookup:
    """The recorder's side. requests: its end of the workers' socket; add_worker: starts one more worker.

    own_pids: processes that may be in any directory that is asked for. A file system gets its next request when it has
    answered the one before, so one that hangs keeps one worker.
    """

    def __init__(self, requests: socket.socket, add_worker: Callable[[], None], own_pids: Sequence[int] = ()) -> None:
        self._requests = requests
        self._requests.setblocking(False)
        self._add_worker = add_worker
        self._own_pids = own_pids
        self._workers = 1
        self._asked: dict[int, tuple[set[DirectoryId], float]] = {}  # by device: what isn't answered, and since when
        self._waiting: dict[DirectoryId, list[int]] = {}

    def request_path(self, numbers: DirectoryId, pids: Sequence[int]) -> None:
        """Ask for the path of a directory in which these processes may be. Does nothing if too many requests wait."""
        if len(self._waiting) < _MOST_WAITING:
            self._waiting[numbers] = [*pids, *self._own_pids][:_MOST_PIDS]

    def take_answers(self) -> dict[DirectoryId, str | bytes]:
        """Send the requests that wait; return the paths that have been found since the last call."""
        found: dict[DirectoryId, str | bytes] = {}
        if not self._asked and not self._waiting:  # as nearly always
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
        """The same, at the end of the recording: wait for requests under way, up to `seconds`."""
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
            except OSError:  # there is no room: at the next call
                return
            for numbers in asked:
                del self._waiting[numbers]
            self._asked[device] = (set(asked), now)
