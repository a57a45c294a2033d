"""Looks up in /proc what runs when a recording ends: which processes are gone or have changed, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ..model.events import Event, Usage, Vanished
from ..model.process import RUNNING, Process
from .proc_changes import PendingChanges
from .surroundings import Scan

if TYPE_CHECKING:
    from ..model.pairing import Pairing
    from .path_recorder import PathRecorder
    from .surroundings import Surroundings

FindChanged = Callable[[Iterable[Process]], Scan]


class Survey:
    """What /proc said of the processes that were looked up so far. find_changed: see Surroundings.

    gone: processes that had ended, without an exit event yet. changes: those that changed without an event.
    """

    def __init__(self, machine: Surroundings, paths: PathRecorder, find_changed: FindChanged) -> None:
        self.gone: list[Process] = []
        self.changes = PendingChanges()
        self._machine = machine
        self._paths = paths
        self._find_changed = find_changed
        self._usage: dict[int, tuple[Process, Usage]] = {}  # by id of the process
        self._known: set[int] = set()

    def missing(self, processes: Iterable[Process]) -> list[Process]:
        """Returns those of these processes that were not looked up yet."""
        return [process for process in processes if process.id not in self._known]

    def look_up(self, processes: Sequence[Process]) -> None:
        """Looks up processes that run, as far as the events say."""
        self._known.update(process.id for process in processes)
        suspects = [process for process in processes if not self._machine.is_alive(process)]
        gone = {process.id for process in suspects}
        alive = [process for process in processes if process.id not in gone]
        self.gone += suspects
        scan = self._find_changed(alive)
        self.changes.add(scan.alive)
        for process in alive:
            if not process.kernel and (usage := self._machine.read_usage(process)):
                self._usage[process.id] = process, usage
        if scan.cgroup_paths:
            self._paths.write_cgroups(scan.cgroup_paths)

    def events(self, pairing: Pairing) -> list[Event]:
        """Returns the changes, and what has been spent, of the processes that run now as far as the events say."""
        running = [
            usage._replace(start_ns=process.start_ns)
            for process, usage in self._usage.values()
            if process.state == RUNNING
        ]
        return [*self.changes.events(pairing.is_alive), *running]


def vanished(processes: Iterable[Process], time_ns: int) -> list[Event]:
    """Returns the events of processes that are gone and still have no exit event."""
    return [Vanished(time_ns, p.pid, p.start_ns) for p in processes if p.state == RUNNING]
