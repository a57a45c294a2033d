"""`--rotate`: a recording becomes a chain of segments in one file, so that the oldest ones can be deleted.

A segment ends after a drained batch: at a position in the ring buffer, not at a time, so no event is lost or doubled.
What is alive then goes over to the next segment, as its snapshot. Both happen in one transaction
(storage/segment_cut.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..log import get_logger
from ..model.event_source import Counts
from ..model.events import Seen
from ..model.pairing import Pairing
from ..model.process import RUNNING, Process
from ..storage import carried_rows
from .ended_segment import EndedSegment
from .survey import Survey, vanished

if TYPE_CHECKING:
    from ..storage.write_queue import WriteQueue
    from .recording_session import Session

_log = get_logger(__name__)

_AT_ONCE = 32  # processes: then the time is checked
_SURVEY_SECONDS = 0.05  # how long one step() may read /proc: meanwhile the ring buffer is not drained
_LONGEST_SURVEY_SECONDS = 10.0  # then the segment ends, even if new processes come faster than they are looked up
_PAUSE_NS = 1_000_000_000  # least time between two segments, if the clock is set again and again
_TIDY_SECONDS = 60.0


class Rotation:
    """Ends a segment every `seconds`, and when the clock was set. describe: columns of a recording that begins.

    tidy: called after each cut and about once a minute, in the thread that records: here, old segments can be deleted.
    """

    def __init__(
        self,
        session: Session,
        queue: WriteQueue,
        seconds: float,
        describe: Callable[[int], Mapping[str, Any]],
        tidy: Callable[[], None] = lambda: None,
    ) -> None:
        self.segments = 1
        self._session = session
        self._queue = queue
        self._machine = session.machine
        self._length_ns = round(seconds * 1e9)
        self._describe = describe
        self._tidy = tidy
        self._began_ns = self._machine.started_ns
        self._is_wanted = False
        self._survey: Survey | None = None
        self._survey_until = 0.0
        self._suspects: set[int] = set()  # ids of processes that were gone at the last cut, without an exit event
        self._tidied = time.monotonic()

    def end_segment_soon(self) -> None:
        """Ends the current segment before its time: at one of the next steps."""
        self._is_wanted = True

    def step(self) -> None:
        """Ends the segment if it is time for that. Call it after each drain, in the thread that records."""
        if self._is_due():
            survey = self._survey or self._begin_survey()
            if self._has_looked_up_all(survey) and self._queue.can_cut(self._needed_ids()):
                self._cut(survey)
        if time.monotonic() - self._tidied >= _TIDY_SECONDS:
            self._call_tidy()

    def _call_tidy(self) -> None:
        self._tidied = time.monotonic()
        self._tidy()

    def _is_due(self) -> bool:
        self._is_wanted |= self._machine.was_clock_set() or self._queue.is_segment_full
        age_ns = self._session.now() - self._began_ns
        return age_ns >= self._length_ns or (self._is_wanted and not 0 <= age_ns < _PAUSE_NS)

    def _begin_survey(self) -> Survey:
        session = self._session
        self._survey = survey = Survey(self._machine, session.paths, self._machine.find_changed)
        self._survey_until = time.monotonic() + _LONGEST_SURVEY_SECONDS
        session.on_events = survey.changes.drop_outdated
        return survey

    def _has_looked_up_all(self, survey: Survey) -> bool:
        """Looks up the processes that run, a few at a time. Returns whether all are known."""
        until = time.monotonic() + _SURVEY_SECONDS
        missing = survey.missing(self._session.pairing.running())
        while missing and time.monotonic() < until:
            survey.look_up(missing[:_AT_ONCE])
            missing = missing[_AT_ONCE:]
        return not missing or time.monotonic() > self._survey_until

    def _needed_ids(self) -> int:
        pairing = self._session.pairing
        return 2 * len(pairing.running()) + pairing.awaited_frees + self._queue.enough_ids

    def _cut(self, survey: Survey) -> None:
        session, pairing, ended_ns = self._session, self._session.pairing, self._end_time()
        session.paths.write_answers(is_last=True)
        gone = {process.id for process in survey.gone if process.state == RUNNING}
        twice_gone = [process for process in survey.gone if process.id in self._suspects]
        session.add_events([*vanished(twice_gone, ended_ns), *survey.events(pairing)], ended_ns)
        counts = self._count_segment()
        shift_ns = self._machine.renew_clock(session.source)
        alive = sorted(pairing.running(), key=lambda process: (process.start_ns, process.pid))
        passed_ids = self._queue.begin_segment(pairing.awaited_frees, alive)
        following, rows = self._carry_over(alive, ended_ns + shift_ns, shift_ns)
        self._suspects = {new.id for old, new in zip(alive, rows.processes, strict=True) if old.id in gone}
        self._queue.write_cut(ended_ns, counts, passed_ids, self._describe(ended_ns + shift_ns), rows)
        ended = EndedSegment(self._queue, pairing, ended_ns, shift_ns)
        commands = session.commands.carry_over(rows.commands)
        session.begin_segment(ended, session.earlier.plus(counts), following, commands)
        session.paths.begin_segment(following, rows.cgroups)
        self._begin(ended_ns + shift_ns)
        _log.info("segment %d begins with %d processes; the clock is %d ns off", self.segments, len(alive), shift_ns)

    def _end_time(self) -> int:
        """Returns Unix ns after which, but for some us, all events are in the next segment."""
        return max(self._session.until_ns, self._session.newest_ns)

    def _count_segment(self) -> Counts:
        """Returns the counts of the segment that ends: what it has, and what was lost up to here."""
        session = self._session
        session.counts = session.source.counts()
        counts, written = session.counts.since(session.earlier), session.writer.written
        attempted = tuple(map(sum, zip(written, counts.lost, strict=True)))
        return Counts(attempted, counts.lost, counts.kept_short, counts.are_known)

    def _carry_over(
        self, alive: Sequence[Process], now_ns: int, shift_ns: int
    ) -> tuple[Pairing, carried_rows.CarriedRows]:
        """Returns a pairing that begins with these processes, and their rows."""
        snapshot = [_carried(process, now_ns, shift_ns) for process in alive]
        first_id = self._queue.reserve_ids(len(snapshot))
        following = Pairing(self._session.is_filtered)
        owners = following.feed(snapshot, first_id)
        originals = [process.command_id for process in alive]
        return following, carried_rows.make(snapshot, first_id, owners, following.take_changed(), originals)

    def _begin(self, began_ns: int) -> None:
        self.segments += 1
        self._began_ns = began_ns
        self._is_wanted = False
        self._survey = None
        self._session.on_events = lambda events: None
        self._call_tidy()


def _carried(process: Process, now_ns: int, shift_ns: int) -> Seen:
    """Returns the event with which a process begins in the next segment. Its command line is copied in the file."""
    assert process.comm is not None
    assert process.uid is not None
    has_command, execs = process.command_id is not None, process.execs or 0
    return Seen(
        time_ns=now_ns,
        pid=process.pid,
        start_ns=process.start_ns + shift_ns,
        ppid=process.ppid,
        comm=process.comm,
        uid=process.uid,
        euid=None,
        cgroup_id=process.cgroup_id,
        kernel=process.kernel or 0,
        execs=execs,
        filename="" if has_command and process.knows_program else None,
        argv=b"" if has_command else None,
        argv_bytes=None,
        ns_pid=process.ns_pid,
        sid=process.sid,
        loginuid=process.loginuid,
        exact=process.exact,
        begun=None if process.begun_before is None else process.begun_before + execs,
        carried_rss_kib=process.carried_rss_kib,
    )
