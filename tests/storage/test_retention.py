"""Retention: the oldest segments go, whole, and no more than the limits ask for; the file says which limit it was."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from story import parent_of_many
from support import T0, make_recording, recording_values

from webpf.model.limits import Limits
from webpf.storage import deletion, retention
from webpf.storage.recording_file import RecordingFile
from webpf.storage.retention import Retention
from webpf.storage.verify import verify
from webpf.storage.write_pauses import NothingToDelete

HOUR = 3600 * 10**9
SEGMENTS = 6


class Recorder:
    """A chain of segments that have ended, an hour each, one that goes on, and a recording that is in no chain."""

    def __init__(self, db: Path) -> None:
        self.db = db
        for _ in range(SEGMENTS + 1):
            make_recording(db, parent_of_many(600), batch=500)
        with closing(sqlite3.connect(db)) as connection, connection:
            connection.execute(
                "UPDATE recordings SET chain = 1, segment = id, started_ns = started_ns + id, ended_ns = ?1 + id * ?2"
                " WHERE id <= ?3",
                [T0, HOUR, SEGMENTS],
            )
        self.file = RecordingFile(db)
        self.current = self.file.begin(recording_values() | {"chain": 1, "segment": SEGMENTS + 1})
        self.size = db.stat().st_size
        self.others = 1  # recordings of no chain

    def tidy(self, limits: Limits, now_ns: int = T0) -> Retention:
        """Lets a retention work until it has nothing more to do. After each slice, all references must be right."""
        kept = Retention(self.file, limits, lambda: now_ns, lambda: self.current.id)
        for _ in range(1000):
            kept._next_check = 0
            kept.tidy()
            assert self.query("PRAGMA foreign_key_check") == []
            if kept._work is None and kept._next_check:  # it looked, and found nothing
                return kept
        raise AssertionError("it has always something to do")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Reads as another process would."""
        with closing(sqlite3.connect(self.db)) as connection:
            return connection.execute(sql).fetchall()

    @property
    def left(self) -> list[int]:
        """The segments that are left."""
        return [number for (number,) in self.query("SELECT id FROM recordings WHERE chain = 1 ORDER BY id")]

    @property
    def deleted(self) -> list[tuple[str, str]]:
        """The options that deleted, with the recordings."""
        rows = self.query("SELECT detail FROM incidents WHERE kind = 'deleted' ORDER BY until_ns")
        return [(detail.split(":")[0], detail.split("recording ")[1].split(";")[0]) for (detail,) in rows]

    def close(self) -> None:
        """Ends the recording; all that is left must be right."""
        self.current.finish("interrupted", T0)
        self.file.close()
        found = [finding for finding in verify(self.db) if finding.chain is None]  # these segments are made up
        assert [problem for finding in found for problem in finding.problems] == []
        assert self.query("SELECT count(*) FROM recordings WHERE chain IS NULL") == [(self.others,)], "of no chain"


@pytest.fixture
def recorder(tmp_path: Path) -> Any:
    made = Recorder(tmp_path / "webpf.db")
    yield made
    made.close()


def test_without_reason_nothing_goes(recorder: Recorder) -> None:
    recorder.tidy(Limits(keep_seconds=7 * 3600, most_bytes=1 << 30, free_bytes=1), T0 + 2 * HOUR)
    assert recorder.left == [1, 2, 3, 4, 5, 6, 8] and recorder.deleted == []


def test_what_is_too_old_goes(recorder: Recorder) -> None:
    recorder.tidy(Limits(keep_seconds=3 * 3600), T0 + 6 * HOUR + 1)
    assert recorder.left == [4, 5, 6, 8]
    assert recorder.deleted == [("--keep", "1"), ("--keep", "2"), ("--keep", "3")]
    assert recorder.db.stat().st_size < 0.7 * recorder.size


def test_the_file_becomes_as_small_as_wanted(recorder: Recorder) -> None:
    most = round(recorder.size * 0.6)
    recorder.tidy(Limits(most_bytes=most))
    log = recorder.db.with_name("webpf.db-wal")
    assert recorder.db.stat().st_size + log.stat().st_size <= most
    assert recorder.left[-1] == 8 and recorder.left[0] in (4, 5), "no more than needed"
    assert {option for option, _ in recorder.deleted} == {"--max-size"}


def test_the_tightest_limit_wins(recorder: Recorder) -> None:
    recorder.tidy(Limits(keep_seconds=4 * 3600, most_bytes=round(recorder.size * 0.5)), T0 + 6 * HOUR + 1)
    assert recorder.deleted[:2] == [("--keep", "1"), ("--keep", "2")]
    assert recorder.deleted[-1][0] == "--max-size"


