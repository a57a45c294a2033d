"""Paths of cgroups and of working directories: looked up when they are first met, and written down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

from ..host import cgroups, working_dirs
from ..model.bounded import MIB, BoundedDict
from ..model.pairing import Pairing
from .path_lookup import PathLookup

_SEEN_BYTES = 4 * MIB  # each of the two: some 20,000
_LAST_SECONDS = 0.1  # at the end, for directories that are still being looked up


class PathWriter(Protocol):
    """The part of a RecordingWriter that this uses."""

    def write_cgroups(self, paths: Mapping[int, str | None]) -> None: ...
    def write_directories(self, paths: Mapping[tuple[int, int], str | bytes]) -> None: ...


class Places:
    """Of one recording. lookup: finds paths of working directories; without one they stay unknown."""

    def __init__(self, writer: PathWriter, pairing: Pairing, lookup: PathLookup | None) -> None:
        self._writer = writer
        self._pairing = pairing
        self._lookup = lookup
        # What is written down already. What has been forgotten is looked up again; the file keeps the first answer.
        self._cgroups: BoundedDict[int, None] = BoundedDict(_SEEN_BYTES)
        self._directories: BoundedDict[working_dirs.Numbers, None] = BoundedDict(_SEEN_BYTES)

    def know_cgroups(self, paths: Mapping[int, str | None]) -> None:
        """Writes down the paths of cgroups: id -> path."""
        for number in paths:
            self._cgroups[number] = None
        self._writer.write_cgroups(paths)

    def meet_cgroups(self, ids: set[int]) -> None:
        """Processes were seen in these."""
        new = ids - self._cgroups.keys()
        if new:
            self.know_cgroups({number: cgroups.path_of(number) for number in new})

    def unknown_directories(self, met: set[working_dirs.Numbers]) -> set[working_dirs.Numbers]:
        """Those of them that are to be looked up."""
        return met - self._directories.keys() if self._lookup is not None else set()

    def look_up_directories(self, pids_there: Mapping[working_dirs.Numbers, list[int]]) -> None:
        """Asks for their paths. What can't be looked up is tried again when the next program starts there."""
        if self._lookup is None:
            return
        for numbers, found in pids_there.items():
            # Also what starts the command: that is where a command begins.
            self._lookup.ask(numbers, [*found, *self._pairing.parents_of(found), os.getppid(), os.getpid()])

    def take_answers(self, is_last: bool = False) -> None:
        """Writes down what has been found by now; at the end, also what is found in a moment."""
        if self._lookup is None:
            return
        self.know_directories(self._lookup.last_answers(_LAST_SECONDS) if is_last else self._lookup.answers())

    def know_directories(self, paths: Mapping[working_dirs.Numbers, str | bytes]) -> None:
        """Writes down the paths of working directories."""
        new = {numbers: path for numbers, path in paths.items() if numbers not in self._directories}
        if new:
            for numbers in new:
                self._directories[numbers] = None
            self._writer.write_directories(new)
