"""The Surroundings of a live recording: this machine's clock, /proc, cgroups and working directories."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ..host import cgroups, clock, proc_usage, procfs
from ..host.clock_watch import ClockWatch
from ..model.event_source import Source
from ..model.host_description import HostDescription
from ..model.redaction import Redaction
from . import describe_host, privileges, proc_changes, supervisor
from .surroundings import NOTHING_SEEN, Scan, Snapshot
from .targets import Target

if TYPE_CHECKING:
    from ..host.procfs import State
    from ..model.events import Event, Seen, Usage
    from ..model.process import Process
    from .directory_lookup import PathLookup

# The error of a measurement is well below this. The kernel changes the offset only when the clock is set: it slows both
# clocks down or speeds both up to correct them (NTP).
_NOISE_NS = 10_000


class LiveMachine:
    """This machine. Surroundings describes the methods.

    target: scans /proc for the recorded processes. redaction: applied to their arguments, of which at most max_args
    bytes are kept. clock_offset: ns from boot time to Unix time. min_age_ns: rescan() skips younger processes.
    bcc_version: see describe_this_host().
    """

    sweep_seconds = 60.0
    is_live = True
    is_interrupted = False

    def __init__(
        self,
        target: Target,
        redaction: Redaction,
        clock_offset: int,
        max_args: int,
        started_ns: int = 0,
        min_age_ns: int = 0,
        bcc_version: str | None = None,
    ) -> None:
        self.started_ns = started_ns
        self._target = target
        self._redaction = redaction
        self._clock_offset = clock_offset
        self._max_args = max_args
        self._min_age_ns = min_age_ns
        self._bcc_version = bcc_version
        self._clock_watch: ClockWatch | None = None

    def now(self) -> int:
        return clock.boot_ns() + self._clock_offset

    def was_clock_set(self) -> bool:
        """Whether the clock was set since the last call. The first call begins to watch it."""
        if self._clock_watch is None:
            self._clock_watch = ClockWatch()
        return self._clock_watch.was_set()

    def renew_clock(self, source: Source) -> int:
        by_ns = clock.measure_offset() - self._clock_offset
        if abs(by_ns) <= _NOISE_NS or not source.shift_clock(by_ns):
            return 0
        self._clock_offset += by_ns
        self.started_ns += by_ns
        return by_ns

    def close(self) -> None:
        """Releases all resources."""
        if self._clock_watch is not None:
            self._clock_watch.close()

    def describe_host(self) -> HostDescription:
        command = self._redaction.command(sys.argv)
        return describe_host.describe_this_host(self._clock_offset, command, self._bcc_version)

    def snapshot(self, source: Source) -> Snapshot:
        alive, paths = self._scan_target()
        until_ns = self.now()
        events: list[Event] = []
        while batch := source.drain():
            events += batch
            if not source.has_more() or batch[-1].time_ns > until_ns:  # later events can't be duplicates of the scan
                break
        return Snapshot([*procfs.drop_duplicates(alive, events), *events], until_ns, paths)

    def rescan(self) -> Scan:
        """Returns the processes that match the filters now, with the paths of their cgroups; none without filters.

        The BPF programs report a process that didn't match at its fork only at its next exec or exit.
        """
        if not self._target.filters.active:
            return NOTHING_SEEN
        alive, paths = self._scan_target()
        newest_ns = self.now() - self._min_age_ns
        return Scan([process for process in alive if process.start_ns <= newest_ns], paths)

    def find_changed(self, processes: Iterable[Process]) -> Scan:
        cgroup_ids: dict[str, int] = {}
        alive = proc_changes.find_changed(processes, lambda pids: self._read_all(pids, cgroup_ids), cgroup_ids)
        return self._redact_scan(alive, cgroup_ids)

    def read_usage(self, process: Process) -> Usage | None:
        helpers = privileges.helpers()
        read = helpers.read_usage if helpers else proc_usage.read_usage
        usage = read(process.pid, process.start_ns, self.now())
        return usage if usage is not None and self.is_alive(process) else None

    def is_alive(self, process: Process) -> bool:
        return self._state_of(process) == "alive"

    def is_reaped(self, process: Process) -> bool:
        return self._state_of(process) == "gone"

    def cgroup_path(self, cgroup_id: int) -> str | None:
        helpers = privileges.helpers()
        return helpers.cgroup_path(cgroup_id) if helpers else cgroups.path_of(cgroup_id)

    def directory_lookup(self) -> PathLookup | None:
        from .directory_lookup import PathLookup

        client = privileges.client()
        if client is None:
            return None
        # The supervisor and this process are in the directory in which the command starts.
        return PathLookup(client, [os.getppid(), os.getpid()] if supervisor.current() else [])

    def _state_of(self, process: Process) -> State:
        return procfs.state_of(process.pid, process.start_ns, self._clock_offset)

    def _read_all(self, pids: Iterable[int], cgroup_ids: dict[str, int]) -> Iterator[Seen]:
        reader = privileges.process_reader()
        return procfs.read_processes(pids, self._clock_offset, self._max_args, cgroup_ids, reader)

    def _scan_target(self) -> Scan:
        cgroup_ids: dict[str, int] = {}
        return self._redact_scan(self._target.scan(self._clock_offset, self._max_args, cgroup_ids), cgroup_ids)

    def _redact_scan(self, alive: list[Seen], cgroup_ids: dict[str, int]) -> Scan:
        if self._redaction.active:
            alive = [self._redaction.redact(each) for each in alive]
        return Scan(alive, {number: path for path, number in cgroup_ids.items()})
