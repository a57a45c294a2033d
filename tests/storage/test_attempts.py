"""When an incident begins and ends: with a real database whose pages are bounded, so SQLite itself says it is full."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from support import recording_values

from webpf.storage.attempts import Attempts
from webpf.storage.recording_file import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "webpf.db")
    store.begin(recording_values())
    store.db.execute("CREATE TABLE filling (text)")
    return store


def test_a_small_write_that_has_room_ends_no_incident(store: Store) -> None:
    """What failed still waits: a disk that takes the counts each second, but no batch, is full all the time."""
    pages = store.db.execute("PRAGMA page_count").fetchone()[0]

    def large() -> None:
        with store.writing(), store.db.atomic():
            store.db.execute("INSERT INTO filling VALUES (?)", ["x" * 100_000])

    def small() -> None:
        with store.writing(), store.db.atomic():
            store.db.execute("UPDATE recordings SET updated_ns = 1")

    ticks = count(10)
    attempts = Attempts(store, lambda: next(ticks))
    store.db.execute(f"PRAGMA max_page_count = {pages + 1}")
    assert not attempts.make(large, is_head=True)
    assert attempts.make(small, is_head=False)
    assert not attempts.make(large, is_head=True)
    assert attempts.take_incidents() == []
    assert attempts.trouble is not None and attempts.failure is not None
    store.db.execute(f"PRAGMA max_page_count = {pages + 1000}")
    assert attempts.make(large, is_head=True)
    [incident] = attempts.take_incidents()
    assert (incident.kind, incident.from_ns) == ("full", 10)
    assert incident.until_ns > 12
    assert attempts.trouble is None and attempts.failure is None
    store.close()


def test_a_small_write_that_failed_alone_ends_its_own(store: Store) -> None:
    ticks = count(10)
    attempts = Attempts(store, lambda: next(ticks))

    def fails() -> None:
        with store.writing():
            store.db.execute("ATTACH '/nowhere/at.all' AS other")

    assert not attempts.make(fails, is_head=True)
    assert attempts.make(lambda: None, is_head=True)
    assert [incident.kind for incident in attempts.take_incidents()] == ["failed"]
    store.close()
