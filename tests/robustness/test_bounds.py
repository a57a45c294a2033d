"""Bounds of the recorder's memory, tried with a hundred thousand different values of each kind."""

from __future__ import annotations

import subprocess
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from ring_records import FORK, event_bytes, exec_event_bytes, record
from support import MS, PROCESSES, T0, Machine, at, exec_, exit_, fork, free, recording_values, seen, wait_until

from webpf.capture import recording_end, stream
from webpf.capture.line_printer import LinePrinter
from webpf.capture.min_lifetime import BUFFER_BYTES, MinLifetimeFilter
from webpf.capture.recording_session import Session
from webpf.host import clock, procfs
from webpf.host.pipe_writer import PipeWriter
from webpf.kernel.decoder import Decoder
from webpf.model import argv
from webpf.model.bounded_cache import MIB
from webpf.model.event_source import MemorySource
from webpf.model.events import Event, Exec, Exit, Seen
from webpf.model.pairing import Pairing
from webpf.storage import command_ids, reader
from webpf.storage.process_rows import ProcessSorter
from webpf.storage.recording_file import RecordingFile
from webpf.storage.verify import verify

MANY = 100_000
LONG = 30_000


@contextmanager
def at_most(mib: float) -> Iterator[None]:
    """Checks that the block leaves at most this much in memory, as counted by Python's allocator."""
    tracemalloc.start()
    try:
        yield
        grown = tracemalloc.get_traced_memory()[0]
        assert grown <= mib * MIB, f"{grown / MIB:.1f} MiB"
    finally:
        tracemalloc.stop()


# Names and arguments


def test_names_and_paths() -> None:
    names = [record(event_bytes(FORK, b"%d" % number)) for number in range(MANY)]
    paths = [record(exec_event_bytes(b"/%d" % number + b"\xff" * 600, b"", (616, 0))) for number in range(MANY)]
    decoder = Decoder()
    with at_most(8.5):
        for first in range(0, MANY, 1000):
            memory = memoryview(b"".join(names[first : first + 1000] + paths[first : first + 1000]))
            out: list[Event] = []
            assert decoder.decode(memory, 0, len(memory), out) == len(memory)
            last = out[-1]
            assert isinstance(last, Exec)
            assert last.filename == b"/%d" % (first + 999) + b"\xff" * 600
            del memory, out, last


def test_command_lines() -> None:
    with at_most(5):
        for number in range(MANY):
            raw = b"prog\0%d\0" % number + b"x" * 400
            assert argv.quote(raw, len(raw)).startswith(f"prog {number} ")


def test_exits_in_a_stream(tmp_path: Path) -> None:
    with (tmp_path / "events").open("wb") as output, at_most(1.5):
        printer = stream._EventPrinter(LinePrinter(PipeWriter(output.fileno(), lambda: False)))
        for number in range(MANY):
            assert printer._is_wanted(exit_(number, number, number))
            assert not printer._is_wanted(exit_(number, number, number)), "the second thread's report"


# Processes


def test_arguments_of_a_live_process_are_not_kept(tmp_path: Path) -> None:
    """Neither are those in its row; and its end writes them neither again nor shortened."""
    count = 2_000
    file = RecordingFile(tmp_path / "webpf.db")
    live = Session(MemorySource([]), file.begin(recording_values()), Machine())
    with at_most(6 + 8):
        for pid in range(1000, 1000 + count):
            live.add_events([fork(pid, pid), exec_(pid, pid, pid, b"%d" % pid + b"x" * LONG)])
        for pid in range(1000, 1000 + count):
            live.add_events([exit_(pid, pid, pid + count)])
    pages = file.db.execute("PRAGMA page_count").fetchone()
    live.add_events([free(pid, pid, pid + count + 1) for pid in range(1000, 1000 + count)])
    assert file.db.execute("PRAGMA page_count").fetchone()[0] < pages[0] + 200
    sql = f"SELECT pid, argv, length(args), filename, state, cpu_ns FROM {PROCESSES} ORDER BY pid"
    assert list(file.db.execute(sql)) == [
        (pid, b"%d" % pid + b"x" * LONG, LONG + 4, f"{pid}" + "x" * LONG, "exited", MS)
        for pid in range(1000, 1000 + count)
    ]
    live.writer.write_counts(live.source.counts(), at(0))
    file.close()
    with at_most(8):
        findings = list(verify(tmp_path / "webpf.db"))
    assert [finding.problems for finding in findings] == [(), ()]


