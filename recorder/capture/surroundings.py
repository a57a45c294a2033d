"""What a recording needs from the machine, besides its events: the clock, /proc, the paths of cgroups and directories.

A recording gets all of this from one object, so that a replay of another machine's events reads nothing from this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from ..host.working_dirs import DirectoryId
    from ..model.event_source import Source
    from ..model.events import Event, Seen, Usage
    from ..model.host_description import HostDescription
    from ..model.process import Process


class Scan(NamedTuple):
    """Processes that were read from /proc, and the paths of their cgroups by id."""

    alive: list[Seen]
    cgroup_paths: Mapping[int, str | bytes | None]


NOTHING_SEEN = Scan([], {})


class Snapshot(NamedTuple):
    """The processes that were alive at the start of a recording, followed by all events up to until_ns (Unix ns)."""

    events: list[Event]
    until_ns: int
    cgroup_paths: Mapping[int, str | bytes | None]


class DirectoryLookup(Protocol):
    """Finds the paths of working directories without blocking."""

    def request_path(self, numbers: DirectoryId, pids: Sequence[int]) -> None:
        """Requests the path of a directory. pids: processes that are probably in that directory."""

    def take_answers(self) -> Mapping[DirectoryId, str | bytes]:
        """Returns the paths that were found since the last call."""

    def await_answers(self, seconds: float) -> Mapping[DirectoryId, str | bytes]:
        """Like take_answers(), but waits up to `seconds` for open requests: for the end of the recording."""


class Surroundings(Protocol):
    """A machine: this one (live_machine.py), or the one that a stream comes from (replayed_machine.py).

    started_ns: Unix ns when the recording began. sweep_seconds: how often Session.forget_unfreed() is called. is_live:
    False for a replay. Incidents are recorded only in live recordings.
    """

    started_ns: int
    sweep_seconds: float
    is_live: bool

    def now(self) -> int:
        """Returns Unix ns by the clock of the events."""

    def was_clock_set(self) -> bool:
        """Whether the clock was set since the last call."""

    def renew_clock(self, source: Source) -> int:
        """Measures the offset of the clock again. Returns by how many ns all times of now() and of events change.

        source: whose events have the new times from now on. started_ns changes too.
        """

    def describe_host(self) -> HostDescription:
        """Returns the columns of `recordings` that describe the machine and the recorder."""

    def snapshot(self, source: Source) -> Snapshot:
        """Returns the processes that are alive at the start, and the first events of the source."""

    def rescan(self) -> Scan:
        """Returns the processes that match the filters now; they may have no event yet. Called while recording."""

    def find_changed(self, processes: Iterable[Process]) -> Scan:
        """Returns the processes whose name, user or cgroup differs from their events. Called at the end."""

    def read_usage(self, process: Process) -> Usage | None:
        """Returns what a running process has cost so far; None if that is unknown. Called at the end."""

    @property
    def is_interrupted(self) -> bool:
        """Whether the end of the stream is missing. False for a live recording. Read at the end."""

    def is_alive(self, process: Process) -> bool:
        """Whether a process without an exit event is alive now."""

    def is_reaped(self, process: Process) -> bool:
        """Whether an ended process is not a zombie any more. Its free event comes soon, or never."""

    def cgroup_path(self, cgroup_id: int) -> str | bytes | None:
        """Returns the path of a cgroup; None if it is unknown."""

    def directory_lookup(self) -> DirectoryLookup | None:
        """Returns what finds paths of working directories; None if nothing can. Call it only once."""
