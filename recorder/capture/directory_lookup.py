"""Gets the paths of working directories from the helpers, without waiting for a file system that hangs.

helper_process.py has the helpers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..host.working_dirs import DirectoryId
from ..model.events import decode_exact
from . import helper_protocol as protocol
from .helper_client import SLOW_SECONDS, HelperClient
from .helper_process import MOST_HELPERS

_MOST_HANGING = MOST_HELPERS - 1  # if as many file systems hang, no more paths are looked up: one helper stays free
_MOST_WAITING = 1024  # directories that have not been sent to a helper


class PathLookup:
    """Sends requests to the helpers and takes their answers.

    own_pids: processes of webpf that can be in any of the directories. Each file system has at most one open request,
    so a file system that hangs blocks only one helper.
    """

    def __init__(self, helpers: HelperClient, own_pids: Sequence[int] = ()) -> None:
        self._helpers = helpers
        self._own_pids = own_pids
        self._asked: dict[int, tuple[set[DirectoryId], float]] = {}  # by device: the open request, and its time
        self._waiting: dict[DirectoryId, list[int]] = {}

    def request_path(self, numbers: DirectoryId, pids: Sequence[int]) -> None:
        """Queues a request for the path of a directory. pids: processes that are probably in that directory.

        Does nothing if 1,024 directories are queued.
        """
        if len(self._waiting) < _MOST_WAITING:
            self._waiting[numbers] = [*pids, *self._own_pids][: protocol.MOST_PIDS]

    def take_answers(self, seconds: float = 0.0) -> dict[DirectoryId, str | bytes]:
        """Sends the queued requests, and returns the paths that were found since the last call.

        seconds: how long to wait for an answer if there is none.
        """
        found: dict[DirectoryId, str | bytes] = {}
        if not self._asked and not self._waiting:  # nearly always
            return found
        for answer in self._helpers.take_directories(seconds):
            device, inode = numbers = protocol.DIRECTORY_ID.unpack_from(answer)
            asked, _ = self._asked.get(device, (set(), 0.0))
            if numbers not in asked:
                continue
            asked.discard(numbers)
            if not asked:
                self._asked.pop(device, None)
            if path := answer[protocol.DIRECTORY_ID.size :]:
                found[device, inode] = decode_exact(path)
        self._send()
        return found

    def await_answers(self, seconds: float) -> dict[DirectoryId, str | bytes]:
        """Like take_answers(), but waits up to `seconds` for the open requests: for the end of the recording."""
        deadline = time.monotonic() + seconds
        found = self.take_answers()
        while self._asked and (left := deadline - time.monotonic()) > 0:
            found |= self.take_answers(left)
        return found

    def _send(self) -> None:
        now = time.monotonic()
        by_device: dict[int, list[DirectoryId]] = {}
        for numbers in self._waiting:
            if numbers[0] not in self._asked:
                by_device.setdefault(numbers[0], []).append(numbers)
        for device, directories in by_device.items():
            hanging = sum(now - since > SLOW_SECONDS for _, since in self._asked.values())
            if hanging >= self._helpers.helpers:
                self._helpers.add_helper(_MOST_HANGING)
            if hanging >= min(self._helpers.helpers, _MOST_HANGING):
                return
            asked = directories[: protocol.MOST_DIRECTORIES]
            if not self._helpers.request_directories(b"".join(map(self._entry, asked))):
                return  # the socket is full: the next call tries again
            for numbers in asked:
                del self._waiting[numbers]
            self._asked[device] = (set(asked), now)

    def _entry(self, numbers: DirectoryId) -> bytes:
        pids = self._waiting[numbers]
        return protocol.ENTRY.pack(*numbers, *pids, *[0] * (protocol.MOST_PIDS - len(pids)))
