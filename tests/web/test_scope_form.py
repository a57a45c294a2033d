"""The form of a scope in a real browser: from the form to the address to the rows, and back; narrow and dark, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cut_chains import make_chain
from sites import PYTHONS, Site, running
from story import BUILD
from support import make_recording

PAGES = ("/webpf", "/webpf/failures?_comm=gcc", "/-/webpf/timeline/webpf?_comm=gcc&_exit_code=1", "/webpf?_since=soon")


@pytest.fixture(scope="module", params=sorted(PYTHONS))
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The story, and the same as a chain, in each Datasette."""
    folder = tmp_path_factory.mktemp("form")
    make_recording(folder / "webpf.db", BUILD)
    make_chain(folder / "chain.db", BUILD, [50, 350])
    with running(request.param, [folder / "webpf.db", folder / "chain.db"]) as site:
        yield site


@contextmanager
def opened(chromium: Any, site: Site, **options: Any) -> Iterator[Any]:
    """Opens a page, which must have no error at the end."""
    context = chromium.new_context(base_url=site.address, **options)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("response", lambda it: problems.append(f"{it.status} {it.url}") if it.status >= 500 else None)
    yield page
    context.close()
    assert problems == []


def pids(page: Any) -> list[str]:
    """Returns the pids in the table of a query."""
    return [str(text) for text in page.locator("table.rows-and-columns td.col-pid").all_inner_texts()]


def about(page: Any) -> str:
    """Returns what the rows are about."""
    return str(page.inner_text(".webpf-about"))


def follow(page: Any, act: Callable[[str], None], selector: str) -> None:
    """Clicks, taps or presses something, and waits for the page to which that leads."""
    with page.expect_navigation():
        act(selector)


def apply(page: Any, field: str, value: str) -> None:
    """Types a value into a field of the scope's form, and sends the form. Unfolds it first, if it is folded."""
    folded = page.locator(".webpf-folded:not([open]) > summary")
    if folded.count():
        folded.click()
    page.fill(f'.webpf-scope input[name="{field}"]', value)
    follow(page, page.click, ".webpf-scope button")


def wait_for_status(page: Any, text: str) -> None:
    """Waits until the status line of the timeline contains this text."""
    page.wait_for_function("text => document.getElementById('wt-state')?.textContent.includes(text)", arg=text)


def test_from_the_form_to_the_rows_and_back(chromium: Any, site: Site) -> None:
    with opened(chromium, site) as page:
        page.goto("/webpf/failures")
        everything = pids(page)
        page.fill('.webpf-scope input[name="_comm"]', "gcc")
        page.check('.webpf-scope input[name="_failed"]')
        follow(page, page.click, ".webpf-scope button")
        assert "/webpf/failures?" in page.url and "_comm=gcc" in page.url and "_failed=1" in page.url
        assert pids(page) == ["103"]
        assert "1 process with --comm gcc --failed" in about(page)
        apply(page, "_comm", "python")
        assert pids(page) == ["105", "104"]
        page.go_back()
        assert pids(page) == ["103"]
        assert page.input_value('.webpf-scope input[name="_comm"]') == "gcc"
        page.go_back()
        assert pids(page) == everything
        page.go_forward()
        follow(page, page.click, ".webpf-scope >> text=Clear")
        assert pids(page) == everything


def test_the_form_of_the_parameters_keeps_the_scope(chromium: Any, site: Site) -> None:
    """And the form of the scope keeps the parameters."""
    with opened(chromium, site) as page:
        page.goto("/webpf/short_lived?_comm=python&_comm=gcc")
        page.fill('form.sql input[name="max_ms"]', "15")
        follow(page, page.click, 'form.sql input[type="submit"]')
        assert page.locator("td.col-comm").all_inner_texts() == ["python"]
        page.fill('.webpf-scope input[name="_comm"] >> nth=0', "")
        follow(page, page.click, ".webpf-scope button")
        assert "max_ms=15" in page.url
        assert page.locator("td.col-comm").count() == 0
        assert "2 processes with --comm gcc" in about(page)


def test_links_of_the_database_keep_the_scope(chromium: Any, site: Site) -> None:
    with opened(chromium, site) as page:
        page.goto("/webpf")
        page.fill('.webpf-scope input[name="_comm"]', "python")
        with page.expect_navigation():
            page.press('.webpf-scope input[name="_comm"]', "Enter")
        follow(page, page.click, ".webpf-themes >> text=Busiest processes")
        assert sorted(set(pids(page))) == ["104", "105"]
        follow(page, page.click, ".webpf-links >> text=/^failures$/")
        assert pids(page) == ["105", "104"]
        follow(page, page.click, ".webpf-links >> text=timeline of processes")
        wait_for_status(page, "2 processes")
        assert "_comm=python" in page.url