def test_only_changes_of_a_process_are_written() -> None:
    """Whole lives, new rows and changes of known rows, with and without costs; and rows of which only costs are new."""
    writer = ProcessSorter()
    pairing = Pairing()
    first_ids = count(1, 10)

    def change(*events: Event) -> list[int]:
        first_id = next(first_ids)
        pairing.feed(events, first_id)
        ids = {first_id + at: 77 for at, event in enumerate(events) if isinstance(event, Exec | Seen)}
        rows = writer.sort(pairing.take_changed(), (), ids)
        return [*map(bool, (rows.children, rows.ended, *rows.new, *rows.known)), len(rows.freed)]

    assert change(seen(5, 0)) == [0, 0, 1, 0, 0, 0, 0]
    assert change(fork(5, 0)) == [0, 0, 0, 0, 1, 0, 0], "it was still being forked when /proc was read"
    assert change(exec_(5, 0, 1)) == [0, 0, 0, 0, 1, 0, 0]
    assert change(exit_(5, 0, 2)) == [0, 0, 0, 0, 1, 0, 0]
    assert change(free(5, 0, 3)) == [0, 0, 0, 0, 0, 0, 1]
    assert writer._changeable == {}
    assert change(fork(6, 9), exit_(6, 9, 10), free(6, 9, 11)) == [1, 0, 0, 0, 0, 0, 0]
    assert change(fork(6, 12), exec_(6, 12, 13), exit_(6, 12, 14), free(6, 12, 15)) == [0, 1, 0, 0, 0, 0, 0]
    assert change(fork(6, 20, kernel=1), exit_(6, 20, 21), free(6, 20, 22)) == [0, 0, 0, 1, 0, 0, 0]
    assert change(seen(7, 0, argv=None, kernel=1)) == [0, 0, 1, 0, 0, 0, 0], "a thread of the kernel"
    assert change(fork(8, 9), exec_(8, 9, 10), free(8, 9, 11)) == [0, 0, 0, 1, 0, 0, 0], "its exit was lost"
    assert change(exit_(9, 9, 10), free(9, 9, 11)) == [0, 0, 0, 1, 0, 0, 0], "nothing is known of its fork"


def test_known_command_lines_have_a_limit_in_bytes() -> None:
    """A hundred thousand command lines, or some of two megabytes, take no more than the limit."""
    known = command_ids.CommandIds()
    with at_most(10):
        for number in range(100_000):
            known.ids_of([number + 1], [(f"/bin/{number}", b"x" * 50 + b"%d" % number, 60)])
            known.take_new()
        for number in range(30):
            known.ids_of([number + 1], [("/bin/large", b"%d" % number + b"x" * (2 * MIB), 60)])
            known.take_new()


# Cgroups and directories


def test_cgroups(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "webpf.db")
    live = Session(MemorySource([]), file.begin(recording_values()), Machine())
    with at_most(8):
        for first in range(0, MANY, 1000):
            live.paths.write_cgroups({number: f"/a/{number}" for number in range(first, first + 1000)})
    live.paths.write_cgroups({7: "/another", MANY: None})
    assert file.db.execute("SELECT count(*) FROM cgroup_paths").fetchone() == (MANY + 1,)
    assert file.db.execute("SELECT path FROM cgroup_paths WHERE cgroup_id = 7").fetchone() == ("/a/7",)
    file.close()


def test_directories(tmp_path: Path) -> None:
    """A directory that was forgotten may be looked up again, and is in the file once."""
    file = RecordingFile(tmp_path / "webpf.db")
    live = Session(MemorySource([]), file.begin(recording_values()), Machine())
    with at_most(8):
        for first in range(0, MANY, 1000):
            live.paths.write_directories({(8, number): f"/a/{number}" for number in range(first, first + 1000)})
    live.paths.write_directories({(8, 7): b"/a/7\xff", (9, 7): b"/a/7\xff"})
    assert file.db.execute("SELECT count(*) FROM working_directories").fetchone() == (MANY + 1,)
    sql = "SELECT path FROM working_directories WHERE inode = 7 ORDER BY device"
    assert list(file.db.execute(sql)) == [("/a/7",), (b"/a/7\xff",)]
    file.close()


def test_arguments_of_all_live_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """When they reach the bound, only the beginning of each is kept; the length stays the true one."""
    command = ["/bin/sleep", "600", "0" * 10_000]
    running = [subprocess.Popen(command) for _ in range(3)]
    try:
        monkeypatch.setattr(procfs, "ALL_ARGS", 15_000)
        pids = [process.pid for process in running]
        for pid in pids:
            wait_until(lambda: b"600" in Path(f"/proc/{pid}/cmdline").read_bytes(), "it doesn't run")  # noqa: B023
        found = list(procfs.read_processes([*pids, 2**22 + 1], 0, 32768, {}))
        raw = Path(f"/proc/{pids[0]}/cmdline").read_bytes()
        assert [process.pid for process in found] == pids
        assert [process.argv for process in found] == [raw, raw, raw[: procfs.SHORT_ARGS]]
        assert [process.argv_bytes for process in found] == [len(raw)] * 3
    finally:
        for process in running:
            process.kill()
            process.wait()


