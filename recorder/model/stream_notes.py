"""What a whole stream of events (`webpf stream --full`) says beside its events: its machine, paths, and counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from .host_description import HostDescription


class Head(NamedTuple):
    """The first line: the machine, and how it is streamed. Then come the processes that were alive at the start.

    started_ns: Unix ns when the BPF programs were attached. zone: name of the machine's time zone, where it is known.
    options: those of the recorder, as in `recordings.options`.
    """

    started_ns: int
    host: HostDescription
    options: Mapping[str, Any]
    zone: str | None = None
    utc_offset_s: int | None = None


class CgroupPath(NamedTuple):
    """Path of a cgroup. None: it was gone before it could be looked up."""

    cgroup_id: int
    path: str | bytes | None


class DirectoryPath(NamedTuple):
    """Path of a working directory, which events name by these numbers."""

    device: int
    inode: int
    path: str | bytes


class StreamCounts(NamedTuple):
    """The kernel's counts of events so far: once a second, and as the last line.

    time_ns: Unix ns up to which all events came before this line. ended_ns: Unix ns when the stream ended; None while
    it goes on, so the last line of a whole stream has it. The rest are columns of `recordings`.
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
        """By kind of event, in the order of KERNEL_KINDS."""
        return self[2:6]

    @property
    def lost(self) -> tuple[int, ...]:
        """By kind of event, in the order of KERNEL_KINDS."""
        return self[6:10]


Note: TypeAlias = Head | CgroupPath | DirectoryPath | StreamCounts

NOTE_LETTERS: Mapping[str, type[Note]] = {"H": Head, "C": CgroupPath, "D": DirectoryPath, "N": StreamCounts}
"""By the letter in lines of JSON, where those of events are in events.ALL_KINDS."""