def test_the_timeline_keeps_the_scope(chromium: Any, site: Site) -> None:
    with opened(chromium, site) as page:
        page.goto("/-/webpf/timeline/webpf/1")
        wait_for_status(page, "15 processes")
        apply(page, "_comm", "gcc")
        assert "/-/webpf/timeline/webpf?" in page.url and "_comm=gcc" in page.url
        wait_for_status(page, "2 processes, complete · 2 bars")
        page.click("#wt-in")
        page.wait_for_function("location.search.includes('from=')")
        assert "_comm=gcc" in page.url and "_recording=1" in page.url
        page.reload()
        wait_for_status(page, "2 processes")
        wait_for_status(page, "600.000 ms shown")
        page.go_back()
        wait_for_status(page, "15 processes")


def test_the_timeline_shows_the_form_when_it_is_used(chromium: Any, site: Site) -> None:
    """The timeline has filters of its own; two blocks of them at once would compete."""
    with opened(chromium, site) as page:
        page.goto("/-/webpf/timeline/webpf/1")
        assert not page.is_visible('.webpf-scope input[name="_comm"]')
        page.focus(".webpf-folded > summary")
        page.keyboard.press("Enter")
        assert page.is_visible('.webpf-scope input[name="_comm"]')
        page.goto("/-/webpf/timeline/webpf?_failed=1")
        assert page.is_checked('.webpf-scope input[name="_failed"]:visible')


def test_the_menu_leads_to_the_end_of_a_chain(chromium: Any, site: Site) -> None:
    with opened(chromium, site) as page:
        page.goto("/chain")
        assert "recordings 1 to 3 (the last 24 hours of a chain, by default)" in about(page)
        page.click(".nav-menu-details summary, details.nav-menu summary")
        follow(page, page.click, "text=Timeline of chain")
        wait_for_status(page, "15 processes")
        assert "recordings 1 to 3 (the last 24 hours of a chain, by default)" in about(page)


def test_a_bad_value_stays_in_the_form(chromium: Any, site: Site) -> None:
    with opened(chromium, site) as page:
        page.goto("/-/webpf/timeline/webpf")
        wait_for_status(page, "15 processes")
        apply(page, "_until", "teatime")
        page.wait_for_selector(".webpf-error")
        assert "--until takes a time, such as 03:00" in page.inner_text(".webpf-error")
        assert page.input_value('.webpf-scope input[name="_until"]') == "teatime"
        assert page.locator("#webpf-timeline").count() == 0


CONTRASTS = """() => {
  const channels = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((each) => each / 255)
    .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
    .reduce((sum, each, i) => sum + each * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = channels(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll(".webpf-scope :is(label, input, summary, button, a, p)")]
    .filter((element) => element.checkVisibility())
    .map((element) => {
      const [a, b] = [light(channels(getComputedStyle(element).color)), light(ground(element))];
      return [element.textContent.trim() || element.name, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
    });
}"""
"""JavaScript: text and ratio of contrast, after WCAG 2, of all that the form has."""


EDGES = """() => {
  const boxes = [...document.querySelectorAll(".webpf-scope, .webpf-scope :is(input, button, p, nav)")]
    .filter((element) => element.checkVisibility({ visibilityProperty: true }) && element.type !== "hidden")
    .map((element) => element.getBoundingClientRect());
  return [Math.min(...boxes.map((box) => box.left)), Math.max(...boxes.map((box) => box.right))];
}"""
"""JavaScript: where the form begins and ends, with all that it shows."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_form_is_legible(chromium: Any, site: Site, scheme: str) -> None:
    with opened(chromium, site, color_scheme=scheme) as page:
        for path in PAGES:
            page.goto(path)
            contrasts = page.evaluate(CONTRASTS)
            assert len(contrasts) > 10
            assert [each for each in contrasts if each[1] < 4.5] == []


def test_the_form_fits_a_phone(chromium: Any, site: Site) -> None:
    with opened(chromium, site, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True) as page:
        for path in PAGES:
            page.goto(path)
            left, right = page.evaluate(EDGES)
            assert 0 <= left < right <= 360
        page.goto("/webpf/failures")
        page.fill('.webpf-scope input[name="_comm"]', "gcc")
        follow(page, page.tap, ".webpf-scope button")
        assert page.locator("table.rows-and-columns tbody tr").count() == 1
