"""A running recording: drains events, pairs and writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import add
from typing import TYPE_CHECKING

from ..model.event_source import Counts, Source
from ..model.events import Event
from ..model.pairing import Pairing
from ..model.process import Process
from ..storage import event_rows
from ..storage.command_ids import CommandIds
from .path_recorder import PathRecorder
from .surroundings import Scan, Surroundings

if TYPE_CHECKING:
    from ..storage.recording_writer import RecordingWriter
    from ..storage.write_queue import WriteQueue
    from .ended_segment import EndedSegment
    from .line_writer import LineWriter

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
        self.machine = machine
        self.counts = Counts()
        """Counts of the whole chain, as far as they are known."""
        self.processes = 0
        self.now = machine.now
        """Unix ns by the clock of the events."""
        self.until_ns = 0
        """Unix ns up to which all events have been added."""
        self.newest_ns = 0
        """Unix ns of about the latest event."""
        self.is_filtered = is_filtered
        self.on_events = on_events
        self.on_paired: Callable[[Sequence[Event], Sequence[int], Sequence[Process]], None] = lambda *_: None
        """Called with all events, in order, the ids of their processes, and the processes that changed."""
        self.pairing = Pairing(is_filtered)
        self.commands = CommandIds()
        self.paths = PathRecorder(writer, self.pairing, machine)
        # Of a chain: what was attempted, lost and so written in the segments before; and the last of these.
        self.earlier = Counts()
        self.ended_segment: EndedSegment | None = None
        self._is_finished = False
        self._gone: set[int] = set()  # ids of processes that forget_unfreed() saw reaped, but not freed

    @property
    def written(self) -> tuple[int, ...]:
        """How many events have been written, by kind; of a chain, in all segments."""
        return tuple(map(add, self.writer.written, self.earlier.arrived))

    def running(self) -> list[Process]:
        """Returns the recorded processes that have not ended."""
        return self.pairing.running()

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
            self.add_events(events, self.until_ns if following else until_ns)
            until_ns, events = next_until_ns, following
            if not events or not self.writer.has_room:
                break
        if events:
            self.add_events(events, self.until_ns)

    def drain_batches(self) -> Iterator[list[Event]]:
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
        self.until_ns = self.now() if until_ns is None else until_ns
        if not events:
            return
        self.newest_ns = max(self.newest_ns, events[-1].time_ns)
        first_id = self.writer.reserve_ids(len(events))
        pairing = self.pairing
        owners = pairing.feed(events, first_id)
        late = self._take_late_frees(events, first_id) if pairing.unknown_frees else ()
        changed = pairing.take_changed()
        rows = event_rows.make_event_rows(
            events, first_id, owners, self.commands, pairing.rare_value_ids, self.writer.left_out, late
        )
        self.processes += len([p for p in changed if p.id >= first_id and not p.kernel])
        self.paths.look_up(rows, changed)
        self.on_events(events)
        self.on_paired(events, owners, changed)
        # Last, because it wakes the thread that writes, which would then compete with this one.
        self.writer.write(rows, changed, self.until_ns, pairing.take_links())

    def _take_late_frees(self, events: Sequence[Event], first_id: int) -> set[int]:
        """Passes frees of processes that ended in the segment before on to it. Returns the ids of these events."""
        if self.ended_segment is None:
            return set()
        frees = {id: events[id - first_id] for id in self.pairing.unknown_frees}
        taken, counts = self.ended_segment.take(frees)
        self.earlier = self.earlier.plus(counts)
        return taken

    def add_scan(self, scan: Scan) -> None:
        """Adds the processes of a scan of /proc that are not known yet."""
        self.paths.write_cgroups(scan.cgroup_paths)
        self.add_events([process for process in scan.alive if not self.pairing.is_known(process)])

    def close(self, ended_ns: int, counts: Counts) -> None:
        """Notes that the recording has ended, with these final counts. See recording_end.py."""
        self.until_ns, self.counts = ended_ns, counts
        self._is_finished = True

    def begin_segment(self, ended: EndedSegment, earlier: Counts, pairing: Pairing, commands: CommandIds) -> None:
        """Adds all that follows to the next segment of the chain. See rotation.py."""
        self.ended_segment, self.earlier = ended, earlier
        self.pairing, self.commands = pairing, commands
        self.until_ns, self.newest_ns = ended.following_ns, 0
        self._gone.clear()

    def forget_unfreed(self) -> None:
        """Gives up processes that were already reaped at the last call, but never freed: they would fill the memory.

        Call it so rarely that the free event of such a process can't come any more.
        """
        gone = {p.id: p for p in self.unfreed()}
        for id in gone.keys() & self._gone:
            self.pairing.give_up(gone.pop(id))
        self._gone = set(gone)
        for id in self.pairing.take_forgotten():
            self.writer.forget_process(id)

    def unfreed(self) -> list[Process]:
        """Returns the processes that have been reaped, but not freed. Zombies are not among them."""
        return [p for p in self.pairing.unfreed() if self.machine.is_reaped(p)]

    def update_counts(self) -> None:
        """Writes the kernel's current counts of events to the file."""
        if self._is_finished:
            return  # the counts in the file are final, and don't include events after the end
        self.counts = self.source.counts()
        self.paths.write_answers()
        self.writer.write_counts(self.counts.since(self.earlier), self.until_ns)
