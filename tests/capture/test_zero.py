"""Where times count from: in the recording of a command, time 0 is the start of the command in every output."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from story import run
from support import at, exec_, exit_, fork, free, make_recording, seen

from webpf.analysis import process_tree, timeline
from webpf.analysis.timeline_view import View
from webpf.storage import reader

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
RECORDER = 50


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A machine, recorded with --all from 0 to 1000 ms; the command begins at 700 ms, and its child at 800."""
    db = tmp_path / "webpf.db"
    make_recording(
        db,
        [
            seen(1, -5000, ppid=0),
            fork(80, 100, parent_ms=-5000),
            fork(81, 200, parent_ms=-5000),
            exit_(81, 200, 300),
            fork(100, 700, ppid=RECORDER),
            exec_(100, 700, 701, b"make\0", "make"),
            exit_(80, 100, 750, ppid=1),
            fork(101, 800, ppid=100, parent_ms=700),
            exec_(101, 800, 801, b"cc\0a.c\0", "cc"),
            exit_(101, 800, 900, ppid=100, comm="cc"),
            free(101, 800, 901),
            exit_(100, 700, 950, ppid=RECORDER, comm="make"),
        ],
    )
    with closing(sqlite3.connect(db)) as connection, connection:
        options = json.dumps({"of": "command", "all": True})
        connection.execute("UPDATE recordings SET options = ?, recorder_pid = ?", [options, RECORDER])
    return db


def shown(db: Path, view: View) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the overview and the window of the timeline."""
    with closing(sqlite3.connect(db)) as connection:
        (recording,) = reader.recordings(connection, 1)
        return timeline.overview(connection, recording), timeline.window(connection, recording, view)


def test_the_timeline_begins_with_the_command(db: Path) -> None:
    overview, window = shown(db, View(0, 300, 1000, residents=True))
    assert (overview["length_ms"], overview["lead_ms"], window["length_ms"]) == (300.0, 700.0, 300.0)
    assert [(bar["pid"], bar["start_ms"], bar["end_ms"]) for bar in window["bars"]] == [
        (1, -5700.0, 300.0),
        (80, -600.0, 50.0),
        (100, 0.0, 250.0),
        (101, 100.0, 200.0),
    ]
    # In each step of 0.3 ms: init and make; before 50 ms also process 80, from 100 to 200 ms also the child.
    alive_at = {ms: overview["alive"][round(ms / 0.3)] for ms in (0.9, 30, 60, 150, 270)}
    assert alive_at == {0.9: 3, 30: 3, 60: 2, 150: 3, 270: 1}


def test_the_time_before_the_command_can_be_shown(db: Path) -> None:
    _, window = shown(db, View(-700, 0, 1000))
    assert {bar["pid"]: bar["start_ms"] for bar in window["bars"]} == {80: -600.0, 81: -500.0, 100: 0.0}


def test_queries_and_report_count_from_there_too(db: Path, webpf: Webpf) -> None:
    bars = {row["pid"]: row["start_ms"] for row in run(db, "timeline")}
    assert bars == {1: -5700.0, 80: -600.0, 100: 0.0, 101: 100.0}
    assert list(bars) == [1, 80, 100, 101]
    steps = run(db, "concurrency", steps="3")
    assert [(row["time_ns"], row["seconds"], row["alive"], row["starts"], row["ends"]) for row in steps] == [
        (at(700), 0.0, 2, 1, 1),
        (at(800), 0.1, 2, 1, 0),
        (at(900), 0.2, 3, 0, 2),
    ]
    assert "   100.00 ms  from 100.00 ms on: cc a.c" in webpf("report").stdout.splitlines()


@pytest.mark.parametrize("options", ["{}", "no JSON", '{"of": "machine"}'])
def test_without_a_command_time_0_is_the_start_of_the_recording(db: Path, options: str) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE recordings SET options = ?", [options])
    assert run(db, "concurrency")[0]["time_ns"] == at(0)
    assert {row["pid"]: row["start_ms"] for row in run(db, "timeline")}[101] == 800.0


# Prints the ms between its own start and the start of its child, from /proc (in ticks of 10 ms).
SCRIPT = """
import subprocess, time
def start(pid):
    return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[19])
time.sleep(0.2)
child = subprocess.Popen(["/bin/sleep", "0.3"])
print((start(child.pid) - start("self")) * 10)
child.wait()
"""


@pytest.mark.kernel
@pytest.mark.parametrize("option", ["--own-cgroup", "--all", None])
def test_against_proc(option: str | None, tmp_path: Path, webpf: Webpf) -> None:
    arguments = [option] if option else []
    recorded = webpf("record", *arguments, "--", sys.executable, "-c", SCRIPT)
    assert recorded.returncode == 0, recorded.stderr
    after_ms = int(recorded.stdout)
    with closing(sqlite3.connect(tmp_path / "webpf.db")) as connection:
        (recording,) = reader.recordings(connection, 1)
        command = process_tree.command_id(connection, recording)
        window = timeline.window(connection, recording, View(0, 2000, 2000))
        bars = {bar["id"]: bar for bar in window["bars"]}
        (child,) = (bar for bar in bars.values() if bar["title"] == "sleep 0.3" and bar["parent_id"] == command)
        assert command is not None
        assert bars[command]["start_ms"] == 0
        assert abs(child["start_ms"] - after_ms) <= 20
    (line,) = (line for line in webpf("report").stdout.splitlines() if line.endswith(" on: sleep 0.3"))
    assert abs(float(line.partition("from ")[2].split()[0]) - after_ms) <= 20
