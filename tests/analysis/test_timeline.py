"""The timeline's data: bars in lanes for the longest processes, counts for the others; and the pages that serve it."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sites import PYTHONS, Site, running
from story import BUILD
from support import fork, make_recording

from webpf.analysis import timeline
from webpf.analysis.timeline_view import View
from webpf.storage import reader

WHOLE = View(0, 1000, 1000, residents=True)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The story, and a recording without processes."""
    db = tmp_path / "webpf.db"
    make_recording(db, BUILD)
    make_recording(db, [])
    with closing(sqlite3.connect(db)) as connection:
        yield connection


def seen(connection: sqlite3.Connection, view: View, number: int = 1) -> dict[str, Any]:
    """Returns what a view shows of a recording."""
    (recording,) = reader.recordings(connection, number)
    return timeline.window(connection, recording, view)


def test_bars_of_the_whole_recording(connection: sqlite3.Connection) -> None:
    """Children are below their parents. A process whose end was lost has no bar, but is counted."""
    data = seen(connection, WHOLE)
    assert [(bar["lane"], bar["start_ms"], bar["end_ms"], bar["comm"], bar["outcome"]) for bar in data["bars"]] == [
        (0, -5000.0, 1000.0, "init", 3),
        (1, -2000.0, 250.0, "daemon", 2),
        (2, -1000.0, 1000.0, "server", 3),
        (3, 0.0, 130.0, "sh", 0),
        (4, 10.0, 120.0, "make", 1),
        (5, 20.0, 40.0, "gcc", 0),
        (5, 45.0, 75.0, "gcc", 1),
        (6, 70.0, 80.0, "python", 2),
        (5, 75.0, 85.0, "python", 2),
        (5, 86.0, 90.0, "make", 0),
        (6, 87.0, 190.0, "make", 2),
        (1, 300.0, 1000.0, "tail", 3),
        (3, 500.0, 510.0, "tail", 0),
    ]
    assert data["short"] == [(65, 4, 1), (67, 4, 1)]
    assert (data["columns"], data["lanes"], data["length_ms"], data["status"]) == (250, 7, 1000.0, "complete")
    make = data["bars"][4]
    assert (make["pid"], make["args"], make["exit_code"], make["cpu_ms"]) == (101, "/usr/bin/make", 2, 5.0)
    assert (make["user_ms"], make["system_ms"], make["read_bytes"], make["write_bytes"]) == (3.75, 1.25, 512, 4096)
    assert make["run_delay_ms"] == 11e-6
    assert [bar["title"] for bar in data["bars"][4:6]] == ["make", "gcc a.c"]


def test_what_is_less_than_a_pixel_is_counted_by_column_and_outcome(connection: sqlite3.Connection) -> None:
    """A pixel is 50 ms wide, and a column 200 ms."""
    data = seen(connection, View(0, 1000, 20, residents=True))
    assert [bar["pid"] for bar in data["bars"]] == [1, 30, 31, 100, 101, 107, 110]
    assert data["short"] == [(0, 0, 2), (0, 1, 1), (0, 2, 2), (1, 4, 2), (2, 0, 1)]


def test_columns_share_a_view_whose_width_they_do_not_divide(connection: sqlite3.Connection) -> None:
    """Three columns in 15 pixels: the second begins at 333 ms, and the lost ones, at 260 and 270 ms, are before it."""
    data = seen(connection, View(0, 1000, 15, residents=True))
    assert data["columns"] == 3
    assert data["short"] == [(0, 0, 2), (0, 1, 1), (0, 2, 2), (0, 4, 2), (1, 0, 1)]


def test_a_stretch_shows_what_overlaps_it(connection: sqlite3.Connection) -> None:
    data = seen(connection, View(100, 200, 1000, residents=True))
    assert [bar["pid"] for bar in data["bars"]] == [1, 30, 31, 100, 101, 107]
    assert seen(connection, View(2000, 3000, 1000))["bars"] == []


def test_what_ran_all_the_time_is_shown_when_asked(connection: sqlite3.Connection) -> None:
    assert [bar["pid"] for bar in seen(connection, View(600, 700, 100))["bars"]] == [110]
    (recording,) = reader.recordings(connection, 1)
    assert timeline.overview(connection, recording)["residents"] == 2


@pytest.mark.parametrize(
    ("view", "pids"),
    [
        (View(0, 1000, 1000, comm="gcc"), [102, 103]),
        (View(0, 1000, 1000, uid=33), [106, 107, 110, 102]),
        (View(0, 1000, 1000, outcome=2), [30, 104, 105, 107]),
        (View(0, 1000, 1000, comm="make", uid=33, outcome=0), [106]),
        (View(0, 1000, 1000, comm="' OR 1 --"), []),
    ],
)
def test_filters(connection: sqlite3.Connection, view: View, pids: list[int]) -> None:
    data = seen(connection, view)
    assert [bar["pid"] for bar in data["bars"]] == pids


def test_a_search_marks_bars_and_counts_what_has_none(connection: sqlite3.Connection) -> None:
    data = seen(connection, View(0, 1000, 50, search="GCC"))
    assert [(bar["pid"], bar["is_match"]) for bar in data["bars"] if bar["is_match"]] == [(102, 1), (103, 1)]
    assert data["matches"] == 2
    assert seen(connection, View(0, 1000, 5, search="a.c"))["matches"] == 2
    assert seen(connection, WHOLE)["matches"] is None


def test_the_overview(connection: sqlite3.Connection) -> None:
    (recording,) = reader.recordings(connection, 1)
    data = timeline.overview(connection, recording)
    assert (data["processes"], data["length_ms"], data["lost"], len(data["alive"])) == (15, 1000.0, 0, 1000)
    assert data["alive"][5] == 4.0


