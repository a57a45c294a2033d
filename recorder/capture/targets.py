"""What is recorded: the whole machine, a command with all that it starts, or a process that is there already."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from ..errors import NotFound
from ..host import procfs
from ..host.signals import ENDING, StopSignal, ignore
from ..kernel.filters import Filters
from ..model.events import Alive
from .command import Command
from .supervisor import Supervised

NO_FILTERS = Filters()


class Followable(Protocol):
    """The part of a Probe that a target uses."""

    def adopt(self, pid: int) -> None: ...
    def follow(self, pid: int) -> None: ...
    def unfollow(self, pid: int) -> None: ...
    def wake_on(self, descriptor: int) -> None: ...


class Target(Protocol):
    """What is recorded, and for how long. follows: who is named, and what comes of it. filters: who is wanted."""

    follows: bool
    filters: Filters

    def scan(self, clock_offset: int, max_args: int, cgroup_ids: dict[str, int]) -> list[Alive]:
        """Who of it is alive; see procfs.scan(). At the start, and with filters later too."""

    def aim(self, probe: Followable) -> None:
        """Points the probe at it, before the scan."""

    def start(self, probe: Followable) -> None:
        """Sets it going, once everything else is ready."""

    def is_over(self, is_anyone_alive: Callable[[], bool]) -> bool:
        """Whether there is nothing more to record."""


class Machine:
    """All processes, or those that filters want, until a signal comes."""

    follows = False

    def __init__(self, filters: Filters = NO_FILTERS) -> None:
        self.filters = filters
        self._probe: Followable | None = None
        self._stop = StopSignal(ENDING)

    def scan(self, clock_offset: int, max_args: int, cgroup_ids: dict[str, int]) -> list[Alive]:
        return _scan(self.filters, self._probe, clock_offset, max_args, cgroup_ids)

    def aim(self, probe: Followable) -> None:
        """At everything, or what the filters want."""
        self._probe = probe

    def start(self, probe: Followable) -> None:
        """It runs already."""

    def is_over(self, is_anyone_alive: Callable[[], bool]) -> bool:
        return self._stop.received is not None


class Running:
    """A process and what it starts from now on, until they have ended or a signal comes. Raises NotFound."""

    follows = True
    filters = NO_FILTERS

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stop = StopSignal(ENDING)
        try:
            self._pidfd = os.pidfd_open(pid)
        except (OSError, OverflowError):
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
    """A command, until it has ended, and all that it starts; or what filters want meanwhile (without any: everything).

    supervisor: starts it, and gets the signals that are meant for it. inside: where to start it; a cgroup for instance.
    """

    def __init__(
        self,
        command: Command,
        supervisor: Supervised,
        filters: Filters | None = None,
        inside: AbstractContextManager[None] | None = None,
    ) -> None:
        self.follows = filters is None
        self.filters = filters or NO_FILTERS
        self._command = command
        self._supervisor = supervisor
        self._inside = inside or nullcontext()
        self._probe: Followable | None = None
        ignore(ENDING)

    def scan(self, clock_offset: int, max_args: int, cgroup_ids: dict[str, int]) -> list[Alive]:
        return [] if self.follows else _scan(self.filters, self._probe, clock_offset, max_args, cgroup_ids)

    def aim(self, probe: Followable) -> None:
        """There is nothing yet to aim at, but what the filters want."""
        self._probe = probe

    def start(self, probe: Followable) -> None:
        """Starts the command: its fork is the first event."""
        if self.follows:
            probe.adopt(self._supervisor.pid)
        with self._inside:
            self._command.start(self._supervisor.channel)
        if self.follows:
            probe.adopt(0)
        probe.wake_on(self._supervisor.channel.fileno())

    def is_over(self, is_anyone_alive: Callable[[], bool]) -> bool:
        return self._command.has_ended()


def _scan(
    filters: Filters, probe: Followable | None, clock_offset: int, max_args: int, cgroup_ids: dict[str, int]
) -> list[Alive]:
    """Who is alive and wanted. Each is followed from then on, whatever becomes of it."""
    found = procfs.scan(clock_offset, max_args, cgroup_ids)
    if not filters.active or probe is None:
        return found
    wanted = {process.pid: process.start_ns for process in filter(filters.accepts, found)}
    for pid in wanted:
        probe.follow(pid)
    # Again, for until then the kernel side passed over what they did.
    again = procfs.read_all(list(wanted), clock_offset, max_args, cgroup_ids)
    followed = [process for process in again if wanted[process.pid] == process.start_ns and filters.accepts(process)]
    for pid in wanted.keys() - {process.pid for process in followed}:
        probe.unfollow(pid)
    return followed
