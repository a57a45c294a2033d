"""The Surroundings of a replay: the machine that the events come from. Nothing is read from this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..model.bounded_cache import MIB, BoundedDict
from ..model.event_source import Source
from ..model.host_description import HostDescription
from ..model.stream_metadata import CgroupPath, DirectoryPath, Head, Note, StreamCounts
from .surroundings import NOTHING_SEEN, Scan, Snapshot

if TYPE_CHECKING:
    from ..host.working_dirs import DirectoryId
    from ..model.process import Process

_PATH_BYTES = 4 * MIB  # for cgroups, and for directories that are not written yet
# A process that ended so long ago is given up. If its free event comes after all, it is still used nearly always: see
# KnownProcesses.give_up(). A stream without free events only has to wait for events that are out of order.
_PATIENCE_NS = 60_000_000_000
_PATIENCE_WITHOUT_FREES_NS = 5_000_000_000


class ReplayedMachine:
    """A machine that is known only from its stream. Surroundings describes the methods.

    started_ns: Unix ns when the stream began. head: the first line; None if the stream has no head: then it has only
    forks, execs and exits. counts: the latest counts in the stream. has_failed: whether a line could not be read.
    """

    sweep_seconds = 1.0
    is_live = False

    def __init__(self, started_ns: int = 0, head: Head | None = None) -> None:
        self.started_ns = started_ns
        self.head = head
        self.counts: StreamCounts | None = None
        self.has_failed = False
        self._now_ns = started_ns
        self._cgroups: BoundedDict[int, str | bytes | None] = BoundedDict(_PATH_BYTES)
        self._new_cgroups: BoundedDict[int, str | bytes | None] = BoundedDict(_PATH_BYTES)
        self._directories: BoundedDict[DirectoryId, str | bytes] = BoundedDict(_PATH_BYTES)

    def take_note(self, note: Note) -> None:
        """Handles a line of the stream that is not an event."""
        if isinstance(note, CgroupPath):
            self._cgroups[note.cgroup_id] = self._new_cgroups[note.cgroup_id] = note.path
        elif isinstance(note, DirectoryPath):
            self._directories[note.device, note.inode] = note.path
        elif isinstance(note, StreamCounts):
            self.counts = note
            self.advance(note.time_ns)

    def advance(self, time_ns: int) -> None:
        """Moves the clock to this time (Unix ns), up to which the stream has been read."""
        self._now_ns = max(self._now_ns, time_ns)

    @property
    def is_interrupted(self) -> bool:
        """Whether the end of the stream is missing: a stream that begins with a head ends with counts."""
        is_without_end = self.head is not None and (self.counts is None or self.counts.ended_ns is None)
        return self.has_failed or is_without_end

    def now(self) -> int:
        return self.counts.ended_ns if self.counts and self.counts.ended_ns is not None else self._now_ns

    def was_clock_set(self) -> bool:
        """Returns False: a stream has one clock."""
        return False

    def renew_clock(self, source: Source) -> int:
        """Returns 0, and changes nothing."""
        return 0

    def describe_host(self) -> HostDescription:
        return self.head.host if self.head else HostDescription()

    def snapshot(self, source: Source) -> Snapshot:
        """Returns no processes: those that were alive at the start come as events of the stream."""
        return Snapshot([], self.started_ns, {})

    def rescan(self) -> Scan:
        """Returns the cgroup paths that came since the last call, and no processes."""
        paths = dict(self._new_cgroups)
        self._new_cgroups.clear()
        return Scan([], paths) if paths else NOTHING_SEEN

    def find_changed(self, processes: Iterable[Process]) -> Scan:
        return NOTHING_SEEN

    def read_usage(self, process: Process) -> None:
        """Returns None: what running processes have cost comes as events of the stream."""

    def is_alive(self, process: Process) -> bool:
        """Returns True: the stream has no other information."""
        return True

    def is_reaped(self, process: Process) -> bool:
        """Whether no more events are expected from an ended process, so that it needn't be kept in memory."""
        patience_ns = _PATIENCE_NS if self.head else _PATIENCE_WITHOUT_FREES_NS
        return process.end_ns is None or process.end_ns < self._now_ns - patience_ns

    def cgroup_path(self, cgroup_id: int) -> str | bytes | None:
        return self._cgroups.get(cgroup_id)

    def directory_lookup(self) -> ReplayedMachine:
        return self

    def request_path(self, numbers: DirectoryId, pids: Sequence[int]) -> None:
        """Does nothing: the stream has all paths that are known."""

    def take_answers(self) -> Mapping[DirectoryId, str | bytes]:
        """Returns the paths of directories that came in the stream since the last call."""
        paths = dict(self._directories)
        if paths:
            self._directories.clear()
        return paths

    def await_answers(self, seconds: float) -> Mapping[DirectoryId, str | bytes]:
        return self.take_answers()
