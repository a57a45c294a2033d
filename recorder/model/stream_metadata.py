"""The lines of a whole stream (`webpf stream --full`) that are not events: the machine, paths and counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from .host_description import HostDescription


class Head(NamedTuple):
    """The first line: the machine and the options. The processes that were alive at the start follow it.

    started_ns: Unix ns when the BPF programs were attached. options: as in `recordings.options`.
    """

    started_ns: int
    host: HostDescription
    options: Mapping[str, Any]


class CgroupPath(NamedTuple):
    """The path of a cgroup. None: the cgroup was removed before its path could be looked up."""

    cgroup_id: int
    path: str | bytes | None


class DirectoryPath(NamedTuple):
    """The path of a working directory. Events have only its device and inode."""

    device: int
    inode: int
    path: str | bytes


class StreamCounts(NamedTuple):
    """The kernel's counts of events so far; printed once a second, and as the last line.

    time_ns: Unix ns; all events up to this time come before this line. ended_ns: Unix ns when the stream ended; only
    the last line of a whole stream has it, others have None. The other fields are columns of `recordings`.
    """

    time_ns: int
    ended_ns: int | None
    forks_attempted: int
    execs_attempted: int
    exits_attempted: int
    frees_attempted: int
    forks_lost: int
    execs_lost: int
    exits_lost: int
    frees_lost: int

    @property
    def attempted(self) -> tuple[int, ...]:
        """Returns the attempted events by kind, in the order of KERNEL_KINDS."""
        return self[2:6]

    @property
    def lost(self) -> tuple[int, ...]:
        """Returns the lost events by kind, in the order of KERNEL_KINDS."""
        return self[6:10]


Note: TypeAlias = Head | CgroupPath | DirectoryPath | StreamCounts

NOTE_LETTERS: Mapping[str, type[Note]] = {"H": Head, "C": CgroupPath, "D": DirectoryPath, "N": StreamCounts}
"""By the letter that stands for them in lines of JSON. events.ALL_KINDS has the letters of events."""
