"""Records the paths of cgroups and working directories: looks up each one at its first event, and writes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from ..model.bounded_cache import MIB, BoundedDict
from ..model.pairing import Pairing
from ..storage import event_rows
from .surroundings import Surroundings

if TYPE_CHECKING:
    from ..host.working_dirs import DirectoryId
    from ..model.process import Process
    from ..storage.event_rows import EventRows

_KNOWN_BYTES = 4 * MIB  # for cgroups, and the same for directories: some 20,000 of each
_LAST_SECONDS = 0.1  # how long the end of a recording waits for directories that are being looked up


class PathWriter(Protocol):
    """The part of a RecordingWriter that writes paths."""

    def write_cgroups(self, paths: Mapping[int, str | bytes | None]) -> None: ...
    def write_directories(self, paths: Mapping[tuple[int, int], str | bytes]) -> None: ...


class PathRecorder:
    """The paths of one recording. machine: is asked for them."""

    def __init__(self, writer: PathWriter, pairing: Pairing, machine: Surroundings) -> None:
        self._writer = writer
        self._pairing = pairing
        self._machine = machine
        self._lookup = machine.directory_lookup()
        # Paths that have been written. If one is forgotten here, it is looked up again; the file keeps the first path.
        self._cgroups: BoundedDict[int, None] = BoundedDict(_KNOWN_BYTES)
        self._directories: BoundedDict[DirectoryId, None] = BoundedDict(_KNOWN_BYTES)

    def begin_segment(self, pairing: Pairing, cgroups: Iterable[int]) -> None:
        """Begins the next segment of a chain, which has the paths of these cgroups already."""
        self._pairing = pairing
        self._cgroups.clear()
        self._directories.clear()
        for cgroup_id in cgroups:
            self._cgroups[cgroup_id] = None

    def write_cgroups(self, paths: Mapping[int, str | bytes | None]) -> None:
        """Writes the paths of cgroups, by id."""
        for cgroup_id in paths:
            self._cgroups[cgroup_id] = None
        self._writer.write_cgroups(paths)

    def look_up(self, events: EventRows, processes: Collection[Process]) -> None:
        """Looks up the cgroups and working directories of new events. processes: those that the events changed."""
        self._look_up_cgroups(event_rows.cgroup_ids(events, processes))
        if new := self._unknown_directories(event_rows.working_directories(events)):
            self._look_up_directories(event_rows.pids_by_directory(events, processes, new))
        self.write_answers()

    def _look_up_cgroups(self, ids: set[int]) -> None:
        """Looks up the cgroups whose paths are not known yet, and writes their paths."""
        new = ids - self._cgroups.keys()
        if new:
            self.write_cgroups({cgroup_id: self._machine.cgroup_path(cgroup_id) for cgroup_id in new})

    def _unknown_directories(self, met: set[DirectoryId]) -> set[DirectoryId]:
        """Returns those of these directories that must be looked up."""
        return met - self._directories.keys() if self._lookup is not None else set()

    def _look_up_directories(self, pids_there: Mapping[DirectoryId, list[int]]) -> None:
        """Requests the paths of directories. pids_there: for each directory, processes that are in it.

        If a path isn't found, the next exec in that directory tries again.
        """
        if self._lookup is None:
            return
        for numbers, pids in pids_there.items():
            self._lookup.request_path(numbers, [*pids, *self._pairing.parents_of(pids)])

    def write_answers(self, is_last: bool = False) -> None:
        """Writes the paths of directories that have been found. is_last: wait up to 0.1 s for the others."""
        if self._lookup is None:
            return
        self.write_directories(self._lookup.await_answers(_LAST_SECONDS) if is_last else self._lookup.take_answers())

    def write_directories(self, paths: Mapping[DirectoryId, str | bytes]) -> None:
        """Writes the paths of working directories, by device and inode."""
        new = {numbers: path for numbers, path in paths.items() if numbers not in self._directories}
        if new:
            for numbers in new:
                self._directories[numbers] = None
            self._writer.write_directories(new)
