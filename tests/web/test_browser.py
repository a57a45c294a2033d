"""Every page in a real browser, in both Datasettes: no error, no request to elsewhere, nothing that isn't found."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from sites import PYTHONS, Site, running
from story import BUILD, needed
from support import Recorder, exec_, exit_, fork, make_recording, seen

from webpf.analysis import saved_queries
from webpf.storage import data_dictionary

TIMELINE = "/-/webpf/timeline/webpf/1"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The story, hostile names, one process, and none."""
    folder = tmp_path_factory.mktemp("browser")
    make_recording(folder / "webpf.db", BUILD)
    argv = b"<img src=x onerror=alert(1)>\0\xf0\x9f\x99\x82\x1b[31m\0"
    make_recording(folder / "hostile.db", [seen(1, -50, ppid=0), fork(100, 0), exec_(100, 0, 1, argv, "<b>🙂")])
    make_recording(folder / "one.db", [exit_(100, 0, 500)])
    make_recording(folder / "empty.db", [])
    return [folder / f"{name}.db" for name in ("webpf", "hostile", "one", "empty")]


@pytest.fixture(scope="module", params=sorted(PYTHONS))
def site(request: pytest.FixtureRequest, files: list[Path]) -> Iterator[Site]:
    """All files in each Datasette."""
    with running(request.param, files) as site:
        yield site


@pytest.fixture
def page(chromium: Any, site: Site) -> Iterator[Any]:
    """A page; afterwards nothing may have gone wrong in it."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, base_url=site.address)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    page.on("request", lambda it: None if it.url.startswith(site.address) else wrong.append(f"elsewhere: {it.url}"))
    page.on("response", lambda it: wrong.append(f"{it.status} {it.url}") if it.status >= 400 else None)
    yield page
    context.close()
    assert wrong == []


def is_drawn(page: Any) -> None:
    """Waits for the timeline's first picture."""
    page.wait_for_selector('#webpf-timeline[data-ready="1"]')
    says(page, "process")


def says(page: Any, text: str) -> None:
    """Waits until the timeline says that it shows this."""
    page.wait_for_function("text => document.getElementById('wt-state').textContent.includes(text)", arg=text)


COUNTED = "Number(document.getElementById('wt-state').textContent.split(' ')[0].replaceAll(',', ''))"


def counted(page: Any) -> int:
    """How many processes the timeline says there are."""
    return int(page.evaluate(COUNTED))


def test_tables_and_queries(page: Any) -> None:
    pages = ["/", "/webpf", *(f"/webpf/{table.name}" for table in data_dictionary.all_tables()), "/webpf/processes/7"]
    pages += [f"/webpf/{name}?{urlencode(needed(name, '102'))}" for name in saved_queries.names()]
    for path in pages:
        page.goto(path)
        assert page.title()


def test_the_form_of_a_query(page: Any) -> None:
    """A value is typed in, and the rows follow."""
    page.goto("/webpf/short_lived")
    page.fill('input[name="max_ms"]', "5")
    page.click('input[type="submit"]')
    page.wait_for_url("**max_ms=5**")
    assert page.locator("table.rows-and-columns tbody tr").count() == 1


def test_from_the_menu_to_a_process(page: Any) -> None:
    """One more command, then clicks: the timeline, a bar, its row."""
    page.goto("/webpf")
    page.click(".nav-menu-details summary, details.nav-menu summary")
    page.click("text=Timeline of webpf")
    is_drawn(page)
    page.click("#wt-residents")
    says(page, "13 bars")
    box = page.locator("#wt-main").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.02, box["y"] + 22 + 46 + 6 + 3 * 18 + 8)
    assert "/bin/sh -c make" in page.inner_text("#wt-tip")
    assert "exit 0, 130.000 ms" in page.inner_text("#wt-tip")
    page.mouse.click(box["x"] + box["width"] * 0.02, box["y"] + 22 + 46 + 6 + 3 * 18 + 8)
    page.wait_for_url("**/webpf/processes/5")


def test_zooming_moving_and_the_address(page: Any) -> None:
    page.goto(TIMELINE)
    is_drawn(page)
    says(page, "1.000 s shown")
    page.keyboard.press("+")
    page.wait_for_function("location.search.includes('from=')")
    says(page, "600.000 ms shown")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("location.search.includes('from=320.000')")
    address = page.url
    page.keyboard.press("0")
    page.wait_for_function("!location.search.includes('from=')")
    page.goto(address)
    is_drawn(page)
    says(page, "600.000 ms shown")
    box = page.locator("#wt-main").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 200)
    page.mouse.wheel(0, -600)
    page.wait_for_function("!document.getElementById('wt-state').textContent.includes('600.000 ms')")
    overview = page.locator("#wt-overview").bounding_box()
    page.mouse.move(overview["x"] + 100, overview["y"] + 20)
    page.mouse.down()
    page.mouse.move(overview["x"] + 400, overview["y"] + 20, steps=5)
    page.mouse.up()
    says(page, " ms shown")


def test_search_and_filters(page: Any) -> None:
    page.goto(f"{TIMELINE}?search=gcc")
    is_drawn(page)
    says(page, "2 match")
    page.select_option("#wt-outcome", "2")
    says(page, "4 bars")
    assert "outcome=2" in page.url
    page.select_option("#wt-outcome", "")
    page.select_option("#wt-comm", "make")
    says(page, "3 bars")
    page.keyboard.press("Escape")


def test_names_that_are_html(page: Any) -> None:
    page.goto("/-/webpf/timeline/hostile/1?residents=1")
    is_drawn(page)
    box = page.locator("#wt-main").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 22 + 46 + 6 + 18 + 8)
    assert "<img src=x onerror=alert(1)>" in page.inner_text("#wt-tip")
    page.goto("/hostile/lifetimes")
    assert "<img src=x" in page.inner_text("body")


@pytest.mark.parametrize("name", ["one", "empty"])
def test_next_to_nothing(page: Any, name: str) -> None:
    page.goto(f"/-/webpf/timeline/{name}/1")
    is_drawn(page)
    page.keyboard.press("+")
    page.keyboard.press("0")
    page.keyboard.press("End")
    says(page, "1 bar ·" if name == "one" else "0 bars")


@pytest.mark.kernel
@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_a_recording_that_goes_on(version: str, chromium: Any, start_recorder: Callable[..., Recorder]) -> None:
    """The timeline counts on by itself, and says when the recording has ended."""
    recorder = start_recorder()
    with running(version, [recorder.db]) as site, closing(chromium.new_context(base_url=site.address)) as context:
        page = context.new_page()
        page.goto(TIMELINE)
        says(page, ", recording")
        before = counted(page)
        for _ in range(50):
            subprocess.run(["/bin/true"], check=True)
        page.wait_for_function(f"{COUNTED} >= {before + 50}")
        recorder.end()
        says(page, ", complete")
