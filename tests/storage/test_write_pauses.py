"""Writing pauses while an open reader keeps a large log, names its pid, and goes on when it has ended."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support import T0, held, recording_values, wait_until

from webpf.storage import write_pauses
from webpf.storage.recording_file import RecordingFile
from webpf.storage.write_queue import WriteQueue


def test_a_reader_that_keeps_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_pauses, "MOST_BYTES", 1 << 20)
    db, log = tmp_path / "webpf.db", tmp_path / "webpf.db-wal"
    file = RecordingFile(db)
    queue = WriteQueue(file, file.begin(recording_values()), lambda: T0)

    def write(numbers: range) -> None:
        for number in numbers:
            queue.write_cgroups({number: b"/" + b"x" * 10_000})

    with held(db, "BEGIN") as pid:
        write(range(300))
        wait_until(lambda: queue.current_incident is not None, "the log is small")
        size = log.stat().st_size
        assert 1 << 20 < size < 2 << 20
        incident = queue.current_incident
        assert incident is not None and incident.kind == "log" and f"kept by pid {pid} (" in incident.detail
        write(range(300, 310))
        assert log.stat().st_size == size
        assert f"kept by pid {pid} (" in incident.describe_begin(db)
    queue.await_idle()
    assert [incident.kind for incident in queue.take_ended_incidents()] == ["log"]
    assert queue.close()
    file.close()
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("SELECT count(*) FROM cgroup_paths").fetchone() == (310,)


def test_a_large_log_without_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_pauses, "MOST_BYTES", 100_000)
    file = RecordingFile(tmp_path / "webpf.db")
    writer = file.begin(recording_values())
    writer.write_cgroups({1: b"x" * 500_000})
    file.check_pauses()
    assert (tmp_path / "webpf.db-wal").stat().st_size == 0
    file.limit_log(40_960)
    for number in range(2, 100):
        writer.write_cgroups({number: b"x" * 5_000})
    assert (tmp_path / "webpf.db-wal").stat().st_size < 100_000
    file.close()
