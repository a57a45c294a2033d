"""What a recorder deletes while it records: segments of recorders before it, built by replay."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from fates import check, row_of, run_program
from story import parent_of_many
from support import MS, Recorder, make_recording, wait_until

from webpf.storage.verify import verify

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize(
    ("limit", "most_mib", "deleted"), [(("--keep", "7d"), 16, (1, 2, 3)), (("--max-size", "64MiB"), 64, (1,))]
)
def test_segments_of_recorders_before_it(
    limit: tuple[str, str],
    most_mib: int,
    deleted: tuple[int, ...],
    start_recorder: Callable[..., Recorder],
    query: Callable[..., Any],
    tmp_path: Any,
) -> None:
    """They end years ago, or are too large. What is recorded meanwhile is right; readers see whole transactions."""
    db = tmp_path / "webpf.db"
    for _ in range(3):
        make_recording(db, parent_of_many(3000), batch=5000)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE processes SET comm = printf('%.*c', 8192, 'x')")
        connection.execute("UPDATE recordings SET chain = 1, segment = id, started_ns = started_ns + id * ?", [MS])
    assert db.stat().st_size > 72 << 20
    recorder = start_recorder(*limit)
    fates = []

    def is_gone() -> bool:
        fates.append(run_program("/bin/true"))
        assert query("PRAGMA foreign_key_check") == []
        return bool(query("SELECT count(*) AS n FROM recordings") == [{"n": 4 - len(deleted)}])

    wait_until(is_gone, "they are still there")
    wait_until(lambda: db.stat().st_size < most_mib << 20, "the room didn't come back")
    assert recorder.end()[0] == 0
    details = [row["detail"] for row in query("SELECT detail FROM incidents WHERE kind = 'deleted' ORDER BY from_ns")]
    assert [detail.split(";")[0] for detail in details] == [f"{limit[0]}: recording {number}" for number in deleted]
    for fate in fates:
        check(row_of(query, fate), fate)
    [finding] = (each for each in verify(db) if each.recording is not None and each.recording.id == 4)
    assert finding.problems == ()
    assert query("SELECT lost, status FROM recordings WHERE id = 4") == [{"lost": 0, "status": "complete"}]
