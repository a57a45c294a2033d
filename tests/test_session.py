"""A recording under way, with replayed events: what it holds on to, and what it lets go of."""

from __future__ import annotations

from pathlib import Path

from support import about, at, exit_, fork, free

from webpf.events import Event
from webpf.procfs import State
from webpf.session import Session
from webpf.source import Counts, Replay
from webpf.store import Store
from webpf.verify import verify


def test_what_was_never_freed_is_let_go_of_once_it_is_long_gone(tmp_path: Path) -> None:
    """Not what is a zombie still, not what was reaped just now; and what it says in the file is not touched."""
    states: dict[int, State] = {100: "gone", 101: "zombie", 102: "gone"}

    def state_of(pid: int, start_ns: int) -> State:
        return states[pid]

    def held() -> set[int]:
        return {process.pid for process in session._pairing.unfreed()}

    events: list[Event] = [
        fork(100, 0),
        fork(101, 1),
        fork(102, 2),
        exit_(100, 0, 3),
        exit_(101, 1, 4),
        exit_(102, 2, 5),
    ]
    store = Store(tmp_path / "webpf.db")
    session = Session(Replay(events), store.begin(about()), 0)
    session.take_in(session.source.drain())
    session.forget_unfreed(state_of)
    assert held() == {100, 101, 102}
    session.take_in([free(102, 2, 90)])
    states[101] = "gone"
    session.forget_unfreed(state_of)
    assert held() == {101}
    assert set(session.writer._open) == {2}
    session.take_in([free(101, 1, 99)])
    session.forget_unfreed(state_of)
    assert (held(), session.writer._open, session._gone) == (set(), {}, set())
    session.writer.write_counts(session.source.counts(), 0)
    store.close()
    assert [finding.problems for finding in verify(tmp_path / "webpf.db")] == [(), ()]


def test_a_recording_ends_with_what_it_still_took_in(tmp_path: Path) -> None:
    """Not with a moment after intake stopped, of which it knows nothing; and a free belongs to an end before it."""
    store = Store(tmp_path / "webpf.db")
    events: list[Event] = [fork(100, 0), exit_(100, 0, 5), free(100, 0, 9)]
    session = Session(Replay(events, batch=1), store.begin(about()), clock_offset=0)
    assert session.finish(lambda pid, start_ns: "gone") == at(5)
    assert [row["ended_ns"] for row in store.db["recordings"].rows] == [at(5)]
    store.close()


def test_who_is_alive_at_the_end_and_freed_just_after_was_running(tmp_path: Path) -> None:
    """His exit came after the end. Another's, which the same batch brings, did not."""
    store = Store(tmp_path / "webpf.db")
    session = Session(Replay([]), store.begin(about()), clock_offset=0)
    session.take_in([fork(100, 0), fork(101, 1)])
    session.source = Replay([exit_(101, 1, 5), free(101, 1, 8), free(100, 0, 9)], batch=3, counts=Counts((2, 0, 1, 2)))
    session._take_rest()
    session.counts = session._settle()
    session.writer.write_counts(session.counts, at(9))
    assert session.counts.arrived == session.writer.written == (2, 0, 1, 1)
    rows = store.db["processes"].rows_where(order_by="pid")
    assert [(row["pid"], row["state"]) for row in rows] == [(100, "running"), (101, "exited")]
    store.close()
