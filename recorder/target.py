"""What is recorded: the whole machine, a command with all that it starts, or a process that is there already."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import Protocol

from . import procfs
from .command import Command
from .errors import NotFound
from .events import Alive
from .stopsignal import StopSignal


class Followable(Protocol):
    """The part of a Probe that a target uses."""

    def adopt(self, pid: int) -> None: ...
    def follow(self, pid: int) -> None: ...
    def wake_on(self, descriptor: int) -> None: ...


class Target(Protocol):
    """What is recorded, and for how long. follows: only some processes are."""

    follows: bool

    def scan(self, clock_offset: int, max_args: int, cgroup_ids: dict[str, int]) -> list[Alive]:
        """Who of it is alive before; see procfs.scan()."""

    def aim(self, probe: Followable) -> None:
        """Points the probe at it, before the scan."""

    def start(self, probe: Followable) -> None:
        """Sets it going, once everything else is ready."""

    def is_over(self, is_anyone_alive: Callable[[], bool]) -> bool:
        """Whether there is nothing more to record."""


class Machine:
    """All processes, until a signal comes."""

    follows = False

    def __init__(self) -> None:
        self._stop = StopSignal()

    def scan(self, clock_offset: int, max_args: int, cgroup_ids: dict[str, int]) -> list[Alive]:
        return procfs.scan(clock_offset, max_args, cgroup_ids)

    def aim(self, probe: Followable) -> None:
        """At everything."""

    def start(self, probe: Followable) -> None:
        """It runs already."""

    def is_over(self, is_anyone_alive: Callable[[], bool]) -> bool:
        return self._stop.received is not None


class Running:
    """A process and what it starts from now on, until they have ended or a signal comes. Raises NotFound."""

    follows = True

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stop = StopSignal()
        try:
            self._pidfd = os.pidfd_open(pid)
        except OSError:
            raise NotFound(f"there is no process {pid}", "ps -e") from None

    def scan(self, clock_offset: int, max_args: int, cgroup_ids: dict[str, int]) -> list[Alive]:
        found = procfs.read_alive(self._pid, clock_offset, max_args, cgroup_ids)
        # By the descriptor, for another may have got the pid: this one was alive after the probe was aimed at it.
        if found is None or select.select([self._pidfd], [], [], 0)[0]:
            raise NotFound(f"process {self._pid} has ended just now", "ps -e")
        return [found]

    def aim(self, probe: Followable) -> None:
        probe.follow(self._pid)
        probe.wake_on(self._pidfd)

    def start(self, probe: Followable) -> None:
        """It runs already."""

    def is_over(self, is_anyone_alive: Callable[[], bool]) -> bool:
        return self._stop.received is not None or not is_anyone_alive()


class Commanded:
    """A command and all that it starts, or the whole machine meanwhile, until the command has ended."""

    def __init__(self, command: Command, whole_machine: bool = False) -> None:
        self.follows = not whole_machine
        self._command = command
        self._stop = StopSignal(respects_ignored=True)
        command.hold_signals()

    def scan(self, clock_offset: int, max_args: int, cgroup_ids: dict[str, int]) -> list[Alive]:
        return [] if self.follows else procfs.scan(clock_offset, max_args, cgroup_ids)

    def aim(self, probe: Followable) -> None:
        """There is nothing yet to aim at."""

    def start(self, probe: Followable) -> None:
        """Starts the command: its fork is the first event."""
        if self.follows:
            probe.adopt(os.getpid())
        self._command.start()
        if self.follows:
            probe.adopt(0)
        probe.wake_on(self._command.pidfd)
        if self._stop.received is not None:  # while it was being started
            self._command.send(self._stop.received)

    def is_over(self, is_anyone_alive: Callable[[], bool]) -> bool:
        return self._command.has_ended()
