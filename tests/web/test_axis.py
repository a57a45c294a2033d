"""The axis of the timeline in a real browser, in zones whose clocks are put forward or back, compared with zoneinfo."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sites import STATIC

SITE = "http://static.test"
DRAW = """async ([begin, zone, offset, from, to, width]) => {
  const { drawAxis } = await import(SITE + "/timeline/axis.js");
  const { Clock } = await import(SITE + "/timeline/clock.js");
  const found = [], nothing = () => {}, at = [];
  const context = { beginPath: nothing, moveTo: nothing, lineTo: nothing, stroke: nothing };
  context.fillText = (text) => found.push([at.pop(), text]);
  const view = { from, to, span: to - from, x: (ms) => (at.push(ms), ((ms - from) / (to - from)) * width) };
  drawAxis(context, view, width, 100, { colours: {}, clock: new Clock(begin, zone, offset) });
  return found;
}""".replace("SITE", f'"{SITE}"')
DAY_MS = 86_400_000
# UTC dates on which clocks are put back, forward, back, forward by half an hour, and never.
ZONES = {
    "Europe/Berlin": "2026-10-25",
    "Europe/London": "2026-03-29",
    "America/New_York": "2026-11-01",
    "Australia/Lord_Howe": "2026-10-03",
    "Asia/Kathmandu": "2026-10-25",
}


@pytest.fixture(scope="module")
def page(chromium: Any) -> Iterator[Any]:
    """An empty page of a site that has the plugin's static files."""
    context = chromium.new_context()
    page = context.new_page()
    page.route(f"{SITE}/**", lambda route: route.fulfill(path=STATIC / route.request.url.removeprefix(f"{SITE}/")))
    page.route(f"{SITE}/", lambda route: route.fulfill(body="", content_type="text/html"))
    page.goto(f"{SITE}/")
    yield page
    context.close()


@pytest.mark.parametrize(("days", "width"), [(2, 1500), (4, 700), (4, 500), (12, 1100), (40, 900), (1, 2500)])
@pytest.mark.parametrize("name", ZONES)
def test_lines_stand_at_round_local_times(page: Any, name: str, days: float, width: int) -> None:
    zone = ZoneInfo(name)
    changes = datetime.fromisoformat(ZONES[name]).replace(tzinfo=timezone.utc) + timedelta(hours=1)
    begin = changes - timedelta(days=days / 2, minutes=17)
    offset = begin.astimezone(zone).utcoffset()
    assert offset is not None
    begin_ms = begin.timestamp() * 1000
    lines = page.evaluate(DRAW, [begin_ms, name, offset.total_seconds(), 0, days * DAY_MS, width])
    times = [datetime.fromtimestamp((begin_ms + ms) / 1000, zone) for ms, _ in lines]
    steps = {later.replace(tzinfo=None) - before.replace(tzinfo=None) for before, later in pairwise(times)}
    step = min(steps - {timedelta()})
    # A clock that is put back shows an hour twice, and one that is put forward leaves one out.
    assert len(times) > 3 and steps <= ({step} if step > timedelta(hours=1) else {step, timedelta(), 2 * step})
    midnight = datetime(2026, 1, 1)
    if step >= timedelta(days=1):
        assert [text for _, text in lines] == [f"{time:%Y-%m-%d}" for time in times]
        assert all(time.hour == time.minute == time.second == 0 for time in times)
    else:
        assert [text for _, text in lines] == [f"{time:%H:%M:%S}" for time in times]
        assert all((time.replace(tzinfo=None) - midnight) % step == timedelta() for time in times)