def test_the_segment_that_goes_on_stays(recorder: Recorder) -> None:
    """With nothing left to delete, a file may be larger than wanted; with too little free space, writing pauses."""
    kept = recorder.tidy(Limits(most_bytes=4096, free_share=1.0))
    assert recorder.left == [8]
    kept.check_room()
    kept = recorder.tidy(Limits(free_share=1.0))
    with pytest.raises(NothingToDelete, match="--keep-free"):
        kept.check_room()


def test_free_space(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts what the file really gave back: here, what is missing on the file system comes from two segments."""
    free, blocks = 10_000_000, recorder.db.stat().st_blocks

    def free_bytes(self: Retention) -> int:
        return free + (blocks - recorder.db.stat().st_blocks) * 512

    monkeypatch.setattr(Retention, "_free_bytes", free_bytes)
    one = recorder.size // (SEGMENTS + 1)
    recorder.tidy(Limits(free_bytes=free + one + one // 2))
    assert recorder.left == [3, 4, 5, 6, 8]
    assert {option for option, _ in recorder.deleted} == {"--keep-free"}


def test_a_reader_that_holds_the_file(recorder: Recorder) -> None:
    """What is deleted gives nothing back to the file system meanwhile, so no more is deleted for that."""
    with closing(sqlite3.connect(recorder.db)) as reader:
        reader.execute("BEGIN")
        count = reader.execute("SELECT count(*) FROM processes").fetchone()
        kept = recorder.tidy(Limits(free_share=1.0))
        assert recorder.left == [2, 3, 4, 5, 6, 8]
        assert reader.execute("SELECT count(*) FROM processes").fetchone() == count
        with pytest.raises(NothingToDelete):
            kept.check_room()


def test_a_deletion_that_was_begun_goes_on(recorder: Recorder) -> None:
    connection = recorder.file.connection
    steps = deletion.delete(connection, 1)
    for _ in range(4):
        next(steps)
    recorder.tidy(Limits(keep_seconds=1e6))
    assert recorder.left == [2, 3, 4, 5, 6, 8] and recorder.query("PRAGMA freelist_count") == [(0,)]


def test_chains_of_other_recorders(recorder: Recorder) -> None:
    """Those that have ended are deleted too, but nothing of one that goes on."""
    with closing(sqlite3.connect(recorder.db)) as connection, connection:
        connection.execute("UPDATE recordings SET chain = 2, segment = 1 WHERE id = 7")
        connection.execute("UPDATE recordings SET chain = 3, segment = 1 WHERE id = 6")
        connection.execute("UPDATE recordings SET chain = 3, segment = 2, status = 'recording' WHERE id = 5")
    recorder.tidy(Limits(keep_seconds=1), T0 + 9 * HOUR)
    assert recorder.query("SELECT id, chain FROM recordings") == [(5, 3), (6, 3), (8, 1)]
    recorder.others = 0
    with closing(sqlite3.connect(recorder.db)) as connection, connection:
        connection.execute("UPDATE recordings SET status = 'complete' WHERE id = 5")


def test_a_segment_that_is_full(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(most_bytes=recorder.size * 8)
    kept = Retention(recorder.file, limits, lambda: T0, lambda: recorder.current.id)
    kept.tidy()
    assert not kept.is_segment_full
    with recorder.file.db.atomic():
        recorder.file.db.execute("CREATE TABLE filling (text)")
        recorder.file.db.execute("INSERT INTO filling VALUES (?)", ["x" * (limits.segment_bytes or 0)])
    kept.tidy()
    assert kept.is_segment_full
    recorder.file.db.execute("DROP TABLE filling")


def test_it_works_for_a_moment_at_a_time(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_SLICE_SECONDS", 0.0001)
    monkeypatch.setattr(deletion, "STEP", 200)
    kept = Retention(recorder.file, Limits(keep_seconds=1), lambda: T0 + 9 * HOUR, lambda: recorder.current.id)
    slices = 0
    while recorder.left != [8]:
        kept.tidy()
        kept._next_check = 0
        slices += 1
        with recorder.file.db.atomic():
            recorder.file.db.execute("UPDATE recordings SET updated_ns = updated_ns + 1 WHERE id = 8")
    assert slices > 50
    recorder.tidy(Limits(keep_seconds=1), T0 + 9 * HOUR)
