"""The pages' ES modules load without errors in both versions of Datasette, however they are served."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from proxies import proxy
from sites import PYTHONS, running
from static_modules import EVERYWHERE, with_imports
from story import BUILD
from support import make_recording
from visits import browsing

ADDRESS = "/-/static-plugins/webpf/"
# Content types that browsers accept for modules; they refuse others, such as text/plain.
JAVASCRIPT = {"text/javascript", "application/javascript", "application/x-javascript"}
SOURCE = "document.querySelector('head script[type=module]:last-of-type').src"
PREFIX = "/tools/x/"
# Names that must be escaped in URLs. Without webpf browse, Datasette can't open a file with % or ? in its name.
NAMES = {"datasette": "my ä+b&c;d.db", "browse": "my ä+b #50% of?.db"}


@contextmanager
def served(version: str, how: str, db: Path) -> Iterator[tuple[str, str]]:
    """Serves a file; yields the URL of the first page and the prefix of the URLs of static files.

    how: datasette; kept or stripped (behind a proxy that keeps or strips the prefix); browse.
    """
    if how == "browse":
        with browsing(db, "--no-open", version=version) as browse:
            yield browse.address, browse.site + ADDRESS
    elif how == "datasette":
        with running(version, [db]) as site:
            yield site.address, site.address + ADDRESS
    else:
        with (
            running(version, [db, "--setting", "base_url", PREFIX]) as site,
            proxy(site.address, PREFIX, strips=how == "stripped") as address,
        ):
            yield address + PREFIX, address + PREFIX.rstrip("/") + ADDRESS


class Loads:
    """The scripts that a page has loaded with their content types, and the problems that occurred."""

    def __init__(self, page: Any, static: str) -> None:
        self.types: dict[str, str] = {}
        self.problems: list[str] = []
        self._static = static
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("console", self._on_console)
        page.on("requestfailed", lambda it: self.problems.append(f"failed: {it.url}") if ".js" in it.url else None)
        page.on("response", self._on_response)

    def _on_console(self, message: Any) -> None:
        where = message.location["url"]
        if message.type in ("error", "warning") and not where.endswith("/favicon.ico"):  # requested outside of base_url
            self.problems.append(f"{message.text} ({where})")

    def _on_response(self, answer: Any) -> None:
        if answer.status >= 400:
            self.problems.append(f"{answer.status} {answer.url}")
        if answer.url.startswith(self._static) and answer.request.resource_type == "script":
            content_type = answer.headers.get("content-type", "").partition(";")[0]
            is_unchanged = answer.status == 304  # the browser uses the content type from its cache
            self.types[answer.url.removeprefix(self._static)] = "" if is_unchanged else content_type


@pytest.mark.parametrize("how", ["datasette", "kept", "stripped", "browse"])
@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_every_module_is_loaded(version: str, how: str, tmp_path: Path, chromium: Any) -> None:
    """On a first visit, and on a second one, when modules may come from the browser's cache."""
    db = tmp_path / NAMES.get(how, NAMES["datasette"])
    make_recording(db, BUILD)
    with (
        served(version, how, db) as (address, static),
        closing(chromium.new_context(viewport={"width": 1280, "height": 800})) as context,
    ):
        page = context.new_page()
        loads = Loads(page, static)
        page.goto(address)
        if how != "browse":  # its first page is the timeline
            page.click(".nav-menu-details summary, details.nav-menu summary")
            page.click("text=Timeline of my")
        for _ in range(2):
            page.wait_for_selector('#webpf-timeline[data-ready="1"]')
            page.wait_for_function("document.getElementById('wt-comm').options.length > 1")
            assert page.evaluate(SOURCE) == f"{static}timeline.js"
            assert set(loads.types) == with_imports("timeline.js") | EVERYWHERE
            assert set(loads.types.values()) <= JAVASCRIPT | {""}
            loads.types.clear()
            page.reload()
        assert loads.problems == []
