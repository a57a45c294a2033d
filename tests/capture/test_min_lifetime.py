"""--min-lifetime leaves out short processes with all their events, and no others, even if events are lost or late."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support import MS, at, exec_, exit_, fork, free, seen

from webpf.capture.min_lifetime import MinLifetimeFilter
from webpf.model.event_source import Counts, MemorySource
from webpf.model.events import Event
from webpf.model.time_shift import shift

MIN_MS = 100


def sifted(events: list[Event], now_ms: float, since_ms: float = 0) -> tuple[list[Event], Counts]:
    """Returns the events that pass until now_ms, and the counts."""
    source = MinLifetimeFilter(MemorySource(events), MIN_MS * MS, at(since_ms), lambda: at(now_ms))
    return source.drain(), source.counts()


def test_short_processes_are_left_out_and_long_ones_are_complete() -> None:
    short: list[Event] = [fork(7, 0), exec_(7, 0, 1), exit_(7, 0, 99), free(7, 0, 110)]
    long: list[Event] = [fork(8, 0), exec_(8, 0, 1), exit_(8, 0, 100), free(8, 0, 120)]
    passed, counts = sifted([*short[:2], *long[:2], *short[2:], *long[2:]], 200)
    assert passed == long
    assert counts.arrived == (1, 1, 1, 1)


def test_a_process_that_is_old_enough_passes_before_its_exit() -> None:
    events: list[Event] = [fork(7, 0), exec_(7, 0, 1), fork(8, 50)]
    assert sifted(events, 99)[0] == []
    assert sifted(events, 100)[0] == events[:2]
    assert sifted(events, 150)[0] == events


def test_a_process_from_before_the_recording_passes_even_if_young() -> None:
    events: list[Event] = [exit_(7, -1, 50), exit_(8, 1, 50)]
    assert sifted(events, 60)[0] == events[:1]


def test_a_reused_pid() -> None:
    events: list[Event] = [fork(7, 0), exit_(7, 0, 1), fork(7, 2), exec_(7, 2, 3), exit_(7, 2, 300), free(7, 0, 310)]
    passed, counts = sifted(events, 400)
    assert passed == events[2:5]
    assert counts.arrived == (1, 1, 1, 0)


def test_a_young_process_that_still_runs_at_the_end_passes() -> None:
    """It can live on. A short process that has ended is left out."""
    events: list[Event] = [fork(7, 0), fork(8, 0), exit_(8, 0, 1)]
    source = MinLifetimeFilter(MemorySource(events), MIN_MS * MS, at(0), lambda: at(10))
    source.stop_intake()
    assert source.drain() == [fork(7, 0)]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 300)), max_size=40), st.integers(1, 50))
def test_no_event_gets_lost(lives: list[tuple[int, int]], batch: int) -> None:
    """Each process passes with all its events in order, or not at all; the counts have the events that pass."""
    events: list[Event] = []
    for number, (_, lifetime) in enumerate(lives):
        events += [fork(100 + number, number), exec_(100 + number, number, number + 0.5)]
        events += [exit_(100 + number, number, number + lifetime), free(100 + number, number, number + lifetime + 1)]
    events.sort(key=lambda event: event.time_ns)
    replay = MemorySource(events, batch)
    last_of_batches = [events[:batch][-1], *events[2 * batch - 1 :: batch], *events[-1:]] if events else []
    times = iter([at(0), *(event.time_ns for event in last_of_batches)])
    source = MinLifetimeFilter(replay, MIN_MS * MS, at(0), lambda: next(times, at(10_000)))
    passed: list[Event] = []
    while not replay.exhausted:
        passed += source.drain()
    source.stop_intake()
    passed += source.drain()
    lasting = {100 + number for number, (_, lifetime) in enumerate(lives) if lifetime >= MIN_MS}
    for pid in {event.pid for event in events}:
        mine = [event for event in passed if event.pid == pid]
        assert mine == ([event for event in events if event.pid == pid] if pid in lasting else [])
    kinds = [type(event).__name__.lower() for event in passed]
    assert source.counts().arrived == tuple(kinds.count(kind) for kind in ("fork", "exec", "exit", "free"))


def test_a_process_whose_first_event_is_late_passes() -> None:
    """One process is from a snapshot; the fork of the other was lost, and it is old enough at its exec."""
    events: list[Event] = [seen(7, 50), exec_(8, 0, 150)]
    assert sifted(events, 160)[0] == events


class Shifting(MemorySource):
    """A source whose clock can move; then come the later events."""

    def __init__(self, events: list[Event], later: list[Event]) -> None:
        super().__init__(events)
        self._later = later

    def shift_clock(self, by_ns: int) -> bool:
        self._events = iter(self._later)
        return True


def test_a_clock_that_moves() -> None:
    """Events that are held back get the new times, and the free of a process that was left out is still left out."""
    clocked = Shifting([fork(7, 0), fork(8, 0), exit_(8, 0, 1)], [free(8, 50, 60), exit_(7, 50, 400)])
    source = MinLifetimeFilter(clocked, MIN_MS * MS, at(0), lambda: at(10))
    assert source.drain() == []
    assert source.shift_clock(50 * MS)
    assert source.drain() == [shift(fork(7, 0), 50 * MS), exit_(7, 50, 400)]
    assert source.counts().arrived == (1, 0, 1, 0)
