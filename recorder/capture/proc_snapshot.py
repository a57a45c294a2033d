"""What /proc shows of a target: who is alive when a recording begins, with filters later too, and who has changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..host import clock, procfs
from ..model.source import Source
from . import last_look
from .redaction import Redaction
from .targets import Target

if TYPE_CHECKING:
    from ..model.events import Alive, Event
    from ..model.process import Process


@dataclass(frozen=True)
class FirstLook:
    """What was there when the recording began, and what had happened until it was looked at (Unix ns)."""

    events: list[Event]
    until_ns: int
    cgroup_paths: dict[int, str | None]


@dataclass(frozen=True)
class View:
    """How /proc is looked at: for which processes, and without which arguments.

    clock_offset: ns from boot time to Unix time. youngest_ns: later on, who is younger isn't looked for.
    """

    target: Target
    redaction: Redaction
    clock_offset: int
    max_args: int
    youngest_ns: int = 0

    def first(self, source: Source) -> FirstLook:
        """At the start, with what the source has by then."""
        alive, paths = self._look()
        until_ns = clock.boot_ns() + self.clock_offset
        events: list[Event] = []
        while batch := source.drain():
            events += batch
            if not source.has_more() or batch[-1].time_ns > until_ns:  # what came later can't be in both
                break
        return FirstLook([*procfs.without_doubles(alive, events), *events], until_ns, paths)

    def again(self) -> tuple[list[Alive], dict[int, str | None]]:
        """Filters can make the kernel side wait with a process until it execs or ends. Who lives on is found here.

        With the paths of their cgroups, by id.
        """
        if not self.target.filters.active:
            return [], {}
        alive, paths = self._look()
        oldest_ns = clock.boot_ns() + self.clock_offset - self.youngest_ns
        return [process for process in alive if process.start_ns <= oldest_ns], paths

    def changed(self, processes: Iterable[Process]) -> tuple[list[Alive], dict[int, str | None]]:
        """At the end: which of these processes are not as they are known, and the paths of their cgroups, by id."""
        cgroup_ids: dict[str, int] = {}
        alive = last_look.changed(processes, lambda pids: self._read_all(pids, cgroup_ids), cgroup_ids)
        return self._told(alive, cgroup_ids)

    def _read_all(self, pids: Iterable[int], cgroup_ids: dict[str, int]) -> Iterator[Alive]:
        return procfs.read_all(pids, self.clock_offset, self.max_args, cgroup_ids)

    def _look(self) -> tuple[list[Alive], dict[int, str | None]]:
        """Who of the target is alive, and the paths of their cgroups, by id."""
        cgroup_ids: dict[str, int] = {}
        return self._told(self.target.scan(self.clock_offset, self.max_args, cgroup_ids), cgroup_ids)

    def _told(self, alive: list[Alive], cgroup_ids: dict[str, int]) -> tuple[list[Alive], dict[int, str | None]]:
        if self.redaction.active:
            alive = [self.redaction.fact(each) for each in alive]
        return alive, {number: path for path, number in cgroup_ids.items()}
