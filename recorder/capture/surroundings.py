"""The machine that the events of a recording come from, as far as the events don't describe it.

A recording takes all of this from one object, so that a replay of another machine's events never asks this machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from ..host.working_dirs import DirectoryId
    from ..model.events import Event, Seen
    from ..model.host_description import HostDescription
    from ..model.process import Process
    from ..model.source import Source


class Scan(NamedTuple):
    """Processes as /proc shows them, and the paths of the cgroups that they are in, by id."""

    alive: list[Seen]
    cgroup_paths: Mapping[int, str | bytes | None]


NOTHING_SEEN = Scan([], {})


class Snapshot(NamedTuple):
    """What was alive when the recording began, and then what has happened until until_ns (Unix ns)."""

    events: list[Event]
    until_ns: int
    cgroup_paths: Mapping[int, str | bytes | None]


class DirectoryLookup(Protocol):
    """Finds paths of working directories, which may take a while."""

    def request_path(self, numbers: DirectoryId, pids: Sequence[int]) -> None:
        """Ask for the path of a directory in which these processes may be."""

    def take_answers(self) -> Mapping[DirectoryId, str | bytes]:
        """The paths that have been found since the last call."""

    def await_answers(self, seconds: float) -> Mapping[DirectoryId, str | bytes]:
        """The same, at the end of the recording: wait for them up to `seconds`."""


class Surroundings(Protocol):
    """A machine: this one (live_machine.py), or the one that a stream of events came from.

    started_ns: Unix ns when the recording began. sweep_seconds: how often a recording forgets unfreed processes.
    is_live: whether its events are recorded while they happen: then it belongs to them what hindered the recorder.
    """

    started_ns: int
    sweep_seconds: float
    is_live: bool

    def now(self) -> int:
        """Unix ns by the clock of the events."""

    def describe_host(self) -> HostDescription:
        """What `recordings` keeps of the machine and of its recorder."""

    def snapshot(self, source: Source) -> Snapshot:
        """Processes that are alive at the start, and the first events of the source."""

    def rescan(self) -> Scan:
        """While recording: processes that match the filters by now, though no event has reported them."""

    def find_changed(self, processes: Iterable[Process]) -> Scan:
        """At the end: those of these processes whose name, user or cgroup isn't what the events say."""

    @property
    def is_interrupted(self) -> bool:
        """At the end: whether the last events are missing. False of a machine that is recorded live."""

    def is_alive(self, process: Process) -> bool:
        """Whether a process that has not reported its exit is alive now."""

    def is_reaped(self, process: Process) -> bool:
        """Whether a process that has ended is no zombie: then it has been freed, will be soon, or never will be."""

    def cgroup_path(self, cgroup_id: int) -> str | bytes | None:
        """Path of a cgroup; None if it is unknown."""

    def directory_lookup(self) -> DirectoryLookup | None:
        """How to find paths of working directories; None if they stay unknown. To be called once."""
