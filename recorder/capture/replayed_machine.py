"""The machine that replayed events come from, as the surroundings of a recording. It never asks this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..model.bounded_cache import MIB, BoundedDict
from ..model.host_description import HostDescription
from ..model.source import Source
from ..model.stream_notes import CgroupPath, DirectoryPath, Head, Note, StreamCounts
from .surroundings import NOTHING_SEEN, Scan, Snapshot

if TYPE_CHECKING:
    from ..host.working_dirs import DirectoryId
    from ..model.process import Process

_PATH_BYTES = 4 * MIB  # of cgroups, and of directories that are not written yet
# A process that ended so long ago is let go of. Its free, if it comes after all, is hardly ever missed: see
# KnownProcesses.give_up(). A stream without frees needs to wait only for events that are not in order.
_PATIENCE_NS = 60_000_000_000
_PATIENCE_WITHOUT_FREES_NS = 5_000_000_000


class ReplayedMachine:
    """A machine of which only is known what was streamed; see Surroundings.

    started_ns: Unix ns when the stream began. head: None of a stream that doesn't begin with one: then it tells forks,
    execs and exits only. counts: the latest of the stream. has_failed: whether it can't be read to its end.
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
        """Take in a line of the stream that is no event."""
        if isinstance(note, CgroupPath):
            self._cgroups[note.cgroup_id] = self._new_cgroups[note.cgroup_id] = note.path
        elif isinstance(note, DirectoryPath):
            self._directories[note.device, note.inode] = note.path
        elif isinstance(note, StreamCounts):
            self.counts = note
            self.advance(note.time_ns)

    def advance(self, time_ns: int) -> None:
        """The stream has been read up to this time, in Unix ns."""
        self._now_ns = max(self._now_ns, time_ns)

    @property
    def is_interrupted(self) -> bool:
        """Whether something is missing at the end: a stream that begins with a head ends with counts."""
        is_without_end = self.head is not None and (self.counts is None or self.counts.ended_ns is None)
        return self.has_failed or is_without_end

    def now(self) -> int:
        return self.counts.ended_ns if self.counts and self.counts.ended_ns is not None else self._now_ns

    def describe_host(self) -> HostDescription:
        return self.head.host if self.head else HostDescription()

    def snapshot(self, source: Source) -> Snapshot:
        """Processes that were alive at the start are events of the stream."""
        return Snapshot([], self.started_ns, {})

    def rescan(self) -> Scan:
        """The paths of cgroups that no event has asked for."""
        paths = dict(self._new_cgroups)
        self._new_cgroups.clear()
        return Scan([], paths) if paths else NOTHING_SEEN

    def find_changed(self, processes: Iterable[Process]) -> Scan:
        return NOTHING_SEEN

    def is_alive(self, process: Process) -> bool:
        """As far as the stream says."""
        return True

    def is_reaped(self, process: Process) -> bool:
        """Whether nothing more is to be expected of a process, so that nobody holds it without end."""
        patience_ns = _PATIENCE_NS if self.head else _PATIENCE_WITHOUT_FREES_NS
        return process.end_ns is None or process.end_ns < self._now_ns - patience_ns

    def cgroup_path(self, cgroup_id: int) -> str | bytes | None:
        return self._cgroups.get(cgroup_id)

    def directory_lookup(self) -> ReplayedMachine:
        return self

    def request_path(self, numbers: DirectoryId, pids: Sequence[int]) -> None:
        """The stream says what it knows by itself."""

    def take_answers(self) -> Mapping[DirectoryId, str | bytes]:
        """The paths of directories that the stream has told since the last call."""
        paths = dict(self._directories)
        if paths:
            self._directories.clear()
        return paths

    def await_answers(self, seconds: float) -> Mapping[DirectoryId, str | bytes]:
        return self.take_answers()
