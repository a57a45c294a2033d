"""The requests of an open timeline, in a real browser: one at a time, and fewer when answers are slow."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sites import Site, running
from slow import make_slow
from story import BUILD
from support import make_recording

STATE = "document.getElementById('wt-state').textContent"


class Requests:
    """Records the page's requests for data, and how many were open at the same time."""

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


def mark_as_in_progress(db: Path, seconds: int = 1) -> None:
    """Makes a recording look as if this process had been recording it for so long."""
    start = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) * 10_000_000
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(
            "UPDATE recordings SET status = 'recording', ended_ns = NULL, updated_ns = started_ns + ? * 1000000000,"
            " boot_id = ?, recorder_pid = ?, recorder_start_ns = ?",
            [seconds, boot, os.getpid(), start],
        )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A slow, a quick and a growing recording, all in progress."""
    folder = tmp_path_factory.mktemp("requests")
    files = [folder / f"{name}.db" for name in ("slow", "webpf", "growing")]
    make_slow(files[0])
    for file in files[1:]:
        make_recording(file, BUILD)
    for file in files:
        mark_as_in_progress(file)
    return files


@pytest.fixture(scope="module")
def site(files: list[Path]) -> Iterator[Site]:
    """A Datasette with these recordings."""
    with running("0.65", files) as site:
        yield site


@pytest.fixture
def page(chromium: Any, site: Site) -> Iterator[Any]:
    with closing(chromium.new_context(viewport={"width": 1280, "height": 800}, base_url=site.address)) as context:
        yield context.new_page()


def test_zooming_sends_one_request_at_a_time(page: Any) -> None:
    """A new request cancels the previous one."""
    requests = Requests(page)
    page.goto("/-/webpf/timeline/slow/1")
    page.wait_for_selector('#webpf-timeline[data-ready="1"]')
    box = page.locator("#wt-main").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 10)  # over the axis
    for _ in range(30):
        page.mouse.wheel(0, -40)
        page.wait_for_timeout(30)
    address = "new URLSearchParams(location.search)"
    page.wait_for_function(f"{address}.get('to') - {address}.get('from') < 150")  # of 1000 ms: 1.0018 ** (30 * 40)
    page.wait_for_function(
        f"{STATE}.includes((({address}.get('to') - {address}.get('from'))).toFixed(3) + ' ms shown')"
    )
    assert requests.most == 1
    assert requests.paths.count("window.json") <= 31


def test_slow_answers_reduce_requests(page: Any) -> None:
    """The request for names fails after 10 s. The page then pauses for four times as long, instead of 2 s."""
    requests = Requests(page)
    page.goto("/-/webpf/timeline/slow/1")
    page.wait_for_function(f"{STATE}.includes('names and users can\\'t be read: it took more than 10 s')")
    page.wait_for_timeout(12_000)
    assert requests.most == 1
    assert requests.paths.count("choices.json") == 1
    assert len(requests.paths) <= 5


def test_quick_answers_refresh_the_page(page: Any) -> None:
    requests = Requests(page)
    page.goto("/-/webpf/timeline/webpf/1")
    page.wait_for_selector('#webpf-timeline[data-ready="1"]')
    page.wait_for_function(
        "performance.getEntriesByType('resource').filter((it) => it.name.includes('overview')).length >= 3"
    )
    assert requests.most == 1


@pytest.mark.parametrize(
    ("query", "before", "after"), [("", 500, 1000), ("from=400&to=1000", 700, 1700), ("from=100&to=300", 200, 200)]
)
def test_a_view_goes_along_with_the_end_that_it_reaches(
    page: Any, files: list[Path], query: str, before: float, after: float
) -> None:
    """A recording of a second grows to two. before, after: the middle of the view in ms."""
    mark_as_in_progress(files[-1], seconds=1)
    middles: list[float] = []
    page.on("request", lambda request: middles.extend(middle_of(request.url)))

    def shows(seconds: int) -> Callable[[Any], bool]:
        return lambda it: "/overview.json" in it.url and it.json()["length_ms"] == seconds * 1000

    with page.expect_response(shows(1)):
        page.goto(f"/-/webpf/timeline/growing/1?{query}")
    mark_as_in_progress(files[-1], seconds=2)
    for _ in range(2):  # the first makes the page ask for what it shows then
        with page.expect_response(shows(2)):
            pass
    assert (middles[0], middles[-1]) == (before, after)


def middle_of(address: str) -> list[float]:
    """Returns the middle of the time in ms that a request asks for, if it asks for what is shown."""
    if "/window.json" not in address:
        return []
    values = parse_qs(urlsplit(address).query)
    return [(float(values["from"][0]) + float(values["to"][0])) / 2]


@pytest.mark.parametrize("query", ["from=nan&to=1", "from=1", "from=x&to=y", "from=1e999&to=2", "from=&to="])
def test_a_url_without_a_range_shows_all(page: Any, query: str) -> None:
    page.goto(f"/-/webpf/timeline/webpf/1?{query}")
    page.wait_for_function(f"{STATE}.includes('1.000 s shown')")


def test_errors_are_shown(page: Any) -> None:
    """A filter by name takes minutes here; without it, the page shows the processes again."""
    page.goto("/-/webpf/timeline/slow/1?comm=x")
    page.wait_for_function(f'{STATE} === "can\'t be read: it took more than 10 s and was cancelled"')
    page.select_option("#wt-comm", "")
    page.wait_for_function(f"{STATE}.includes('s shown')")
