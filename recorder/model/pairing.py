"""Pairs events into processes: which fork, execs, exit and free belong together. Pure: no SQL, no clock, no kernel.

It is a stream: only processes that are alive, or whose last event is still to come, are in memory. The events of a
process must come in the order in which they happened, as in the ring buffer; any of them may be missing.

Pairing is exact because every event has the start time of its process. A process that reuses a pid has another start,
so an exit is never taken for that of another process, whatever events were lost in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from .events import Event, Exec, Exit, Fork, Free, Seen, Usage, Vanished
from .known_processes import KnownProcesses
from .process import EXITED, LOST, RUNNING, Process

_SIGNAL: Final = 127  # the bits of a status word with the signal that ended the process
_FIRST_COST: Final = Free._fields.index("cpu_ns")
_FIRST_USAGE: Final = Usage._fields.index("cpu_ns")


class Pairing(KnownProcesses):
    """Takes events with feed(), and collects the processes that change until take_changed()."""

    def __init__(self, is_filtered: bool = False) -> None:
        super().__init__(is_filtered)
        self.rare_value_ids: list[int] = []
        """Ids of the forks and exits of the last feed() whose execs, begun or uid must be stored in a file.

        For all other events, pairing has the same result without these values.
        """
        self.unknown_frees: list[int] = []
        """Ids of the frees of the last feed() whose process is not known: it exited before the recording began."""

    def _handlers(self) -> dict[type, Callable[[Any, int], int]]:
        """Returns the method for each kind of event. Kept, they would make a cycle, which the recorder rarely frees."""
        return {
            Fork: self._fork,
            Exec: self._exec,
            Exit: self._exit,
            Free: self._free_and_add_ended if self._is_filtered else self._free,
            Seen: self._seen,
            Vanished: self._vanished,
            Usage: self._usage,
        }

    def feed(self, events: Iterable[Event], first_id: int) -> list[int]:
        """Takes events; returns for each the id of its process, or 0 if that is unknown.

        first_id: id of the first event; the others have the ids after it. A process has the id of its first event.
        """
        handlers = self._handlers()
        if self.rare_value_ids:
            self.rare_value_ids = []
        if self.unknown_frees:
            self.unknown_frees = []
        return [handlers[type(event)](event, event_id) for event_id, event in enumerate(events, first_id)]

    def _fork(self, event: Fork, event_id: int) -> int:
        (_, pid, start_ns, ppid, parent_start_ns, comm, uid, _, cgroup_id, kernel, sid, loginuid, execs, begun,
         ns_pid) = event  # fmt: skip
        before = self._by_pid.get(pid)
        if before is not None:
            is_from_proc = not before.exact
            process = self._find_or_add(pid, start_ns, event_id)
            self._late_parents.remove_child(process)  # it may wait there with only the pid of its parent
            if is_from_proc and process is before:
                # The fork event was still being written when /proc was read, so all its execs come after it.
                process.execs = None
                process.set_command(None, knows_program=False)
        else:  # nearly always
            process = self._changed[event_id] = self._by_pid[pid] = Process(event_id, pid, start_ns)
            if pid in self._awaited_pids:
                self._link(process)
        process.ppid = ppid
        parent = self._by_pid.get(ppid)
        if parent is None or parent.start_ns != parent_start_ns or not parent.exact:  # rarely: this saves a call
            parent = self._find(ppid, parent_start_ns)
        if parent is not None:
            process.parent_id = parent.id
        elif process.parent_id is None:
            process.parent_id = self._late_parents.find_ended(ppid, parent_start_ns)
            if process.parent_id is None:
                self._late_parents.add_child(process, ppid, parent_start_ns)
        has_rare_values = execs or begun
        if has_rare_values or (ns_pid != pid and ns_pid is not None):
            self.rare_value_ids.append(event_id)
        if sid is not None:  # else the recording is older, and has no ns_pid
            process.ns_pid = ns_pid or pid
        if before is None or process.execs is None:  # else an event after the fork came before it, and says more
            process.comm = comm
            process.uid = uid
            process.cgroup_id = cgroup_id
            process.sid = sid
            process.loginuid = loginuid
            process.execs = 0
            process.kernel = kernel
            if has_rare_values or before is not None:  # else both are 0, as nearly always
                self._begin_with(process, execs or 0, begun or 0)
        return process.id

    def _begin_with(self, process: Process, execs: int, begun: int) -> None:
        """Sets the number of execs, and of programs begun, that a process had when its fork was reported."""
        process.execs = execs
        process.begun_before = begun - execs
        if execs:
            process.kernel = 0

    def _exec(self, event: Exec, event_id: int) -> int:
        _, pid, start_ns, comm, uid, _, cgroup_id, carried_rss_kib, *_, sid, loginuid, _ = event
        process = self._by_pid.get(pid)
        if process is None or process.start_ns != start_ns or not process.exact:  # rarely: this saves a call
            process = self._find_or_add(pid, start_ns, event_id)
        self._changed[process.id] = process
        process.comm = comm
        process.command_id = event_id  # as set_command() does, without the call
        process.has_new_command = process.knows_program = True
        process.uid = uid
        process.cgroup_id = cgroup_id
        process.carried_rss_kib = carried_rss_kib
        process.sid = sid
        process.loginuid = loginuid
        if process.execs is None:
            process.execs, process.begun_before = 0, None
        process.execs += 1
        process.kernel = 0
        return process.id

    def _exit(self, event: Exit, event_id: int) -> int:
        time_ns, pid, start_ns, ppid, comm, status, max_rss_kib, uid, begun, sid, loginuid = event
        process = self._by_pid.get(pid)
        if process is None or process.start_ns != start_ns or not process.exact:  # rarely: this saves a call
            process = self._find_or_add(pid, start_ns, event_id)
        self._changed[process.id] = process
        if process.end_ns is None:  # before Linux 6.16, two threads that exit together can both report the end
            process.state = EXITED
            process.end_ns = time_ns
            process.end_ppid = ppid
            is_killed = status & _SIGNAL
            if not is_killed or not process.was_killed_within_exec(begun):
                process.comm = comm
            is_new_session = sid is not None and (sid != process.sid or loginuid != process.loginuid)
            if is_killed or is_new_session or (uid != process.uid and uid is not None):
                self.rare_value_ids.append(event_id)
                process.uid = process.uid if uid is None else uid
                if sid is not None:
                    process.sid, process.loginuid = sid, loginuid
            process.status = status
            process.max_rss_kib = max_rss_kib
            if process.ppid is None:
                process.ppid = ppid
        return process.id

    def _free(self, event: Free, event_id: int) -> int:
        pid, start_ns = event.pid, event.start_ns
        process = owner = self._by_pid.get(pid)
        if process is None or process.start_ns != start_ns or not process.exact:  # rarely: this saves a call
            process = self._find(pid, start_ns) or self._given_up.get((pid, start_ns))
        if process is None:
            self.unknown_frees.append(event_id)
            return 0  # the process exited before the recording began
        if process.state != EXITED:
            process.state = LOST
        if process.status is None:
            process.status = event.status
        process.freed_ns = event.time_ns
        process.costs = event[_FIRST_COST:]
        self._changed[process.id] = process
        if owner is process:
            del self._by_pid[pid]
        elif self._replaced.get(pid) is process:
            del self._replaced[pid]
        else:
            del self._given_up[pid, start_ns]
        return process.id

    def _free_and_add_ended(self, event: Free, event_id: int) -> int:
        process = self._find(event.pid, event.start_ns)
        if process is not None:
            self._late_parents.add_ended(process)
        return self._free(event, event_id)

    def _seen(self, event: Seen, event_id: int) -> int:
        process = self._known(event)
        if process is None:
            process = self._find_or_add(event.pid, event.start_ns, event_id)
            process.exact = event.exact or 0
            process.begun_before = None if event.begun is None else event.begun - event.execs
            process.carried_rss_kib = event.carried_rss_kib
            process.ppid = event.ppid
            self._link(process)
            self._link_to_parent(process)
        self._changed[process.id] = process
        process.comm = event.comm
        process.uid = event.uid
        process.cgroup_id = process.cgroup_id if event.cgroup_id is None else event.cgroup_id
        process.kernel = event.kernel
        if event.sid is not None:
            process.ns_pid, process.sid, process.loginuid = event.ns_pid, event.sid, event.loginuid
        if not process.execs or not process.knows_program:  # else its exec event has the program, which is more exact
            process.execs = max(process.execs or 0, event.execs)
            process.set_command(event_id if event.has_command else None, knows_program=event.filename is not None)
        return process.id

    def _link_to_parent(self, process: Process) -> None:
        """Links a process from /proc to its parent, whose start is unknown there."""
        if not process.ppid or process.parent_id is not None:
            return
        parent = self._by_pid.get(process.ppid)
        if parent is not None and parent is not process and parent.start_ns <= process.start_ns:
            process.parent_id = parent.id
        else:
            self._late_parents.remove_child(process)  # it may be there already
            self._late_parents.add_child(process, process.ppid, None)

    def _vanished(self, event: Vanished, event_id: int) -> int:
        process = self._search(event.pid, event.start_ns)
        if process is None:
            return 0
        if process.state == RUNNING:
            self._mark_lost(process)
        return process.id

    def _usage(self, event: Usage, event_id: int) -> int:
        process = self._search(event.pid, event.start_ns)
        if process is None:
            return 0
        if process.state == RUNNING:
            process.costs = event[_FIRST_USAGE:-1]
            peaks = [peak for peak in (event.max_rss_kib, process.carried_rss_kib) if peak is not None]
            process.max_rss_kib = max(peaks, default=None)
            self._changed[process.id] = process
        return process.id
