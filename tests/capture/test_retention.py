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


@pytest.mark.parametrize("limit", [("--keep", "7d"), ("--max-size", "1MiB")])
def test_segments_of_recorders_before_it(
    limit: tuple[str, str], start_recorder: Callable[..., Recorder], query: Callable[..., Any], tmp_path: Any
) -> None:
    """They end years ago, or are too large. What is recorded meanwhile is right; readers see whole transactions."""
    db = tmp_path / "webpf.db"
    for _ in range(3):
        make_recording(db, parent_of_many(3000), batch=5000)
    size = db.stat().st_size
    assert size > 3 << 20
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE recordings SET chain = 1, segment = id, started_ns = started_ns + id * ?", [MS])
    recorder = start_recorder(*limit)
    fates = []

    def is_gone() -> bool:
        fates.append(run_program("/bin/true"))
        assert query("PRAGMA foreign_key_check") == []
        return bool(query("SELECT count(*) AS n FROM recordings") == [{"n": 1}])

    wait_until(is_gone, "they are still there")
    wait_until(lambda: db.stat().st_size < size // 3, "the room didn't come back")
    assert recorder.end()[0] == 0
    details = [row["detail"] for row in query("SELECT detail FROM incidents WHERE kind = 'deleted' ORDER BY from_ns")]
    assert [detail.split(";")[0] for detail in details] == [f"{limit[0]}: recording {number}" for number in (1, 2, 3)]
    for fate in fates:
        check(row_of(query, fate), fate)
    assert all(finding.problems == () for finding in verify(db))
    assert query("SELECT lost, status FROM recordings") == [{"lost": 0, "status": "complete"}]
