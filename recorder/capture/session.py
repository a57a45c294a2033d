"""A recording under way: takes events in, pairs them, writes them; and closes the books when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from ..host import clock
from ..host.procfs import State
from ..model.events import Alive, Event, Exec, Exit, Fork, Free, Gone
from ..model.pairing import Pairing
from ..model.process import RUNNING
from ..model.source import Counts, Source
from ..storage import columns
from ..storage.recording_writer import RecordingWriter
from ..storage.write_queue import WriteQueue
from .last_look import LastLook, Look, look_at_none
from .path_lookup import PathLookup
from .places import Places

# The kernel frees a task some 20 ms after it was reaped, on a busy machine later; for a few it never says so (seen on a
# virtual machine with Linux 6.18, where perf sees no sched_process_free for them either).
FREES_SECONDS = 5.0
QUIET_SECONDS = 0.3
OLD_QUIET_SECONDS = 0.05  # if all who are still waited for ended so long ago that they will hardly ever be freed
SETTLE_SECONDS = 2.0  # a record may be half written by a task that was interrupted
_MOST_DRAINS = 16  # in a row: signals, and the time, are to be looked at too


class Session:
    """Joins a source, the pairing and a writer. clock_offset: ns from boot time to Unix time.

    lookup: finds paths of working directories; without one they stay unknown. is_filtered: whether a process can be
    reported later than its fork.
    """

    def __init__(
        self,
        source: Source,
        writer: RecordingWriter | WriteQueue,
        clock_offset: int,
        lookup: PathLookup | None = None,
        is_filtered: bool = False,
    ) -> None:
        self.source = source
        self.writer = writer
        self.counts = Counts()
        self.processes = 0
        self._stop_ns = self._ended_ns = 0  # Unix ns: when intake is stopped, and of the last that was taken in
        self._suspects: set[tuple[int, int]] = set()  # who was gone at the stop, though the exit was not seen yet
        self._last_look = LastLook()
        self._until_ns = 0
        self._late_frees = 0
        self._is_finished = False
        self._offset = clock_offset
        self._pairing = Pairing(is_filtered)
        self.places = Places(writer, self._pairing, lookup)
        self._gone: set[int] = set()  # ids of processes that were reaped, but not freed, when last looked at

    def is_anyone_alive(self) -> bool:
        """Whether a process is known that has not ended."""
        return any(True for _ in self._pairing.running())

    def now(self) -> int:
        """Unix ns by the clock of the events."""
        return clock.boot_ns() + self._offset

    def drain(self) -> None:
        """Takes in what the source has, as long as there is room for it."""
        if not self.writer.has_room:
            return
        until_ns = self.now()  # before it is drained: what comes meanwhile is not in the file yet
        events = self.source.drain()
        for _ in range(_MOST_DRAINS):
            next_until_ns = self.now()
            following = self.source.drain() if events else []
            # Only with the last of them all is in the file that happened until then.
            self.take_in(events, self._until_ns if following else until_ns)
            until_ns, events = next_until_ns, following
            if not events or not self.writer.has_room:
                break
        if events:
            self.take_in(events, self._until_ns)

    def _drained(self) -> Iterator[list[Event]]:
        """What the source has by now, some MiB at a time, whenever there is room for it."""
        by_now_ns = self.now()
        while True:
            self.writer.await_room()
            events = self.source.drain()
            if events:
                yield events
            if not events or not self.source.has_more() or events[-1].time_ns > by_now_ns:
                return

    def take_in(self, events: Sequence[Event], until_ns: int | None = None) -> None:
        """Pairs events and writes them, with the processes that they changed, in one transaction.

        until_ns: Unix ns up to which these, and those before, are all that happened; default: now.
        """
        self._until_ns = self.now() if until_ns is None else until_ns
        if not events:
            return
        first_id = self.writer.reserve(len(events))
        owners = self._pairing.feed(events, first_id)
        changed = self._pairing.take_changed()
        facts = columns.flatten(events, first_id, owners, self._pairing.telling)
        self.processes += len([p for p in changed if p.id >= first_id and not p.kernel])
        self.places.meet_cgroups(columns.cgroup_ids(facts))
        if new := self.places.unknown_directories(columns.directories(facts)):
            self.places.look_up_directories(columns.pids_in(facts, new))
        self.places.take_answers()
        # Last, as it wakes the thread that writes: the two would get into each other's way.
        self.writer.write(facts, changed, self._until_ns, self._pairing.take_links())

    def take_in_found(self, alive: list[Alive], cgroup_paths: Mapping[int, str | None]) -> None:
        """Takes in who was found in /proc, but for those that are known."""
        self.places.know_cgroups(cgroup_paths)
        self.take_in([process for process in alive if not self._pairing.is_known(process)])

    def finish(self, state_of: Callable[[int, int], State], look: Look = look_at_none) -> int:
        """Takes in the rest, finds out what is still alive, and closes the books. Returns the end in Unix ns.

        state_of says how a process (pid, start_ns) stands now, look who has become another.
        """
        for events in self._drained():
            self.take_in(events)
        suspects = [p for p in self._pairing.running() if state_of(p.pid, p.start_ns) != "alive"]
        self._suspects = {(p.pid, p.start_ns) for p in suspects}
        found, cgroup_paths = look(p for p in self._pairing.running() if (p.pid, p.start_ns) not in self._suspects)
        self._last_look = LastLook(found)
        self.places.know_cgroups(cgroup_paths)
        # Before intake stops, not after: what happened in between would be missing from what seems to be recorded.
        self._stop_ns = self._ended_ns = self.now()
        self.source.stop_intake()
        self._await_frees(state_of)
        self.counts = self._settle()
        ended_ns = self._ended_ns
        # Whoever ended before the check has reported its exit by now, unless that was lost.
        gone: list[Event] = [Gone(ended_ns, p.pid, p.start_ns) for p in suspects if p.state == RUNNING]
        self.take_in([*gone, *self._last_look.events(self._pairing.is_alive)])
        self.places.take_answers(is_last=True)
        self._until_ns = ended_ns
        self._is_finished = True
        self.writer.write_counts(self.counts, ended_ns)
        self.writer.finish("complete", ended_ns)
        return ended_ns

    def forget_unfreed(self, state_of: Callable[[int, int], State]) -> None:
        """Lets go of those that were reaped at the last call already, but never freed: they would fill the memory.

        To be called so seldom that no free can still be on its way.
        """
        gone = {p.id: p for p in self._pairing.unfreed() if state_of(p.pid, p.start_ns) == "gone"}
        for id in gone.keys() & self._gone:
            self._pairing.give_up(gone.pop(id))
        self._gone = set(gone)
        for id in self._pairing.take_forgotten():
            self.writer.forget(id)

    def _await_frees(self, state_of: Callable[[int, int], State]) -> None:
        """Who has been reaped will be freed, and then its CPU time is known. Zombies are not waited for."""
        begun = last = time.monotonic()
        while gone := [p for p in self._pairing.unfreed() if state_of(p.pid, p.start_ns) == "gone"]:
            self.source.wait(0.01)
            has_come = self._take_rest()
            now = time.monotonic()
            last = now if has_come else last
            youngest_ns = max(p.end_ns or 0 for p in gone)
            is_old = self.now() - youngest_ns > QUIET_SECONDS * 1e9
            if now - last > (OLD_QUIET_SECONDS if is_old else QUIET_SECONDS) or now - begun > FREES_SECONDS:
                break

    def _take_rest(self) -> bool:
        """Takes in what came after the end was near; whatever that still holds, the recording goes on until then.

        Returns whether anything came.
        """
        has_come = False
        for drained in self._drained():
            has_come = self._take_late(drained) or has_come
        return has_come

    def _take_late(self, drained: list[Event]) -> bool:
        self._last_look.compare(drained)
        ended = {(event.pid, event.start_ns) for event in drained if type(event) is Exit}
        begun = {(event.pid, event.start_ns) for event in drained if type(event) in (Fork, Exec)}
        events = [e for e in drained if type(e) is not Free or not self._is_after_the_end(e, ended, begun)]
        self._late_frees += len(drained) - len(events)
        self.take_in(events)
        self._ended_ns = max([self._ended_ns, *(event.time_ns for event in events if type(event) is not Free)])
        return bool(events)

    def _is_after_the_end(self, free: Free, ended: set[tuple[int, int]], begun: set[tuple[int, int]]) -> bool:
        """Whether this process was alive, or not yet born, at the end: its free is then no fact of this recording.

        ended, begun: pid and start of those whose exit, and fork or exec, the same batch brings.
        """
        process = (free.pid, free.start_ns)
        if free.time_ns <= self._stop_ns or process in ended or process in self._suspects:
            return False
        return free.start_ns > self._stop_ns or process in begun or self._pairing.is_running(*process)

    def update_counts(self) -> None:
        """Brings the counts in the file up to date with the kernel's."""
        if self._is_finished:
            return  # they are final, and without what came too late
        self.counts = self.source.counts()
        self.places.take_answers()
        self.writer.write_counts(self.counts, self._until_ns)

    def _settle(self) -> Counts:
        """Ends the source, and takes in records that were still being written when it did."""
        self.source.detach()
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            if self._take_rest():
                deadline = time.monotonic() + SETTLE_SECONDS
            counts = self.source.counts().without((0, 0, 0, self._late_frees))
            if counts.arrived == self.writer.written or time.monotonic() > deadline:
                return counts
            self.source.wait(0.001)
