"""The end of a recording: the last events, the processes that still run, and the final counts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..log import Steps, get_logger
from ..model.events import NUMBERS, Event, Exec, Exit, Fork, Free
from ..model.recording import COMPLETE, INTERRUPTED
from .surroundings import NOTHING_SEEN
from .survey import FindChanged, Survey, vanished

if TYPE_CHECKING:
    from ..model.event_source import Counts
    from ..model.process import Process
    from .recording_session import Session

_log = get_logger(__name__)

# The kernel frees a task some 20 ms after it was reaped, or later on a busy machine. For a few tasks the event never
# comes (seen on a virtual machine with Linux 6.18, where perf gets no sched_process_free for them either).
FREES_SECONDS = 5.0
QUIET_SECONDS = 0.3
OLD_QUIET_SECONDS = 0.05  # if all these processes ended so long ago that their free will probably not come
SETTLE_SECONDS = 2.0  # a task that was interrupted can have written only a part of its event


def finish(session: Session, find_changed: FindChanged = lambda processes: NOTHING_SEEN) -> int:
    """Adds the last events, checks which processes are alive, and ends the recording. Returns its end in Unix ns.

    find_changed: see Surroundings.
    """
    ended_ns, counts = _RecordingEnd(session, find_changed).run()
    session.close(ended_ns, counts)
    return ended_ns


class _RecordingEnd:
    def __init__(self, session: Session, find_changed: FindChanged) -> None:
        self._session = session
        self._survey = Survey(session.machine, session.paths, find_changed)
        self._end_ns = 0  # Unix ns
        self._suspects: set[tuple[int, int]] = set()  # processes that had ended, without an exit event yet
        self._left_out = dict.fromkeys(NUMBERS, 0)  # events after the end, by kind

    def run(self) -> tuple[int, Counts]:
        """Returns the end in Unix ns, and the final counts."""
        session, survey, steps = self._session, self._survey, Steps(_log)
        for events in session.drain_batches():
            session.add_events(events)
        steps.done("the buffer is drained")
        survey.look_up(session.pairing.running())
        self._suspects = {(p.pid, p.start_ns) for p in survey.gone}
        steps.done("processes that still run are looked up")
        # Taken before intake stops. Of later events some are missing, because processors see the stop one by one.
        self._end_ns = end_ns = session.now()
        session.source.stop_intake()
        self._await_frees()
        steps.done("intake has stopped, and the last frees were waited for")
        counts = self._settle()
        steps.done("the last events have settled")
        # If a process ended before the check of /proc, its exit event has come by now, unless it was lost.
        session.add_events([*vanished(survey.gone, end_ns), *survey.events(session.pairing)])
        session.paths.write_answers(is_last=True)
        session.writer.write_counts(counts.since(session.earlier), end_ns)
        session.writer.finish(INTERRUPTED if session.machine.is_interrupted else COMPLETE, end_ns)
        steps.done("the recording is written")
        return end_ns, counts

    def _await_frees(self) -> None:
        """Waits for the free events of reaped processes, which have their CPU time."""
        session = self._session
        begun = last = time.monotonic()
        while gone := self._unfreed():
            session.source.wait(0.01)
            has_come = self._drain_rest()
            now = time.monotonic()
            last = now if has_come else last
            youngest_ns = max(p.end_ns or 0 for p in gone)
            is_old = session.now() - youngest_ns > QUIET_SECONDS * 1e9
            if now - last > (OLD_QUIET_SECONDS if is_old else QUIET_SECONDS) or now - begun > FREES_SECONDS:
                break

    def _unfreed(self) -> list[Process]:
        session = self._session
        earlier = session.ended_segment
        return session.unfreed() + (earlier.unfreed(session.machine.is_reaped) if earlier else [])

    def _drain_rest(self) -> bool:
        """Drains events that arrived during shutdown, and adds those from before the end.

        Returns whether there were any.
        """
        has_come = [self._add_late(drained) for drained in self._session.drain_batches()]
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
        self._survey.changes.drop_outdated(events)
        self._session.add_events(events)
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
        return event.start_ns > self._end_ns or process in begun or self._session.pairing.is_running(*process)

    def _settle(self) -> Counts:
        """Detaches the source, and adds events that were still being written at that time. Returns the final counts."""
        source = self._session.source
        source.detach()
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            if self._drain_rest():
                deadline = time.monotonic() + SETTLE_SECONDS
            counts = source.counts().without(tuple(self._left_out.values()))
            if counts.arrived == self._session.written or time.monotonic() > deadline:
                return counts
            source.wait(0.001)
