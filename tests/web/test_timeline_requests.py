"""What an open timeline asks of the server, in a real browser: one thing at a time, and less when answers are slow."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sites import Site, running
from slow import make_slow
from story import BUILD
from support import make_recording

STATE = "document.getElementById('wt-state').textContent"


class Requests:
    """The page's requests for data: how many, of what, and how many at a time."""

    def __init__(self, page: Any) -> None:
        self.paths: list[str] = []
        self.most = 0
        self._open: set[Any] = set()
        page.on("request", self._begin)
        page.on("requestfinished", self._end)
        page.on("requestfailed", self._end)

    def _begin(self, request: Any) -> None:
        if ".json" in request.url:
            self._open.add(request)
            self.paths.append(request.url.partition("?")[0].rpartition("/")[2])
            self.most = max(self.most, len(self._open))

    def _end(self, request: Any) -> None:
        self._open.discard(request)


def mark_as_going_on(db: Path) -> None:
    """As if this process recorded it."""
    start = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) * 10_000_000
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(
            "UPDATE recordings SET status = 'recording', ended_ns = NULL, updated_ns = started_ns + 1000000000,"
            " boot_id = ?, recorder_pid = ?, recorder_start_ns = ?",
            [boot, os.getpid(), start],
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A slow recording that goes on, and a quick one."""
    folder = tmp_path_factory.mktemp("requests")
    make_slow(folder / "slow.db")
    make_recording(folder / "webpf.db", BUILD)
    mark_as_going_on(folder / "slow.db")
    mark_as_going_on(folder / "webpf.db")
    with running("0.65", [folder / "slow.db", folder / "webpf.db"]) as site:
        yield site


@pytest.fixture
def page(chromium: Any, site: Site) -> Iterator[Any]:
    with closing(chromium.new_context(viewport={"width": 1280, "height": 800}, base_url=site.address)) as context:
        yield context.new_page()


def test_zooming_has_one_request_under_way(page: Any) -> None:
    """Whatever it was that the page had asked for before."""
    asked = Requests(page)
    page.goto("/-/webpf/timeline/slow/1")
    page.wait_for_selector('#webpf-timeline[data-ready="1"]')
    box = page.locator("#wt-main").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    for _ in range(30):
        page.mouse.wheel(0, -40)
        page.wait_for_timeout(30)
    address = "new URLSearchParams(location.search)"
    page.wait_for_function(f"{address}.get('to') - {address}.get('from') < 150")  # of 1000 ms: 1.0018 ** (30 * 40)
    page.wait_for_function(
        f"{STATE}.includes((({address}.get('to') - {address}.get('from'))).toFixed(3) + ' ms shown')"
    )
    assert asked.most == 1
    assert asked.paths.count("window.json") <= 31


def test_slow_answers_make_the_page_ask_less(page: Any) -> None:
    """Names take 10 s, and are then given up: it was asked again every 2 s, whether there was an answer or not."""
    asked = Requests(page)
    page.goto("/-/webpf/timeline/slow/1")
    page.wait_for_function(f"{STATE}.includes('names and users can\\'t be read: it took more than 10 s')")
    page.wait_for_timeout(12_000)
    assert asked.most == 1
    assert asked.paths.count("choices.json") == 1
    assert len(asked.paths) <= 5


def test_quick_answers_let_it_follow(page: Any) -> None:
    asked = Requests(page)
    page.goto("/-/webpf/timeline/webpf/1")
    page.wait_for_selector('#webpf-timeline[data-ready="1"]')
    page.wait_for_function(
        "performance.getEntriesByType('resource').filter((it) => it.name.includes('overview')).length >= 3"
    )
    assert asked.most == 1


@pytest.mark.parametrize("query", ["from=nan&to=1", "from=1", "from=x&to=y", "from=1e999&to=2", "from=&to="])
def test_an_address_without_a_stretch_shows_all(page: Any, query: str) -> None:
    page.goto(f"/-/webpf/timeline/webpf/1?{query}")
    page.wait_for_function(f"{STATE}.includes('1.000 s shown')")


def test_what_cannot_be_read_is_said(page: Any) -> None:
    """A filter by name takes minutes here; without it the picture is there again."""
    page.goto("/-/webpf/timeline/slow/1?comm=x")
    page.wait_for_function(f'{STATE} === "can\'t be read: it took more than 10 s and was cancelled"')
    page.select_option("#wt-comm", "")
    page.wait_for_function(f"{STATE}.includes('s shown')")
