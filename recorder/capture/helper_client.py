"""The recorder's side of its helpers: sends requests, takes answers, and never waits long for a helper that hangs."""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable

from ..errors import Unavailable
from ..log import get_logger
from ..model.events import Seen, Usage
from . import helper_protocol as protocol
from .helper_process import MOST_HELPERS

_log = get_logger(__name__)
_ANSWER = protocol.ANSWER
SLOW_SECONDS = 0.5
"""After this time without an answer, a helper counts as hanging, and another one is started."""

_MOST_SECONDS = 2.0  # to wait for an answer
_REMOVE_SECONDS = 5.0  # of a cgroup: the helper itself waits for half a second
_PAUSE_SECONDS = 5.0  # after a request without an answer, so that a thousand of them don't wait one after the other


class HelperClient:
    """The helpers of one recorder. requests: its end of their socket. add_helper: starts another one."""

    def __init__(self, requests: socket.socket, add_helper: Callable[[], None]) -> None:
        self._requests = requests
        self._requests.setblocking(False)
        self._add_helper = add_helper
        self.helpers = 1
        self._number = 0
        self._parts: dict[int, bytes] = {}  # by request that is waited for: what has come of its answer
        self._answered: dict[int, bytes] = {}
        self._directories: deque[bytes] = deque()
        self._silent_until = 0.0

    def add_helper(self, most: int = MOST_HELPERS) -> bool:
        """Starts another helper. Returns False if there are as many already."""
        if self.helpers >= most:
            return False
        self.helpers += 1
        self._add_helper()
        return True

    def request_directories(self, entries: bytes) -> bool:
        """Sends a request for the paths of directories. Returns False if the socket is full."""
        return self._send(protocol.DIRECTORIES, entries)

    def take_directories(self, seconds: float = 0.0) -> list[bytes]:
        """Returns the answers about directories that have come. seconds: how long to wait if there are none."""
        self._receive()
        if not self._directories and seconds > 0:
            select.select([self._requests], [], [], seconds)
            self._receive()
        taken = list(self._directories)
        self._directories.clear()
        return taken

    def read_process(self, pid: int, clock_offset: int, max_args: int, cgroup_ids: dict[str, int]) -> Seen | None:
        """As procfs.read_process()."""
        answer = self._ask(protocol.PROCESS, pid, max_args, clock_offset)
        if not answer:
            return None
        fields, ids = marshal.loads(answer)
        cgroup_ids.update(ids)
        return Seen(*fields)

    def read_usage(self, pid: int, start_ns: int, now_ns: int) -> Usage | None:
        """As proc_usage.read_usage()."""
        answer = self._ask(protocol.USAGE, pid, start_ns, now_ns)
        return Usage(*marshal.loads(answer)) if answer else None

    def cgroup_path(self, cgroup_id: int) -> str | None:
        """As cgroups.path_of()."""
        answer = self._ask(protocol.CGROUP, cgroup_id % 2**64)
        return os.fsdecode(answer) if answer else None

    def hold_program(self, program_id: int) -> int:
        """Lets a helper hold a BPF program. Returns the descriptor of a file that says what has become of the program.

        It is the helper's /proc/PID/fdinfo/N. Raises OSError.
        """
        answer = self._ask(protocol.HOLD, program_id)
        if not answer:
            raise PermissionError(f"no helper can hold BPF program {program_id}")
        pid, number = protocol.HELD.unpack(answer)
        return os.open(f"/proc/{pid}/fdinfo/{number}", os.O_RDONLY | os.O_CLOEXEC)

    def enter_cgroup(self, cgroup_id: int) -> None:
        """Moves the supervisor into the cgroup that was made for this recording. Raises Unavailable."""
        _check(self._ask(protocol.ENTER, cgroup_id))

    def leave_cgroup(self, cgroup_id: int) -> None:
        """Moves the supervisor back into the cgroup above it. Raises Unavailable."""
        _check(self._ask(protocol.LEAVE, cgroup_id))

    def remove_cgroup(self, cgroup_id: int) -> bool:
        """Removes the cgroup that was made for this recording. Returns False if it isn't removed."""
        return self._ask(protocol.REMOVE, cgroup_id, seconds=_REMOVE_SECONDS) == protocol.DONE

    def _ask(self, kind: int, *numbers: int, seconds: float = _MOST_SECONDS) -> bytes | None:
        """Returns the answer; None if none comes in time. Starts another helper if the answer doesn't come soon."""
        now = time.monotonic()
        if now < self._silent_until or not self._send(kind, protocol.NUMBERS[kind].pack(*numbers)):
            return None
        number, deadline, slow = self._number, now + seconds, now + SLOW_SECONDS
        self._parts[number] = b""
        while number not in self._answered and (now := time.monotonic()) < deadline:
            if now >= slow:
                self.add_helper()
                slow = deadline
            select.select([self._requests], [], [], min(slow, deadline) - now)
            self._receive()
        self._parts.pop(number, None)
        if number not in self._answered:
            _log.warning("no helper answers request %d of kind %d", number, kind)
            self._silent_until = time.monotonic() + _PAUSE_SECONDS
        return self._answered.pop(number, None)

    def _send(self, kind: int, numbers: bytes) -> bool:
        self._number = (self._number + 1) % 2**32
        with contextlib.suppress(OSError):
            self._requests.send(protocol.REQUEST.pack(self._number, kind) + numbers)
            return True
        return False

    def _receive(self) -> None:
        with contextlib.suppress(OSError):
            while packet := self._requests.recv(protocol.LONGEST_ANSWER):
                number, kind = _ANSWER.unpack_from(packet)
                content = packet[_ANSWER.size :]
                if kind == protocol.DIRECTORY:
                    self._directories.append(content)
                elif number in self._parts and kind == protocol.MORE:
                    self._parts[number] += content
                elif number in self._parts:  # else nobody waits for it any more
                    self._answered[number] = self._parts[number] + content


def _check(answer: bytes | None) -> None:
    if answer != protocol.DONE:
        reason = os.fsdecode(answer) if answer else "no helper has done it"
        raise Unavailable(f"the command can't be started in its own cgroup: {reason}", "webpf record -- make")
