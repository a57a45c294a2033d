"""A recorder that dies at any moment, and disks that fill at any moment: what was committed is there, and is right."""

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
from support import MS, Recorder, wait_until

from webpf.storage import reader
from webpf.storage.verify import verify

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]
Query = Callable[..., list[dict[str, Any]]]
KILLS_A_FILE = 10
START_MS = 100  # from the start of the recording to the look at /proc it takes less, to the first commit more


@pytest.fixture
def told(act: str, tmp_path: Path) -> Iterator[Callable[[], list[Fate]]]:
    """Lets processes come and go as fast as two parents can make them; says which have, so far."""
    logs = [tmp_path / f"load-{number}" for number in range(2)]
    parents = []
    for log in logs:
        with log.open("wb") as output:
            parents.append(subprocess.Popen([act, "family", "100000000"], stdout=output))
    yield lambda: [Fate.of_line(line) for log in logs for line in log.read_text().splitlines(keepends=True)[:-1]]
    for parent in parents:
        parent.kill()
        parent.wait()


def assert_right(db: Path) -> None:
    """The file opens, and nothing is wrong in it."""
    for finding in verify(db):
        assert finding.problems == (), finding


@pytest.mark.parametrize("seed", range(5))
def test_kill_9_at_any_moment(seed: int, told: Callable[[], list[Fate]], query: Query, tmp_path: Path) -> None:
    """Five times ten recorders, of ten into one file each. What ended a quarter of a second before is in the file.

    To the last process, counted from the last commit; and that is no older than a quarter of a second, in most cases:
    where others keep all processors busy, a recorder is late like everybody. Who is killed before the first commit that
    follows on the look at /proc has none to be counted from.
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
            assert_right(db)
    fates = told()
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
    assert seen > 20  # on a busy machine, few get a turn
    going = [it["updated_ns"] for it in recordings if it["updated_ns"] - it["started_ns"] > START_MS * MS]
    ages = [min(at for at in killed if at > updated_ns - MS) - updated_ns for updated_ns in going]
    assert sorted(ages)[len(ages) // 2] < 250 * MS
    with reader.reading(db) as connection:
        assert {each.status for each in reader.recordings(connection)} == {"interrupted"}


@pytest.mark.parametrize("kib", [300, 500, 900, 1_700, 3_100])
def test_a_disk_that_fills_at_any_moment(
    kib: int, told: Callable[[], list[Fate]], tmp_path: Path, start_recorder: Start
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "none", disk], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        recorder = start_recorder(db=disk / "webpf.db")
        wait_until(lambda: not shutil.disk_usage(disk).free, "the disk doesn't fill", 60)
        code, errors = recorder.end()
        assert code == 74
        assert "full" in errors.splitlines()[-1]
        for file in disk.iterdir():  # SQLite needs some room to read a file that was left in WAL mode
            shutil.copy(file, tmp_path / file.name)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
    assert_right(tmp_path / "webpf.db")
    with reader.reading(tmp_path / "webpf.db") as connection:
        [recording] = reader.recordings(connection)
        assert recording.status == "interrupted"
        assert reader.process_counts(connection)[recording.id] > 10
