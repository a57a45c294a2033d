"""`webpf top`: its keys, driven by Textual's pilot, over a recording that goes on; and what it refuses."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support import exec_, exit_, fork, free, make_recording, seen

from webpf.analysis.follow import Follower
from webpf.model import moments
from webpf.model.events import Event
from webpf.model.scope import Scope

pytest.importorskip("textual", reason="no textual")

from textual.widgets import DataTable, Input, Static

from webpf.cli.top_app import TopApp

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
DEADLINE_SECONDS = 30.0


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A recording that has ended: 5 shells, of which 2 failed, and a make; a daemon is alive."""
    events: list[Event] = [seen(30, -2000, comm="daemon")]
    for number in range(5):
        pid, ms = 100 + number, 100 * number
        status = 256 if number < 2 else 0
        events += [fork(pid, ms), exec_(pid, ms, ms + 1, b"/bin/sh\0", "sh"), exit_(pid, ms, ms + 10, status, "sh")]
        events += [free(pid, ms, ms + 11, cpu_ms=2)]
    events += [fork(200, 0), exec_(200, 0, 1, b"make\0", "make")._replace(uid=7), exit_(200, 0, 900, 0, "make")]
    events += [free(200, 0, 901, cpu_ms=500)]
    make_recording(tmp_path / "webpf.db", events, end_ms=1000)
    return tmp_path / "webpf.db"


def app_of(db: Path) -> TopApp:
    """Returns the app that shows all of a recording."""
    return TopApp(Follower(db, scope=Scope(since=moments.parse("--since", "2000-01-01"))), lambda uid: f"user {uid}")


def drive(app: TopApp, steps: Callable[[Any], Awaitable[None]], size: tuple[int, int] = (80, 24)) -> None:
    """Runs the app and takes steps with its pilot."""

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            end = time.monotonic() + DEADLINE_SECONDS
            while not app.activity.now_ns or not app.query_one(DataTable).row_count:
                assert time.monotonic() < end, "nothing is shown"
                await pilot.pause(0.02)
            await steps(pilot)

    asyncio.run(run())


def names(app: TopApp) -> list[str]:
    """Returns the first column."""
    table = app.query_one(DataTable)
    return [str(table.get_row_at(at)[0]) for at in range(table.row_count)]


def cells(app: TopApp, name: str) -> list[str]:
    """Returns a row."""
    return [str(cell) for cell in app.query_one(DataTable).get_row_at(names(app).index(name))]


def line(app: TopApp, widget: str) -> str:
    """Returns the text of a line."""
    return str(app.query_one(widget, Static).render())


def test_numbers_and_keys(db: Path) -> None:
    app = app_of(db)

    async def steps(pilot: Any) -> None:
        # What starts is unknown: the recording had ended when it was first read.
        assert cells(app, "sh")[2:7] == ["0", "5", "2", "10.00 ms", "1.95 MiB"]
        assert cells(app, "daemon")[2:4] == ["1", "0"]
        assert "no event was lost; recording 1 has ended" in line(app, "#losses")
        await pilot.press("s", "s")  # by those that ended
        assert app.sorted_by == "ended" and names(app)[0] == "sh"
        await pilot.press("s", "s")  # by CPU time
        assert names(app)[0] == "make"
        await pilot.press("r")
        assert names(app)[-1] == "make"
        await pilot.press("u")
        assert sorted(names(app)) == ["user 0", "user 1000", "user 7"] and "by user" in line(app, "#about")
        await pilot.press("n")
        assert names(app) == ["-"]
        await pilot.press("d", "c", "w")
        assert app.window_seconds == 600
        await pilot.press("slash", *"MAK", "enter")
        assert names(app) == ["make"] and not app.query_one(Input).display
        await pilot.press("escape")
        assert len(names(app)) == 3
        await pilot.press("p")
        assert "PAUSED" in line(app, "#about")
        await pilot.press("q")

    drive(app, steps)


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
def test_it_fits_the_terminal(size: tuple[int, int], db: Path) -> None:
    app = app_of(db)

    async def steps(pilot: Any) -> None:
        table = app.query_one(DataTable)
        end = time.monotonic() + DEADLINE_SECONDS
        while not table.virtual_size.width and time.monotonic() < end:
            await pilot.pause(0.02)
        assert table.virtual_size.width <= size[0] - 2
        assert table.virtual_size.width >= size[0] - 4, "the name takes the rest"
        assert not table.show_horizontal_scrollbar

    drive(app, steps, size)


def test_losses_are_red(db: Path) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE recordings SET exits_lost = 7")
    app = app_of(db)

    async def steps(pilot: Any) -> None:
        assert line(app, "#losses").startswith("LOST 7 events: all numbers are a lower bound")

    drive(app, steps)


def test_it_needs_a_terminal(db: Path, webpf: Webpf) -> None:
    ended = webpf("top")
    assert (ended.returncode, ended.stdout) == (64, "")
    assert ended.stderr.startswith("webpf: top needs a terminal; try: ")
