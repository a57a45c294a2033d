"""Recorders killed at any moment, and disks that fill up at any moment: committed events are in the file, and right."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fates import Fate, now
from small_disks import small_disk
from support import MS, Recorder, wait_until

from webpf.storage import reader
from webpf.storage.verify import verify

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]
Query = Callable[..., list[dict[str, Any]]]
KILLS_A_FILE = 10
START_MS = 100  # longer than from the start to the scan of /proc, shorter than to the first commit


@pytest.fixture
def ended_so_far(act: str, tmp_path: Path) -> Iterator[Callable[[], list[Fate]]]:
    """Runs two parents that start processes as fast as they can. Returns a function that lists the ended ones."""
    logs = [tmp_path / f"load-{number}" for number in range(2)]
    parents = []
    for log in logs:
        with log.open("wb") as output:
            parents.append(subprocess.Popen([act, "family", "100000000"], stdout=output))
    yield lambda: [Fate.of_line(line) for log in logs for line in log.read_text().splitlines(keepends=True)[:-1]]
    for parent in parents:
        parent.kill()
        parent.wait()


def assert_sound(db: Path) -> None:
    """Checks that verify finds no problem in the file."""
    for finding in verify(db):
        assert finding.problems == (), finding


@pytest.mark.parametrize("seed", range(5))
def test_kill_9_at_any_moment(seed: int, ended_so_far: Callable[[], list[Fate]], query: Query, tmp_path: Path) -> None:
    """Five files, each with ten recorders that are killed. Processes that ended 250 ms before a kill are in the file.

    This is counted from the last commit. The last commit is mostly at most 250 ms old; a recorder is late if other
    processes keep all processors busy. Recorders that are killed before their first commit after the scan of /proc
    don't count.
    """
    chance = random.Random(seed)
    db = tmp_path / "webpf.db"
    killed: list[int] = []
    for _ in range(KILLS_A_FILE):
        recorder = Recorder(db)
        try:
            if chance.random() < 0.8:
                recorder.wait_until_recording()
            time.sleep(chance.uniform(0, 0.7))
            killed.append(now())
        finally:
            assert recorder.end(signal.SIGKILL)[0] == -signal.SIGKILL
        if db.exists() and db.stat().st_size:
            assert_sound(db)
    fates = ended_so_far()
    recordings = query("SELECT * FROM recordings ORDER BY id")
    assert len(recordings) >= KILLS_A_FILE / 2
    seen = 0
    for recording in recordings:
        sql = "SELECT pid, start_ns, status FROM processes WHERE recording_id = ? AND state = 'exited'"
        rows = {(row["pid"], row["status"]): row["start_ns"] for row in query(sql, recording["id"])}
        for fate in fates:
            if recording["started_ns"] < fate.before_ns and fate.after_ns < recording["updated_ns"] - 250 * MS:
                assert fate.before_ns - MS < rows[fate.pid, fate.status] < fate.after_ns
                seen += 1
    assert seen > 20  # few on a busy machine
    going = [it["updated_ns"] for it in recordings if it["updated_ns"] - it["started_ns"] > START_MS * MS]
    ages = [min(at for at in killed if at > updated_ns - MS) - updated_ns for updated_ns in going]
    assert sorted(ages)[len(ages) // 2] < 250 * MS
    with reader.reading(db) as connection:
        assert {each.status for each in reader.recordings(connection)} == {"interrupted"}


@pytest.mark.parametrize("kib", [300, 500, 900, 1_700, 3_100])
def test_a_disk_that_fills_at_any_moment(
    kib: int, ended_so_far: Callable[[], list[Fate]], tmp_path: Path, start_recorder: Start
) -> None:
    with small_disk(tmp_path / "disk", f"{kib}k") as disk:
        recorder = start_recorder(db=disk / "webpf.db")
        wait_until(lambda: not shutil.disk_usage(disk).free, "the disk doesn't fill", 60)
        code, errors = recorder.end()
        assert code == 74
        assert "full" in errors.splitlines()[-1]
        for file in disk.iterdir():  # SQLite needs some room to read a file that was left in WAL mode
            shutil.copy(file, tmp_path / file.name)
    assert_sound(tmp_path / "webpf.db")
    with reader.reading(tmp_path / "webpf.db") as connection:
        [recording] = reader.recordings(connection)
        assert recording.status == "interrupted"
        # On a very busy machine, even the first batch may not fit. Then nothing is said to be in the file.
        has_written = recording.updated_ns > recording.started_ns
        assert reader.process_counts(connection).get(recording.id, 0) > 10 or not has_written
