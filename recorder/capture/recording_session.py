"""A running recording: drains events, pairs and writes them, and completes the recording at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..log import Steps, get_logger
from ..model.event_source import Counts, Source
from ..model.events import NUMBERS, Event, Exec, Exit, Fork, Free, Usage, Vanished
from ..model.pairing import Pairing
from ..model.process import RUNNING, Process
from ..model.recording import COMPLETE, INTERRUPTED
from ..storage import event_rows
from ..storage.command_ids import CommandIds
from .path_recorder import PathRecorder
from .proc_changes import PendingChanges
from .surroundings import NOTHING_SEEN, Scan, Surroundings

if TYPE_CHECKING:
    from ..storage.recording_writer import RecordingWriter
    from ..storage.write_queue import WriteQueue
    from .line_writer import LineWriter

_log = get_logger(__name__)

# The kernel frees a task some 20 ms after it was reaped, or later on a busy machine. For a few tasks the event never
# comes (seen on a virtual machine with Linux 6.18, where perf gets no sched_process_free for them either).
FREES_SECONDS = 5.0
QUIET_SECONDS = 0.3
OLD_QUIET_SECONDS = 0.05  # if all these processes ended so long ago that their free will probably not come
SETTLE_SECONDS = 2.0  # a task that was interrupted can have written only a part of its event
_MOST_DRAINS = 16  # in a row; then signals and the time are checked


class Session:
    """Connects a source, the pairing and a writer. machine: where the events come from.

    is_filtered: whether the first event of a process can be later than its fork. on_events: called with all events of
    the recording, in order, before they are written.
    """

    def __init__(
        self,
        source: Source,
        writer: RecordingWriter | WriteQueue | LineWriter,
        machine: Surroundings,
        is_filtered: bool = False,
        on_events: Callable[[Sequence[Event]], None] = lambda events: None,
    ) -> None:
        self.source = source
        self.writer = writer
        self.counts = Counts()
        self.processes = 0
        self.now = machine.now
        """Unix ns by the clock of the events."""
        self._machine = machine
        self._on_events = on_events
        self._end_ns = 0  # Unix ns: end of the recording
        self._suspects: set[tuple[int, int]] = set()  # processes that had ended, without an exit event yet
        self._changes = PendingChanges()
        self._usage: list[tuple[Process, Usage]] = []  # what the processes that run at the end have cost
        self._until_ns = 0
        self._left_out = dict.fromkeys(NUMBERS, 0)  # events after the end, by kind
        self._is_finished = False
        self._pairing = Pairing(is_filtered)
        self._commands = CommandIds()
        self.paths = PathRecorder(writer, self._pairing, machine)
        self._gone: set[int] = set()  # ids of processes that forget_unfreed() saw reaped, but not freed

    def is_anyone_alive(self) -> bool:
        """Whether a recorded process has not ended."""
        return any(True for _ in self._pairing.running())

    def drain(self) -> None:
        """Drains the source and writes the events, while the writer has room."""
        if not self.writer.has_room:
            return
        until_ns = self.now()  # before the drain: later events may not be in it
        events = self.source.drain()
        for _ in range(_MOST_DRAINS):
            next_until_ns = self.now()
            following = self.source.drain() if events else []
            # Only after the last batch does the file have all events until that time.
            self.add_events(events, self._until_ns if following else until_ns)
            until_ns, events = next_until_ns, following
            if not events or not self.writer.has_room:
                break
        if events:
            self.add_events(events, self._until_ns)

    def _drain_batches(self) -> Iterator[list[Event]]:
        """Yields the events that the source has now, some MiB at a time. Waits until the writer has room."""
        by_now_ns = self.now()
        while True:
            self.writer.await_room()
            events = self.source.drain()
            if events:
                yield events
            if not events or not self.source.has_more() or events[-1].time_ns > by_now_ns:
                return

    def add_events(self, events: Sequence[Event], until_ns: int | None = None) -> None:
        """Pairs events, and writes them and the processes that they changed in one transaction.

        until_ns: Unix ns up to which all events have been added now; default: the current time.
        """
        self._until_ns = self.now() if until_ns is None else until_ns
        if not events:
            return
        first_id = self.writer.reserve_ids(len(events))
        owners = self._pairing.feed(events, first_id)
        changed = self._pairing.take_changed()
        rows = event_rows.make_event_rows(
            events, first_id, owners, self._commands, self._pairing.rare_value_ids, self.writer.left_out
        )
        self.processes += len([p for p in changed if p.id >= first_id and not p.kernel])
        self.paths.look_up(rows, changed)
        self._on_events(events)
        # Last, because it wakes the thread that writes, which would then compete with this one.
        self.writer.write(rows, changed, self._until_ns, self._pairing.take_links())

    def add_scan(self, scan: Scan) -> None:
        """Adds the processes of a scan of /proc that are not known yet."""
        self.paths.write_cgroups(scan.cgroup_paths)
        self.add_events([process for process in scan.alive if not self._pairing.is_known(process)])

    def finish(self, find_changed: Callable[[Iterable[Process]], Scan] = lambda processes: NOTHING_SEEN) -> int:
        """Adds the last events, checks which processes are alive, and ends the recording. Returns its end in Unix ns.

        find_changed: see Surroundings.
        """
        steps = Steps(_log)
        for events in self._drain_batches():
            self.add_events(events)
        steps.done("the buffer is drained")
        suspects = [p for p in self._pairing.running() if not self._machine.is_alive(p)]
        self._suspects = {(p.pid, p.start_ns) for p in suspects}
        alive = [p for p in self._pairing.running() if (p.pid, p.start_ns) not in self._suspects]
        scan = find_changed(alive)
        self._changes = PendingChanges(scan.alive)
        self._usage = [(p, usage) for p in alive if not p.kernel and (usage := self._machine.read_usage(p))]
        self.paths.write_cgroups(scan.cgroup_paths)
        steps.done("processes that still run are looked up")
        # Taken before intake stops. Of later events some are missing, because processors see the stop one by one.
        self._end_ns = self.now()
        self.source.stop_intake()
        self._await_frees()
        steps.done("intake has stopped, and the last frees were waited for")
        self.counts = self._settle()
        steps.done("the last events have settled")
        end_ns = self._end_ns
        # If a process ended before the check of /proc, its exit event has come by now, unless it was lost.
        gone: list[Event] = [Vanished(end_ns, p.pid, p.start_ns) for p in suspects if p.state == RUNNING]
        running = [usage._replace(start_ns=p.start_ns) for p, usage in self._usage if p.state == RUNNING]
        self.add_events([*gone, *self._changes.events(self._pairing.is_alive), *running])
        self.paths.write_answers(is_last=True)
        self._until_ns = end_ns
        self._is_finished = True
        self.writer.write_counts(self.counts, end_ns)
        self.writer.finish(INTERRUPTED if self._machine.is_interrupted else COMPLETE, end_ns)
        steps.done("the recording is written")
        return end_ns

    def forget_unfreed(self) -> None:
        """Gives up processes that were already reaped at the last call, but never freed: they would fill the memory.

        Call it so rarely that the free event of such a process can't come any more.
        """
        gone = {p.id: p for p in self._unfreed()}
        for id in gone.keys() & self._gone:
            self._pairing.give_up(gone.pop(id))
        self._gone = set(gone)
        for id in self._pairing.take_forgotten():
            self.writer.forget_process(id)

    def _unfreed(self) -> list[Process]:
        """Returns the processes that have been reaped, but not freed. Zombies are not among them."""
        return [p for p in self._pairing.unfreed() if self._machine.is_reaped(p)]

    def _await_frees(self) -> None:
        """Waits for the free events of reaped processes, which have their CPU time."""
        begun = last = time.monotonic()
        while gone := self._unfreed():
            self.source.wait(0.01)
            has_come = self._drain_rest()
            now = time.monotonic()
            last = now if has_come else last
            youngest_ns = max(p.end_ns or 0 for p in gone)
            is_old = self.now() - youngest_ns > QUIET_SECONDS * 1e9
            if now - last > (OLD_QUIET_SECONDS if is_old else QUIET_SECONDS) or now - begun > FREES_SECONDS:
                break

    def _drain_rest(self) -> bool:
        """Drains events that arrived during shutdown, and adds those from before the end.

        Returns whether there were any.
        """
        has_come = [self._add_late(drained) for drained in self._drain_batches()]
        return any(has_come)

    def _add_late(self, drained: list[Event]) -> bool:
        ended = {(event.pid, event.start_ns) for event in drained if type(event) is Exit and not self._is_late(event)}
        begun = {(event.pid, event.start_ns) for event in drained if type(event) in (Fork, Exec)}
        events = []
        for event in drained:
            if self._belongs_to_a_later_time(event, ended, begun):
                self._left_out[type(event)] += 1
            else:
                events.append(event)
        self._changes.drop_outdated(events)
        self.add_events(events)
        return bool(events)

    def _is_late(self, event: Event) -> bool:
        return event.time_ns > self._end_ns

    def _belongs_to_a_later_time(self, event: Event, ended: set[tuple[int, int]], begun: set[tuple[int, int]]) -> bool:
        """Whether the recording leaves an event out: a free after the end if its process ended after the end too.

        ended, begun: pid and start of the processes with an exit, and with a fork or exec, in the same batch.
        """
        process = (event.pid, event.start_ns)
        if type(event) is not Free or not self._is_late(event):
            return self._is_late(event)
        if process in ended or process in self._suspects:
            return False
        return event.start_ns > self._end_ns or process in begun or self._pairing.is_running(*process)

    def update_counts(self) -> None:
        """Writes the kernel's current counts of events to the file."""
        if self._is_finished:
            return  # the counts in the file are final, and don't include events after the end
        self.counts = self.source.counts()
        self.paths.write_answers()
        self.writer.write_counts(self.counts, self._until_ns)

    def _settle(self) -> Counts:
        """Detaches the source, and adds events that were still being written at that time. Returns the final counts."""
        self.source.detach()
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            if self._drain_rest():
                deadline = time.monotonic() + SETTLE_SECONDS
            counts = self.source.counts().without(tuple(self._left_out.values()))
            if counts.arrived == self.writer.written or time.monotonic() > deadline:
                return counts
            self.source.wait(0.001)