# What --min-lifetime buffers


def drained(source: MinLifetimeFilter) -> list[Event]:
    """Drains everything, some events at a time."""
    passed: list[Event] = []
    while True:
        batch = source.drain()
        passed += batch
        assert sum(len(event.argv or b"") for event in batch if isinstance(event, Exec)) < 10 * MIB
        if not source.has_more():
            return passed


def lives(count: int, short: int, size: int) -> Iterator[Event]:
    """Makes processes, each with one exec with this many bytes of arguments; every short-th exits at once."""
    for number in range(count):
        yield fork(1000 + number, number / 1000)
        yield exec_(1000 + number, number / 1000, number / 1000, b"%09d" % number + b"x" * size)
        if number % short == 0:
            yield exit_(1000 + number, number / 1000, number / 1000 + 1)
            yield free(1000 + number, number / 1000, number / 1000 + 2)


@pytest.mark.parametrize(("count", "size"), [(MANY, 100), (5_000, LONG)])
def test_buffered_events_have_a_bound(count: int, size: int) -> None:
    source = MinLifetimeFilter(MemorySource(lives(count, 10, size), batch=100), 10**6 * MS, T0, lambda: at(count))
    passed = 0
    with at_most(BUFFER_BYTES / MIB + 5):
        while events := source.drain():
            passed += len(events)
            del events
    assert passed > 0
    source.stop_intake()
    assert passed + len(drained(source)) == sum(source.counts().arrived)


def test_processes_kept_early_are_complete_and_counted() -> None:
    events = list(lives(5_000, 10, LONG))
    source = MinLifetimeFilter(MemorySource(events, batch=100), 10**6 * MS, T0, lambda: at(5_000))
    passed = drained(source)
    assert sum(len(event.argv or b"") for event in passed if isinstance(event, Exec)) > 30 * MIB
    through = {event.pid for event in passed}
    # Each process comes with all of its events, or not at all.
    for pid in range(1000, 1000 + 5_000):
        if pid not in through:
            continue
        assert [e for e in passed if e.pid == pid] == [e for e in events if e.pid == pid]
    ended = {event.pid for event in passed if isinstance(event, Exit)}
    assert source.counts().kept_short == len(ended)
    source.stop_intake()
    passed += drained(source)
    kinds = [type(event).__name__ for event in passed]
    assert source.counts().arrived == tuple(map(kinds.count, ("Fork", "Exec", "Exit", "Free")))
    short = {event.pid for event in events if isinstance(event, Exit)}
    assert {event.pid for event in passed} == {event.pid for event in events} - (short - ended)


def test_a_process_that_runs_programs_without_end() -> None:
    """Its own events reach the bound. Then it is kept, with its end, though its life was too short."""
    execs: list[Event] = [exec_(7, 0, 1 + number / 100, b"%09d" % number + b"x" * LONG) for number in range(4_000)]
    events = [fork(7, 0), *execs, exit_(7, 0, 50), free(7, 0, 60), fork(8, 55), exit_(8, 55, 56), free(8, 55, 57)]
    source = MinLifetimeFilter(MemorySource(events, batch=100), 1000 * MS, T0, lambda: at(60))
    assert drained(source) == events[:-3]
    assert source.counts().kept_short == 1
    assert source.counts().arrived == (1, 4_000, 1, 1)


def test_a_recording_counts_the_short_processes_that_it_kept(tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    file = RecordingFile(db)
    execs: list[Event] = [exec_(7, 0, 1 + number / 100, b"%09d" % number + b"x" * LONG) for number in range(3_000)]
    replay = MemorySource([fork(7, 0), *execs, exit_(7, 0, 50)], batch=100)
    source = MinLifetimeFilter(replay, 1000 * MS, T0, lambda: at(60))
    live = Session(source, file.begin(recording_values()), Machine(clock_offset=at(60) - clock.boot_ns()))
    while source.has_more():
        live.drain()
    recording_end.finish(live)
    assert [row["kept_short"] for row in file.db["recordings"].rows] == [1]
    file.close()
    assert [finding.problems for finding in verify(db)] == [(), ()]
    with reader.reading(db) as connection:
        caveat = reader.find(connection, db).caveat
    assert caveat == "recording 1 holds 1 processes that ended sooner than --min-lifetime"
