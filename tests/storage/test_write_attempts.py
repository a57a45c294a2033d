"""When an incident begins and ends, with a real database of limited size: SQLite itself reports that it is full."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from support import recording_values

from webpf.storage.recording_file import RecordingFile
from webpf.storage.write_attempts import WriteAttempts


@pytest.fixture
def file(tmp_path: Path) -> RecordingFile:
    file = RecordingFile(tmp_path / "webpf.db")
    file.begin(recording_values())
    file.db.execute("CREATE TABLE filling (text)")
    return file


def test_an_incident_goes_on_while_only_small_writes_succeed(file: RecordingFile) -> None:
    """The failed write is still waiting. A disk with room for the counts, but for no batch, is full all the time."""
    pages = file.db.execute("PRAGMA page_count").fetchone()[0]

    def large() -> None:
        with file.writing(), file.db.atomic():
            file.db.execute("INSERT INTO filling VALUES (?)", ["x" * 100_000])

    def small() -> None:
        with file.writing(), file.db.atomic():
            file.db.execute("UPDATE recordings SET updated_ns = 1")

    ticks = count(10)
    attempts = WriteAttempts(file, lambda: next(ticks))
    file.db.execute(f"PRAGMA max_page_count = {pages + 1}")
    assert not attempts.run(large, is_first=True)
    assert attempts.run(small, is_first=False)
    assert not attempts.run(large, is_first=True)
    assert attempts.take_ended_incidents() == []
    assert attempts.current_incident is not None and attempts.failure is not None
    file.db.execute(f"PRAGMA max_page_count = {pages + 1000}")
    assert attempts.run(large, is_first=True)
    [incident] = attempts.take_ended_incidents()
    assert (incident.kind, incident.from_ns) == ("full", 10)
    assert incident.until_ns > 12
    assert attempts.current_incident is None and attempts.failure is None
    file.close()


def test_an_incident_ends_when_the_only_failed_write_succeeds(file: RecordingFile) -> None:
    ticks = count(10)
    attempts = WriteAttempts(file, lambda: next(ticks))

    def fails() -> None:
        with file.writing():
            file.db.execute("ATTACH '/nowhere/at.all' AS other")

    assert not attempts.run(fails, is_first=True)
    assert attempts.run(lambda: None, is_first=True)
    assert [incident.kind for incident in attempts.take_ended_incidents()] == ["failed"]
    file.close()
