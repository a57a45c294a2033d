"""What a recorder deletes while it records: segments of recorders before it, built by replay."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import chains
import pytest
from fates import Fate, check, row_of, run_program
from small_disks import fill, small_disk
from story import parent_of_many
from support import MS, Recorder, held, make_recording, wait_until

from webpf.storage.verify import verify

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize(
    ("limit", "mib", "deleted", "is_read"),
    [
        (("--keep", "7d"), 1, (1, 2, 3), False),
        (("--max-size", "64MiB"), 64, (1,), False),
        (("--max-size", "64MiB"), 64, (1,), True),
    ],
)
def test_segments_of_recorders_before_it(
    limit: tuple[str, str],
    mib: int,
    deleted: tuple[int, ...],
    is_read: bool,
    start_recorder: Callable[..., Recorder],
    query: Callable[..., Any],
    tmp_path: Any,
) -> None:
    """They end years ago, or are too large. What is recorded meanwhile is right; readers see whole transactions.

    is_read: a reader keeps the log meanwhile, which grows by the deletion: no further segment goes because of it.
    """
    db = tmp_path / "webpf.db"
    for _ in range(3):
        make_recording(db, parent_of_many(3000), batch=5000)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE processes SET comm = printf('%.*c', ?, 'x')", [mib * 128])
        connection.execute("UPDATE recordings SET chain = 1, segment = id, started_ns = started_ns + id * ?", [MS])
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # else a reader keeps the recorder from its beginning
    assert db.stat().st_size > (mib << 20) * 9 / 8
    fates: list[Fate] = []

    def is_gone() -> bool:
        fates.append(run_program("/bin/true"))
        assert query("PRAGMA foreign_key_check") == []
        return bool(query("SELECT count(*) AS n FROM recordings") == [{"n": 4 - len(deleted)}])

    with held(db, "BEGIN") if is_read else nullcontext():
        recorder = start_recorder(*limit)
        wait_until(is_gone, "they are still there")
        if is_read:
            until = time.monotonic() + 1.5  # it looks at the size twice a second
            while time.monotonic() < until:
                fates.append(run_program("/bin/true"))
            assert (tmp_path / "webpf.db-wal").stat().st_size > 16 << 20
    wait_until(lambda: db.stat().st_size < mib << 20, "the room didn't come back")
    assert recorder.end()[0] == 0
    details = [row["detail"] for row in query("SELECT detail FROM incidents WHERE kind = 'deleted' ORDER BY from_ns")]
    assert [detail.split(";")[0] for detail in details] == [f"{limit[0]}: recording {number}" for number in deleted]
    for fate in fates:
        check(row_of(query, fate), fate)
    [finding] = (each for each in verify(db) if each.recording is not None and each.recording.id == 4)
    assert finding.problems == ()
    assert query("SELECT lost, status FROM recordings WHERE id = 4") == [{"lost": 0, "status": "complete"}]


@pytest.mark.parametrize("comes_back", [True, False])
def test_too_little_is_free(
    comes_back: bool, start_recorder: Callable[..., Recorder], query: Callable[..., Any], tmp_path: Path
) -> None:
    """What is recorded waits until there is room. At the end it is written even so: else it would be lost."""
    with small_disk(tmp_path / "disk", "64m") as disk:
        db = disk / "webpf.db"
        filler = fill(disk, 12 << 20)
        recorder = start_recorder("--keep-free", "16MiB", db=db)
        until = time.monotonic() + 3  # incidents below a second aren't told
        fates: list[Fate] = []
        while time.monotonic() < until:
            fates.append(run_program("/bin/sh", "-c", f"exit {len(fates) % 5}"))
        recorded = "SELECT count(*) AS n FROM processes WHERE pid = ?"
        if comes_back:
            filler.unlink()
            wait_until(lambda: query(recorded, fates[-1].pid, db=db) == [{"n": 1}], "writing doesn't go on")
        code, errors = recorder.end()
        assert (code, "no event was lost" in errors) == (0, True), errors
        for fate in fates:
            check(row_of(partial(query, db=db), fate), fate)
        [incident] = query("SELECT kind, detail, lost FROM incidents", db=db)
        assert (incident["kind"], incident["lost"]) == ("full", 0)
        assert "--keep-free" in incident["detail"]
        assert all(finding.problems == () for finding in verify(db))


def test_a_file_stays_within_its_size_under_load(
    start_recorder: Callable[..., Recorder], query: Callable[..., Any], tmp_path: Path
) -> None:
    """Twice the size is recorded: command lines of which no two are the same, as text and as bytes, 9 MB a second."""
    most, db = 64 << 20, tmp_path / "webpf.db"
    recorder = start_recorder("--max-size", "64MiB", "--rotate", "1s")
    fates, largest, begun = [], 0, time.monotonic()
    for number in range(2 * most // 60_000):
        time.sleep(max(0, begun + number / 150 - time.monotonic()))
        fates.append(run_program("/bin/true", f"{number} {os.urandom(14_990).hex()}"))
        largest = max(largest, sum(each.stat().st_size for each in (db, tmp_path / "webpf.db-wal") if each.exists()))
    code, errors = recorder.end()
    assert (code, "no event was lost" in errors) == (0, True), errors
    assert most // 2 < largest <= most
    assert query("PRAGMA foreign_key_check") == []
    assert all(finding.problems == () for finding in verify(db))
    [kept] = query("SELECT min(id) AS first, min(started_ns) AS since_ns, sum(lost) AS lost FROM recordings")
    deleted = query("SELECT until_ns FROM incidents WHERE kind = 'deleted'")
    assert kept["lost"] == 0
    assert kept["first"] > 2  # what deleted segments said of earlier ones went with them
    assert max(row["until_ns"] for row in deleted) <= kept["since_ns"]
    later = [fate for fate in fates if fate.before_ns > kept["since_ns"]]
    assert len(later) > 100
    latest = query(f"SELECT * FROM {chains.LATEST}")
    for fate in later:
        check(chains.row_of(latest, fate), fate)
