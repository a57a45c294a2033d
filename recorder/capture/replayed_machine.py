"""The machine that replayed events come from, as the surroundings of a recording. It never asks this machine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..model.source import Source
from .host_description import HostDescription
from .surroundings import NOTHING_SEEN, Scan, Snapshot

if TYPE_CHECKING:
    from ..model.process import Process


class ReplayedMachine:
    """A machine of which only is known what was streamed; see Surroundings.

    started_ns and now_ns: Unix ns of the begin of the stream, and up to which it has been read.
    """

    sweep_seconds = 1.0

    def __init__(self, started_ns: int = 0, host: HostDescription | None = None) -> None:
        self.started_ns = started_ns
        self.now_ns = started_ns
        self._host = host or HostDescription()

    def now(self) -> int:
        return self.now_ns

    def describe_host(self) -> HostDescription:
        return self._host

    def snapshot(self, source: Source) -> Snapshot:
        """Processes that were alive at the start are events of the stream."""
        return Snapshot([], self.started_ns, {})

    def rescan(self) -> Scan:
        return NOTHING_SEEN

    def find_changed(self, processes: Iterable[Process]) -> Scan:
        return NOTHING_SEEN

    def is_alive(self, process: Process) -> bool:
        """As far as the stream says."""
        return True

    def is_reaped(self, process: Process) -> bool:
        return False

    def cgroup_path(self, cgroup_id: int) -> str | None:
        return None

    def directory_lookup(self) -> None:
        return None
