"""What a recorder's write queue says about the file while the disk is full: SQLite itself reports that it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import at, exec_, recording_values, wait_until

from webpf.model.event_source import Counts
from webpf.storage.command_ids import CommandIds
from webpf.storage.event_rows import make_event_rows
from webpf.storage.recording_file import RecordingFile
from webpf.storage.write_queue import WriteQueue

Query = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the recording file."""
    return tmp_path / "webpf.db"


def test_counts_that_overtake_a_batch_do_not_say_that_it_is_in_the_file(path: Path, query: Query) -> None:
    """The small write of the counts fits; updated_ns stays at what is there: a reader takes all before it for whole."""
    file = RecordingFile(path)
    queue = WriteQueue(file, file.begin(recording_values()), lambda: at(0))
    queue.await_idle()
    before = query("SELECT updated_ns FROM recordings")
    pages = file.db.execute("PRAGMA page_count").fetchone()[0]
    file.db.execute(f"PRAGMA max_page_count = {pages}")
    events = [exec_(101, 1, 2 + n, b"%d" % n * 4000) for n in range(100)]
    first_id = queue.reserve_ids(len(events))
    queue.write(make_event_rows(events, first_id, [first_id] * len(events), CommandIds()), [], at(500))
    wait_until(lambda: queue.current_incident is not None, "the batch fits")
    queue.write_counts(Counts(attempted=(0, 100, 0, 0)), at(600))
    wait_until(lambda: query("SELECT execs_attempted FROM recordings") == [{"execs_attempted": 100}], "no counts")
    assert query("SELECT updated_ns FROM recordings") == before
    file.db.execute(f"PRAGMA max_page_count = {pages + 1000}")
    queue.finish("complete", at(700))
    assert query("SELECT updated_ns, execs_written FROM recordings") == [{"updated_ns": at(700), "execs_written": 100}]
    assert query("SELECT count(*) AS n FROM programs") == [{"n": 100}]
    assert queue.close()
    file.close()
