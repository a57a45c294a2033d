"""Saved queries about how processes ended: the rows that they must return for the story in story.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from story import BUILD, picked, run
from support import at, exit_, fork, free, make_recording, recording_values, seen

from webpf.errors import NotFound
from webpf.model.event_source import Counts
from webpf.storage.recording_file import RecordingFile


def test_signals(built: Path) -> None:
    columns = "signal", "name", "comm", "processes", "core_dumped", "median_age_ms", "last_ns"
    assert picked(run(built, "signals"), *columns) == [
        (6, "ABRT", "python", 1, 0, 10.0, at(85)),
        (9, "KILL", "make", 1, 0, 103.0, at(190)),
        (11, "SEGV", "python", 1, 1, 10.0, at(80)),
        (15, "TERM", "daemon", 1, 0, 2250.0, at(250)),
    ]


def test_crashes(built: Path) -> None:
    """Without processes that KILL or TERM ended."""
    columns = "pid", "comm", "signal", "name", "core_dumped", "lifetime_ms", "parent", "max_rss_kib", "end_ns"
    assert picked(run(built, "crashes"), *columns) == [
        (105, "python", 6, "ABRT", 0, 10.0, "make", 9000, at(85)),
        (104, "python", 11, "SEGV", 1, 10.0, "make", 3000, at(80)),
    ]


def test_losses_of_a_complete_recording(built: Path) -> None:
    columns = "kind", "attempted", "written", "lost", "lost_percent", "verdict"
    assert picked(run(built, "losses"), *columns) == [
        ("fork", 13, 13, 0, 0.0, "complete"),
        ("exec", 9, 9, 0, 0.0, "complete"),
        ("exit", 11, 11, 0, 0.0, "complete"),
        ("free", 10, 10, 0, 0.0, "complete"),
    ]


def test_losses_of_a_recording_with_lost_events(tmp_path: Path) -> None:
    db = tmp_path / "lost.db"
    make_recording(db, BUILD[4:6], counts=Counts((5, 1, 0, 0), (4, 0, 0, 0)))
    assert picked(run(db, "losses"), "kind", "lost", "lost_percent", "verdict") == [
        ("fork", 4, 80.0, "lower bound: the buffer was full, a larger --buffer-mib helps"),
        ("exec", 0, 0.0, "complete"),
        ("exit", 0, None, "complete"),
        ("free", 0, None, "complete"),
    ]


def test_losses_of_an_interrupted_recording(tmp_path: Path) -> None:
    db = tmp_path / "broken.db"
    file = RecordingFile(db)
    file.begin(recording_values())
    assert {row["verdict"] for row in run(db, "losses")} == {"not known: it was interrupted"}
    file.mark_interrupted()
    file.close()
    assert {row["verdict"] for row in run(db, "losses")} == {"not known: it was interrupted"}


def second(db: Path) -> None:
    """Adds another recording: make is slower, gcc is gone, ld is new."""
    make_recording(
        db,
        [
            seen(50, -100, comm="gcc"),
            fork(101, 0, comm="make"),
            exit_(101, 0, 434, comm="make"),
            free(101, 0, 440, cpu_ms=18),
            exit_(102, 10, 20, 256, comm="ld"),
        ],
    )


def test_compare(built: Path) -> None:
    """Processes that started before their recording don't count."""
    second(built)
    columns = "comm", "verdict", "processes", "processes_before", "total_ms", "total_ms_before", "total_change"
    assert picked(run(built, "compare"), *columns) == [
        ("make", "both", 1, 3, 434.0, 217.0, 100.0),
        ("sh", "gone", 0, 1, None, 130.0, None),
        ("gcc", "gone", 0, 2, None, 50.0, None),
        ("python", "gone", 0, 2, None, 20.0, None),
        ("ld", "new", 1, 0, 10.0, None, None),
        ("tail", "gone", 0, 2, None, 10.0, None),
        ("init", "gone", 0, 2, None, None, None),
    ]
    make, *_ = run(built, "compare")
    assert (make["cpu_ms"], make["cpu_ms_before"], make["cpu_change"]) == (18.0, 9.0, 100.0)
    assert (make["max_rss_kib"], make["max_rss_kib_before"], make["failed"], make["failed_before"]) == (
        2000,
        2000,
        0,
        2,
    )


def test_compare_with_a_chosen_recording(built: Path) -> None:
    second(built)
    second(built)
    changes = {(row["verdict"], row["total_change"]) for row in run(built, "compare")}
    assert changes == {("both", 0.0)}
    assert run(built, "compare", against="2") == run(built, "compare")
    assert run(built, "compare", against="1")[0]["total_change"] == 100.0
    assert run(built, "compare", recording="1", against="2")[0]["total_change"] == -50.0


def test_compare_with_nothing(built: Path) -> None:
    assert run(built, "compare") == []
    with pytest.raises(NotFound, match="no recording 9"):
        run(built, "compare", against="9")
