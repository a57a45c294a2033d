"""Datasette behind a proxy with base_url: every page with its files, links and data works, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from proxies import proxy
from sites import PYTHONS, running
from story import BUILD
from support import make_recording

PREFIX = "/tools/x/"


@pytest.fixture(scope="module", params=[(version, strips) for version in sorted(PYTHONS) for strips in (False, True)])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The story in each Datasette, behind a proxy that keeps the prefix, and behind one that strips it."""
    version, strips = request.param
    db = tmp_path_factory.mktemp("prefix") / "my builds.db"
    make_recording(db, BUILD)
    with (
        running(version, [db, "--setting", "base_url", PREFIX]) as datasette,
        proxy(datasette.address, PREFIX, strips) as address,
    ):
        yield address


@pytest.fixture
def page(chromium: Any, site: str) -> Iterator[Any]:
    """A page; at the end of the test, it must have had no script error and no failed request."""
    problems: list[str] = []
    with closing(chromium.new_context(viewport={"width": 1280, "height": 800}, base_url=site)) as context:
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("response", lambda it: problems.append(f"{it.status} {it.url}") if it.status >= 400 else None)
        yield page
    assert problems == []


def test_navigation_from_the_menu_to_a_process(page: Any) -> None:
    page.goto(PREFIX)
    page.click(".nav-menu-details summary, details.nav-menu summary")
    page.click("text=Timeline of my builds")
    page.wait_for_selector('#webpf-timeline[data-ready="1"]')
    page.wait_for_function("document.getElementById('wt-comm').options.length > 1")
    page.click("#wt-residents")
    page.wait_for_function("document.getElementById('wt-state').textContent.includes('13 bars')")
    box = page.locator("#wt-main").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.02, box["y"] + 22 + 46 + 6 + 3 * 18 + 8)
    page.click("#wt-pane >> text=row")
    page.wait_for_url(f"**{PREFIX}my*builds/processes/5")
    page.click("css=td a >> text=100")
    page.wait_for_url("**/tree?id=*")


def test_the_table_has_the_style_sheet(page: Any) -> None:
    page.goto(f"{PREFIX}my+builds/processes")
    shown = page.evaluate("getComputedStyle(document.querySelector('dl.column-descriptions')).display")
    assert shown == "grid"


def test_perfetto(page: Any) -> None:
    pytest.importorskip("perfetto", reason="the extra webpf[perfetto] isn't installed")
    page.goto(f"{PREFIX}-/webpf/timeline/my+builds/1")
    page.wait_for_selector('#webpf-timeline[data-ready="1"]')
    page.click("text=Open in Perfetto")
    page.wait_for_function("() => document.getElementById('wp-state').textContent.startsWith('a trace of')")
    page.frames[1].wait_for_function("() => window.app && app.trace", timeout=60_000)
    page.click("text=Timeline")
    page.wait_for_selector('#webpf-timeline[data-ready="1"]')
