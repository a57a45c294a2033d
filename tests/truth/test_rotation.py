"""Chains of segments, read together: each process is there once, as its parent saw it, in whatever segments it was."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import machine_clock
import pytest
from chains import LATEST, assert_sound, rotating, row_of, rows, rows_of, segments, wait_for_segments
from fates import Fate, check, now, reap, repeated_if_not_freed, run_program, wait_for_free, wait_for_zombie
from support import MS, SLOWNESS, wait_until

pytestmark = pytest.mark.kernel

ROTATIONS = 20 if SLOWNESS == 1 else 6
KILLS = 6 if SLOWNESS == 1 else 3


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """The path of the recording file."""
    return tmp_path / "webpf.db"


class Storm:
    """A process that starts others as fast as it can. log: where it writes what became of them."""

    def __init__(self, act: str, log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self._parent = subprocess.Popen([act, "family", "100000000"], stdout=output)
        self.pid = self._parent.pid

    def fates(self) -> list[Fate]:
        """Returns the fates of all processes that it has started and waited for."""
        return [Fate.of_line(line) for line in self._log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def end(self) -> list[Fate]:
        """Ends it. Returns the fates."""
        self._parent.kill()
        self._parent.wait()
        return self.fates()


@pytest.fixture
def storm(act: str, tmp_path: Path) -> Iterator[Storm]:
    """A storm that has begun."""
    begun = Storm(act, tmp_path / "storm")
    yield begun
    begun.end()


def test_a_storm_across_twenty_rotations(db: Path, storm: Storm) -> None:
    """With raw events: each fork, exit and free is in one segment, and verify pairs those of each segment again."""
    recorder = rotating(db, "--events", "all")
    begun = now()
    wait_for_segments(db, ROTATIONS)
    wanted = 50 * ROTATIONS  # which takes more segments on a busy machine
    wait_until(lambda: sum(fate.before_ns > begun for fate in storm.fates()) > wanted, "the storm is too slow")
    ended = now()
    fates = [fate for fate in storm.end() if begun < fate.before_ns and fate.after_ns < ended]
    assert recorder.end()[0] == 0
    assert_sound(db)
    latest = rows(db, f"SELECT * FROM {LATEST} WHERE ppid = ? ORDER BY start_ns", storm.pid)
    assert len(fates) > wanted
    for fate in fates:
        check(row_of(latest, fate), fate, storm.pid)
    pids = {fate.pid for fate in fates}
    known = [row for row in latest if row["pid"] in pids and row["cpu_ns"] is not None]
    assert len(known) > 0.98 * len(fates)
    children = "SELECT pid FROM forks WHERE ppid = ?"
    for table in ("forks", "exits", "frees"):
        events = (
            f"SELECT pid, start_ns - clock_offset_ns AS born FROM {table} JOIN recordings AS r ON r.id = recording_id"
        )
        found = rows(db, f"{events} WHERE pid IN ({children})", storm.pid)
        counts = Counter((row["pid"], row["born"]) for row in found)
        assert set(counts.values()) == {1}
        assert len(counts) > 0.98 * len(fates)


def test_the_counts_of_all_segments_are_those_of_the_kernel(db: Path, storm: Storm) -> None:
    """Each segment's attempted is its written plus its lost; the last one's follows from the kernel's counters."""
    recorder = rotating(db)
    wait_for_segments(db, 4)
    # On a busy machine, some segments can have fewer forks.
    wait_until(lambda: sum((row["forks_written"] or 0) > 10 for row in segments(db)) >= 4, "four segments are not full")
    assert recorder.end()[0] == 0
    storm.end()
    assert_sound(db)
    found = segments(db)
    assert [(row["chain"], row["segment"], row["status"]) for row in found] == [
        (found[0]["id"], number, "complete") for number in range(1, len(found) + 1)
    ]
    for kind in ("forks", "execs", "exits", "frees"):
        assert all(row[f"{kind}_attempted"] == row[f"{kind}_written"] + row[f"{kind}_lost"] for row in found)
    written = [row["forks_written"] for row in found[:-1]]
    assert all(written) and sum(forks > 10 for forks in written) >= 3 and sum(written) > 10 * len(written)
    assert [row["events"] for row in rows(db, "SELECT options ->> 'events' AS events FROM recordings")] == [
        "none"
    ] * len(found)


BURN = "import sys, time; end = time.process_time() + 0.04\nwhile time.process_time() < end: pass\nsys.stdin.read()"


def test_a_process_that_lives_through_all_segments(db: Path) -> None:
    """It is in each segment, with the same start, command line and parent, and with what it cost until then."""
    before = now()
    recorder = rotating(db)
    process = subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE)
    wait_for_segments(db, 3)
    assert process.stdin is not None
    process.stdin.close()
    fate = reap(process.pid, before)
    process.returncode = 0
    wait_for_segments(db, 1)
    assert recorder.end()[0] == 0
    assert_sound(db)
    found = [row for row in rows_of(db, process.pid) if row["start_ns"] > before]
    assert len(found) >= 3
    assert [row["segment"] for row in found] == list(range(found[0]["segment"], found[0]["segment"] + len(found)))
    check(found[-1], fate)
    for name in (
        "start_ns",
        "exact",
        "execs",
        "argv",
        "filename",
        "uid",
        "cgroup_id",
        "ppid",
        "carried_rss_kib",
        "sid",
    ):
        assert len({row[name] for row in found}) == 1, name
    assert found[0]["exact"] == 1
    assert [row["state"] for row in found] == ["running"] * (len(found) - 1) + ["exited"]
    costs = [row["cpu_ns"] for row in found]
    if costs[-1] is None:  # a busy kernel doesn't report every free
        costs.pop()
    assert costs == sorted(costs)
    assert costs[0] > 0
    assert found[-1]["parent_id"] in [row["id"] for row in rows_of(db, os.getpid())]


