"""Every kind of page, in light and dark, in both Datasettes: axe-core finds nothing, and a phone's width suffices."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from sites import PYTHONS, Site, running
from story import BUILD
from support import make_recording

PAGES = {
    "/": "h2",
    "/webpf": "#webpf-story[data-ready]",
    "/webpf/rate": "#webpf-query[data-ready]",
    "/webpf/failures?_comm=gcc": "table.rows-and-columns",
    "/webpf/processes?_facet=comm": "table.rows-and-columns",
    "/webpf/processes/7": "table.rows-and-columns",
    "/webpf/nothing": "h1",
    "/-/webpf/timeline/webpf/1": '#webpf-timeline[data-ready="1"]',
}
"""Paths, each with a selector of what is there when the page is complete."""
CHECK = """axe.run({selectors: false, resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21aa"]})"""


@pytest.fixture(scope="module", params=sorted(PYTHONS))
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The story in each Datasette."""
    db: Path = tmp_path_factory.mktemp("axe") / "webpf.db"
    make_recording(db, BUILD)
    with running(request.param, [db]) as site:
        yield site


@pytest.mark.parametrize("kind", [("light", 1280), ("dark", 1280), ("dark", 390)], ids=str)
def test_axe_finds_nothing(chromium: Any, site: Site, kind: tuple[str, int]) -> None:
    """On a phone, tables become lists, with colours of their own."""
    scheme, width = kind
    pytest.importorskip("axe_playwright_python", reason="axe-core isn't installed")
    script = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    page = chromium.new_context(
        base_url=site.address, color_scheme=scheme, viewport={"width": width, "height": 844}
    ).new_page()
    found = []
    for path, complete in PAGES.items():
        page.goto(path)
        page.wait_for_selector(complete)
        page.wait_for_load_state("load")
        page.evaluate(script)
        for violation in page.evaluate(CHECK)["violations"]:
            found.append((path, violation["id"], [node["html"][:200] for node in violation["nodes"]][:3]))
    page.context.close()
    assert found == []


def test_dark_pages_are_dark_and_light_ones_light(chromium: Any, site: Site) -> None:
    """Also those of Datasette, which has no dark colours of its own."""
    lightness = "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).slice(0, 3).map(Number)"
    for scheme, is_dark in (("light", False), ("dark", True)):
        page = chromium.new_context(base_url=site.address, color_scheme=scheme).new_page()
        for path in PAGES:
            page.goto(path)
            assert all((part < 64) == is_dark for part in page.evaluate(lightness)), path
        page.context.close()


def test_pages_fit_the_width_of_a_phone(chromium: Any, site: Site) -> None:
    """Only tables scroll sideways, and within themselves."""
    page = chromium.new_context(
        base_url=site.address, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True
    ).new_page()
    for path, complete in PAGES.items():
        page.goto(path)
        page.wait_for_selector(complete)
        assert page.evaluate("document.documentElement.scrollWidth <= 390"), path
    page.context.close()
