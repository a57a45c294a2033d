"""Measures every saved query on an hour of a week: a chain of 168 recordings with ten million processes.

    make bench-week, or python -m tools.bench.week [--processes N] [--db FILE]

The chain is made up (million.py) and recorded by replay, with --rotate 1h. It is made into FILE, unless that exists, or
without --db into a temporary folder. Each query runs three times over an hour in the middle, each time on a new
connection; the shortest time counts. Prints a Markdown table of CPU time and elapsed time, from opening the file to the
1,001st row; the last line is the first look of `webpf watch --since`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from tools.bench import million
from tools.bench.queries import GIVEN, ROWS, Measured, run, shortest
from webpf.analysis import saved_queries
from webpf.analysis.follow import Follower
from webpf.capture.record_options import RecordOptions
from webpf.capture.recorder import record
from webpf.capture.replayed_machine import ReplayedMachine
from webpf.cli.live_status import QuietStatus
from webpf.model import moments
from webpf.model.event_source import MemorySource
from webpf.model.events import Event
from webpf.model.moments import Moment
from webpf.model.scope import Scope

HOUR_SECONDS = 3600
HOURS = 168
NS = 1_000_000_000


class _Week(MemorySource):
    """Events in memory, which move the clock of the machine. They are also what is recorded, until their end."""

    def __init__(self, processes: int, machine: ReplayedMachine) -> None:
        gap_ms = HOURS * HOUR_SECONDS * 1000 / processes
        super().__init__(million.events(processes, gap_ms), million.BATCH)
        self._machine = machine

    def drain(self) -> list[Event]:
        batch = super().drain()
        if batch:
            self._machine.advance(batch[-1].time_ns)
        return batch

    def start(self) -> None:
        """Does nothing."""

    def is_over(self, is_anyone_alive: Callable[[], bool]) -> bool:
        return self.exhausted


def build(db: Path, processes: int) -> None:
    """Builds the chain, and prints what that cost."""
    begun = time.process_time()
    machine = ReplayedMachine(million.BEGIN)
    week = _Week(processes, machine)
    options = RecordOptions(db=db, rotate=HOUR_SECONDS, streamed={})
    summary = record(options, week, machine, week, QuietStatus())
    spent = time.process_time() - begun
    print(
        f"{processes:,} processes in {summary.segments} recordings written in {spent:.0f} s of CPU time;"
        f" {db.stat().st_size / processes:.0f} bytes each\n",
        flush=True,
    )


def moment(option: str, hours: float) -> Moment:
    """Returns the time that is so many hours after the begin of the week."""
    unix = million.BEGIN // NS + round(hours * HOUR_SECONDS)
    return moments.parse(option, datetime.fromtimestamp(unix, timezone.utc).isoformat())


def an_hour() -> Scope:
    """Returns an hour in the middle of the week, which has parts of two recordings."""
    return Scope(since=moment("--since", HOURS / 2 + 0.5), until=moment("--until", HOURS / 2 + 1.5))


def measure_query(name: str, db: Path) -> int:
    """Runs a query over the hour; returns the number of its rows, at most ROWS."""
    query = saved_queries.load(name)
    given = {each.name: GIVEN.get(each.name, each.example) for each in query.parameters if each.required}
    with saved_queries.run(db, query, given, an_hour()) as result:
        return sum(1 for _, _ in zip(result.rows, range(ROWS), strict=False))


def measure_watch(db: Path) -> int:
    """Returns how many processes the first look of `webpf watch --since` shows, of the last hour."""
    follower = Follower(db, scope=Scope(since=moment("--since", HOURS - 1)))
    return len(follower.look().ended)


def measure(db: Path) -> Iterator[tuple[str, Measured]]:
    """Yields the name of each query, and what it took; then of the first look."""
    for name in saved_queries.names():
        if saved_queries.load(name).takes_scope:
            yield name, shortest(partial(measure_query, name), lambda: nullcontext(db))
    yield "watch --since", shortest(measure_watch, lambda: nullcontext(db))


if __name__ == "__main__":
    run(__doc__, 10_000_000, build, measure)