def test_a_process_that_executes_programs_across_cuts(db: Path, act: str) -> None:
    """Its latest row has all of its programs, although each segment has only those that it executed meanwhile."""
    recorder = rotating(db)
    cuts: list[dict[str, object]] = []
    while not cuts:  # on a busy machine, it can miss all cuts
        fate = run_program(act, "again", "40")
        wait_for_segments(db, 1)
        cuts = rows(db, "SELECT id FROM recordings WHERE started_ns BETWEEN ? AND ?", fate.before_ns, fate.after_ns)
    assert recorder.end()[0] == 0
    assert_sound(db)
    row = row_of(rows(db, f"SELECT * FROM {LATEST} WHERE pid = ?", fate.pid), fate)
    check(row, fate)
    assert row["execs"] == 41
    assert row["argv"].split(b"\0")[2] == b"0"
    programs = rows(db, "SELECT count(*) AS n FROM programs WHERE pid = ? AND start_ns = ?", fate.pid, row["start_ns"])
    assert programs == [{"n": 41}]
    assert len({row["segment"] for row in rows_of(db, fate.pid)}) >= 2


@repeated_if_not_freed
def test_zombies(db: Path) -> None:
    """A free reaches the segment in which the process ended, if it comes before the next one ends; else no segment."""
    db.unlink(missing_ok=True)
    recorder = rotating(db, "--events", "all", seconds=1)
    before = now()
    soon, late = (os.posix_spawn("/bin/true", ["true"], os.environ) for _ in range(2))
    for pid in (soon, late):
        wait_for_zombie(pid)
    wait_for_segments(db, 1)
    fates = [reap(soon, before)]
    wait_for_free(lambda: rows_of(db, soon)[-1]["cpu_ns"] is not None)
    wait_for_segments(db, 2)
    fates.append(reap(late, before))
    wait_for_segments(db, 1)
    assert recorder.end()[0] == 0
    assert_sound(db)
    for fate in fates:
        [row] = [row for row in rows_of(db, fate.pid) if row["start_ns"] > before]
        check(row, fate)
        assert (row["cpu_ns"] is None) == (fate.pid == late)
    [free] = rows(db, "SELECT recording_id, process_id FROM frees WHERE pid = ?", soon)
    assert free == {"recording_id": row["recording_id"], "process_id": rows_of(db, soon)[-1]["id"]}


@pytest.mark.alone  # other tests compare times with this clock
def test_a_clock_that_is_set_begins_a_segment(db: Path) -> None:
    """Its events have the new time, and what goes over is the same process, by its start since boot."""
    recorder = rotating(db, seconds=3600)
    before = now()
    process = subprocess.Popen(["sleep", "60"])
    time.sleep(1.1)  # segments are at least so long
    shift = MS // 2
    machine_clock.set_forward(shift)
    try:
        wait_until(lambda: len(segments(db)) == 2, "a second segment")
    finally:
        machine_clock.set_forward(-shift)
    process.kill()
    fate = reap(process.pid, before)
    process.returncode = -9
    later = run_program("/bin/true")
    wait_until(lambda: len(segments(db)) == 3, "a third segment")
    assert recorder.end()[0] == 0
    assert_sound(db)
    offsets = [row["clock_offset_ns"] for row in segments(db)]
    assert abs(offsets[1] - offsets[0] - shift) < shift / 2
    assert abs(offsets[2] - offsets[0]) < shift / 2
    first, second = (row for row in rows_of(db, fate.pid) if row["start_ns"] > before - MS)
    assert second["start_ns"] - first["start_ns"] == offsets[1] - offsets[0]
    assert (first["state"], second["state"], second["status"]) == ("running", "exited", signal.SIGKILL)
    assert second["lifetime_ns"] < fate.after_ns - fate.before_ns
    [row] = [row for row in rows_of(db, later.pid) if row["start_ns"] > before]
    assert abs(row["start_ns"] - offsets[row["segment"] - 1] - (later.before_ns - offsets[0])) < 1000 * MS
    assert later.before_ns - MS < row["start_ns"] - offsets[row["segment"] - 1] + offsets[0] < later.after_ns + MS


def test_kill_9_around_cuts(db: Path, storm: Storm) -> None:
    """The end of a segment and the begin of the next are in the file, or neither: no chain has a gap."""
    chance = random.Random(19)
    for number in range(KILLS):
        recorder = rotating(db, "--events", ("all", "none")[number % 2], seconds=0.15)
        wait_for_segments(db, number % 2)
        time.sleep(chance.uniform(0, 0.2))
        recorder.end(signal.SIGKILL)
        assert_sound(db)
        last = segments(db)[-1]
        assert (last["status"], last["ended_ns"]) == ("recording", None)
    storm.end()
    found = segments(db)
    assert len({row["chain"] for row in found}) == KILLS
    assert len(found) >= 2 * KILLS + KILLS // 2