def test_what_the_filters_offer(connection: sqlite3.Connection) -> None:
    (recording,) = reader.recordings(connection, 1)
    data = timeline.choices(connection, recording)
    assert data["names"][0] == ("init", 3)
    assert data["users"] == [(1000, 8), (33, 4), (0, 3)]


def test_a_recording_without_processes(connection: sqlite3.Connection) -> None:
    (recording,) = reader.recordings(connection, 2)
    assert timeline.overview(connection, recording)["processes"] == 0
    data = seen(connection, WHOLE, number=2)
    assert (data["bars"], data["short"], data["lanes"]) == ([], [], 0)
    assert reader.recordings(connection, 3) == []


def test_not_all_bars_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the longest have bars; the others are counted as too short."""
    monkeypatch.setattr(timeline, "MOST_BARS", 10)
    db = tmp_path / "webpf.db"
    make_recording(db, [fork(100 + i, i) for i in range(30)], end_ms=100)
    with closing(sqlite3.connect(db)) as connection:
        data = seen(connection, View(0, 100, 1000))
        assert [bar["pid"] for bar in data["bars"]] == list(range(100, 110))
        assert sum(count for _, _, count in data["short"]) == 20


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 30), st.integers(0, 40)), max_size=60))
def test_lanes_never_overlap_and_children_are_below(lives: list[tuple[int, int, int]]) -> None:
    """lives: for each process its start, its length, and which of the earlier processes is its parent."""
    lives = sorted(lives)
    bars: list[dict[str, Any]] = [
        {
            "id": i,
            "parent_id": parent if parent < i else None,
            "start_ms": float(start),
            "end_ms": float(start + length),
        }
        for i, (start, length, parent) in enumerate(lives)
    ]
    lanes = timeline.assign_lanes(bars)
    assert lanes == (max(bar["lane"] for bar in bars) + 1 if bars else 0)
    for bar in bars:
        if bar["parent_id"] is not None:
            assert bar["lane"] > bars[bar["parent_id"]]["lane"]
    for one in bars:
        for other in bars[: one["id"]]:
            assert one["lane"] != other["lane"] or other["end_ms"] <= one["start_ms"]


DRAWN = """
make-------------------------
 sh1----------- sh3------
  gcc1--------   gcc3--
   cc1-- as1-     cc3-
  sh2-----------------
   gcc2-------------
    cc2---- as2-
"""
"""Two jobs of make at the same time, and a third one in the place of the first: lanes as one draws them by hand."""
PARENTS = {"sh": "make", "gcc": "sh", "cc": "gcc", "as": "gcc"}


def test_a_family_stays_together() -> None:
    bars: list[dict[str, Any]] = [
        {"id": (bar[1], bar[2]), "start_ms": float(bar.start()), "end_ms": float(bar.end()), "drawn": lane}
        for lane, line in enumerate(DRAWN.split("\n")[1:-1])
        for bar in re.finditer(r"([a-z]+)(\d?)-+", line)
    ]
    for bar in bars:
        name, job = bar["id"]
        bar["parent_id"] = (PARENTS.get(name), "" if name == "sh" else job)
    bars.sort(key=lambda bar: bar["start_ms"])
    assert timeline.assign_lanes(bars) == 7
    assert [(bar["id"], bar["lane"]) for bar in bars] == [(bar["id"], bar["drawn"]) for bar in bars]


@pytest.fixture(scope="module", params=sorted(PYTHONS))
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The story in each Datasette, under a name that addresses must encode; and another program's file."""
    folder = tmp_path_factory.mktemp("timeline")
    make_recording(folder / "my recordings.db", BUILD)
    with closing(sqlite3.connect(folder / "other.db")) as other:
        other.execute("CREATE TABLE recordings (id INTEGER PRIMARY KEY)")
    with running(request.param, [folder / "my recordings.db", folder / "other.db"]) as site:
        yield site


MINE = "/-/webpf/timeline/my+recordings"


def test_the_page_and_its_data(site: Site) -> None:
    status, page = site.get(f"{MINE}/1")
    assert status == 200
    assert 'data-path="/-/webpf/timeline/my' in page
    assert "Timeline of recording 1 in my recordings" in page
    status, text = site.get(f"{MINE}/1/window.json?from=0&to=1000&width=1000&residents=1")
    assert (status, len(json.loads(text)["bars"])) == (200, 13)
    status, text = site.get(f"{MINE}/1/overview.json")
    assert (status, json.loads(text)["processes"]) == (200, 15)
    status, text = site.get(f"{MINE}/1/choices.json")
    assert (status, json.loads(text)["users"]) == (200, [[1000, 8], [33, 4], [0, 3]])


@pytest.mark.parametrize(
    "path", [f"{MINE}/2", f"{MINE}/2/window.json", "/-/webpf/timeline/other/1", "/-/webpf/timeline/x/1"]
)
def test_what_is_not_there(site: Site, path: str) -> None:
    assert site.get(path)[0] == 404


@pytest.mark.parametrize("query", ["from=a", "width=1.5", "uid=root", "to=1e99", "from=nan"])
def test_what_is_no_number(site: Site, query: str) -> None:
    assert site.get(f"{MINE}/1/window.json?{query}")[0] == 400


def test_every_page_leads_to_it(site: Site) -> None:
    for path in ("/", "/my+recordings", "/my+recordings/processes"):
        assert f'href="{MINE}/1"' in site.get(path)[1]


def test_its_files_are_served(site: Site) -> None:
    for name in ("timeline.js", "timeline/view.js", "timeline.css"):
        assert site.get(f"/-/static-plugins/webpf/{name}")[0] == 200
