"""The pages' ES modules: both Datasettes' pages load each without an error, a page needs each, and each is small."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from proxies import proxy
from sites import PYTHONS, running
from story import BUILD
from support import PROJECT, make_recording
from visits import browsing

STATIC = PROJECT / "recorder" / "web" / "plugin" / "static"
TEMPLATES = PROJECT / "recorder" / "web" / "plugin" / "templates"
MODULES = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.js"))
ADDRESS = "/-/static-plugins/webpf/"
# What the HTML standard takes for a module; anything else, such as text/plain, is refused.
JAVASCRIPT = {"text/javascript", "application/javascript", "application/x-javascript"}
IMPORT = re.compile(r"""^import\b[^;"']*["']([^"']+)["']""", re.MULTILINE)
PREFIX = "/tools/x/"
# Names that must be escaped in addresses; Datasette by itself opens no file with a % or ? in its name.
NAMES = {"datasette": "my ä+b&c;d.db", "browse": "my ä+b #50% of?.db"}


def imports(module: str) -> list[str]:
    """What a module imports, as paths below static/. Imports by anything but a relative path fail."""
    found = IMPORT.findall((STATIC / module).read_text(encoding="utf-8"))
    assert all(name.startswith(("./", "../")) for name in found), found
    return [(STATIC / module).parent.joinpath(name).resolve().relative_to(STATIC).as_posix() for name in found]


def reached(entry: str) -> set[str]:
    """A module and all that it needs."""
    found, rest = set[str](), [entry]
    while rest:
        module = rest.pop()
        if module not in found:
            found.add(module)
            rest.extend(imports(module))
    return found


def entries() -> set[str]:
    """The modules that the pages name."""
    pages = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*.html"))
    return set(re.findall(r"""<script type="module" src="{{ urls.static_plugins\('webpf', '([^']+)'\) }}">""", pages))


def test_each_module_is_needed_by_a_page() -> None:
    assert entries() == {"timeline.js", "perfetto.js"}
    assert set().union(*(reached(entry) for entry in entries())) == set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_no_circles_and_stay_small(module: str) -> None:
    assert all(module not in reached(name) for name in imports(module))
    lines = (STATIC / module).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 120
    assert lines[0].startswith("// "), "the first line says what the module does"


@contextmanager
def served(version: str, how: str, db: Path) -> Iterator[tuple[str, str]]:
    """The first address, and what the addresses of static files begin with. how: datasette, kept, stripped, browse."""
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
    """What a page has loaded: scripts and their content types; and what went wrong."""

    def __init__(self, page: Any, static: str) -> None:
        self.types: dict[str, str] = {}
        self.wrong: list[str] = []
        self._static = static
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("console", self._hear)
        page.on("requestfailed", lambda it: self.wrong.append(f"failed: {it.url}") if ".js" in it.url else None)
        page.on("response", self._take)

    def _hear(self, message: Any) -> None:
        where = message.location["url"]
        if message.type in ("error", "warning") and not where.endswith("/favicon.ico"):  # asked for outside of base_url
            self.wrong.append(f"{message.text} ({where})")

    def _take(self, answer: Any) -> None:
        if answer.status >= 400:
            self.wrong.append(f"{answer.status} {answer.url}")
        if answer.url.startswith(self._static) and answer.request.resource_type == "script":
            content_type = answer.headers.get("content-type", "").partition(";")[0]
            is_unchanged = answer.status == 304  # the browser then keeps the type that it knows
            self.types[answer.url.removeprefix(self._static)] = "" if is_unchanged else content_type


@pytest.mark.parametrize("how", ["datasette", "kept", "stripped", "browse"])
@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_every_module_is_loaded(version: str, how: str, tmp_path: Path, chromium: Any) -> None:
    """By a first visit, and by a second, when the browser may have it in its cache."""
    db = tmp_path / NAMES.get(how, NAMES["datasette"])
    make_recording(db, BUILD)
    with (
        served(version, how, db) as (address, static),
        closing(chromium.new_context(viewport={"width": 1280, "height": 800})) as context,
    ):
        page = context.new_page()
        loads = Loads(page, static)
        page.goto(address)
        if how != "browse":  # which begins with the timeline
            page.click(".nav-menu-details summary, details.nav-menu summary")
            page.click("text=Timeline of my")
        for _ in range(2):
            page.wait_for_selector('#webpf-timeline[data-ready="1"]')
            page.wait_for_function("document.getElementById('wt-comm').options.length > 1")
            assert page.evaluate("document.querySelector('script[type=module]').src") == f"{static}timeline.js"
            assert set(loads.types) == reached("timeline.js")
            assert set(loads.types.values()) <= JAVASCRIPT | {""}
            loads.types.clear()
            page.reload()
        assert loads.wrong == []
