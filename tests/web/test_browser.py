"""Every page in a real browser, in both Datasettes: no error, no request to elsewhere, nothing that isn't found."""

from __future__ import annotations

import sqlite3
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
    """A page; at the end of the test, it must have had no error, no dialog and no request to another host."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, base_url=site.address)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: problems.append(f"dialog: {dialog.message}"))
    page.on("request", lambda it: None if it.url.startswith(site.address) else problems.append(f"elsewhere: {it.url}"))
    page.on("response", lambda it: problems.append(f"{it.status} {it.url}") if it.status >= 400 else None)
    yield page
    context.close()
    assert problems == []


def wait_until_drawn(page: Any) -> None:
    """Waits until the timeline is drawn for the first time."""
    page.wait_for_selector('#webpf-timeline[data-ready="1"]')
    wait_for_status(page, "process")


def wait_for_status(page: Any, text: str) -> None:
    """Waits until the status line of the timeline contains this text."""
    page.wait_for_function("text => document.getElementById('wt-state').textContent.includes(text)", arg=text)


PROCESS_COUNT = "Number(document.getElementById('wt-state').textContent.split(' ')[0].replaceAll(',', ''))"


def process_count(page: Any) -> int:
    """Returns the number of processes in the status line."""
    return int(page.evaluate(PROCESS_COUNT))


def test_pages_of_tables_and_queries(page: Any) -> None:
    pages = ["/", "/webpf", *(f"/webpf/{table.name}" for table in data_dictionary.all_tables()), "/webpf/processes/7"]
    pages += [f"/webpf/{name}?{urlencode(needed(name, '102'))}" for name in saved_queries.names()]
    for path in pages:
        page.goto(path)
        assert page.title()


RED_ROWS = """
() => [...document.querySelectorAll("table.rows-and-columns tbody tr")].map((row) => {
  const reds = new Set([...row.cells].map((cell) => getComputedStyle(cell).color === RED));
  return [+row.querySelector(".col-id").innerText, reds.size === 1 && reds.has(true), reds.has(true)];
})
""".replace("RED", '"rgb(179, 38, 30)"')


@pytest.mark.parametrize("path", ["processes", "lifetimes", "failures", "sql"])
def test_rows_of_failed_processes_are_red(page: Any, files: list[Path], path: str) -> None:
    page.goto({"sql": "/webpf?sql=SELECT+id,+pid,+comm,+exit_code,+signal+FROM+processes"}.get(path, f"/webpf/{path}"))
    page.wait_for_selector(".col-pid")
    with closing(sqlite3.connect(files[0])) as connection:
        ends = "SELECT id, coalesce(exit_code, 0) <> 0 OR coalesce(signal, 0) <> 0 FROM processes"
        failed = dict(connection.execute(ends))
    rows = page.evaluate(RED_ROWS)
    assert {True} <= {whole for _, whole, _ in rows} and (path == "failures" or {False} <= {any for *_, any in rows})
    assert all(whole == any == failed[id] for id, whole, any in rows)


def test_the_form_of_a_query(page: Any) -> None:
    """Submitting a parameter's value shows the rows for it."""
    page.goto("/webpf/short_lived")
    page.fill('input[name="max_ms"]', "5")
    page.click('input[type="submit"]')
    page.wait_for_url("**max_ms=5**")
    assert page.locator("table.rows-and-columns tbody tr").count() == 1


def test_navigation_from_the_menu_to_a_process(page: Any) -> None:
    """Clicks lead from the menu to the timeline, to a bar, and to the row of its process."""
    page.goto("/webpf")
    page.click(".nav-menu-details summary, details.nav-menu summary")
    page.click("text=Timeline of webpf")
    wait_until_drawn(page)
    page.click("#wt-residents")
    wait_for_status(page, "13 bars")
    box = page.locator("#wt-main").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.02, box["y"] + 22 + 46 + 6 + 3 * 18 + 8)
    assert "/bin/sh -c make" in page.inner_text("#wt-tip")
    assert "exit 0, 130.000 ms" in page.inner_text("#wt-tip")
    assert "CPU 2.000 ms (user 1.500 ms, system 500.0 µs)" in page.inner_text("#wt-tip")
    assert "read 512 B, wrote 4 KiB" in page.inner_text("#wt-tip")
    page.mouse.click(box["x"] + box["width"] * 0.02, box["y"] + 22 + 46 + 6 + 3 * 18 + 8)
    page.wait_for_url("**process=5")
    page.click("#wt-pane >> text=row")
    page.wait_for_url("**/webpf/processes/5")


def test_zooming_and_moving_change_the_url(page: Any) -> None:
    page.goto(TIMELINE)
    wait_until_drawn(page)
    wait_for_status(page, "1.000 s shown")
    page.keyboard.press("+")
    page.wait_for_function("location.search.includes('from=')")
    wait_for_status(page, "600.000 ms shown")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("location.search.includes('from=320.000')")
    address = page.url
    page.keyboard.press("0")
    page.wait_for_function("!location.search.includes('from=')")
    page.goto(address)
    wait_until_drawn(page)
    wait_for_status(page, "600.000 ms shown")
    box = page.locator("#wt-main").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 200)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -600)
    page.keyboard.up("Control")
    page.wait_for_function("!document.getElementById('wt-state').textContent.includes('600.000 ms')")
    overview = page.locator("#wt-overview").bounding_box()
    page.mouse.move(overview["x"] + 100, overview["y"] + 20)
    page.mouse.down()
    page.mouse.move(overview["x"] + 400, overview["y"] + 20, steps=5)
    page.mouse.up()
    wait_for_status(page, " ms shown")


def test_search_and_filters(page: Any) -> None:
    page.goto(f"{TIMELINE}?search=gcc")
    wait_until_drawn(page)
    wait_for_status(page, "2 match")
    page.select_option("#wt-outcome", "2")
    wait_for_status(page, "4 bars")
    assert "outcome=2" in page.url
    page.select_option("#wt-outcome", "")
    page.select_option("#wt-comm", "make")
    wait_for_status(page, "3 bars")
    page.keyboard.press("Escape")


def test_names_with_html(page: Any) -> None:
    page.goto("/-/webpf/timeline/hostile/1?residents=1")
    wait_until_drawn(page)
    box = page.locator("#wt-main").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 22 + 46 + 6 + 18 + 8)
    assert "<img src=x onerror=alert(1)>" in page.inner_text("#wt-tip")
    page.goto("/hostile/lifetimes")
    assert "<img src=x" in page.inner_text("body")


@pytest.mark.parametrize("name", ["one", "empty"])
def test_tiny_recordings(page: Any, name: str) -> None:
    page.goto(f"/-/webpf/timeline/{name}/1")
    wait_until_drawn(page)
    page.keyboard.press("+")
    page.keyboard.press("0")
    page.keyboard.press("End")
    wait_for_status(page, "1 bar ·" if name == "one" else "0 bars")


@pytest.mark.kernel
@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_a_recording_in_progress(version: str, chromium: Any, start_recorder: Callable[..., Recorder]) -> None:
    """The timeline updates its numbers by itself, and shows that the recording has ended."""
    recorder = start_recorder()
    with running(version, [recorder.db]) as site, closing(chromium.new_context(base_url=site.address)) as context:
        page = context.new_page()
        page.goto(TIMELINE)
        wait_for_status(page, ", recording")
        before = process_count(page)
        for _ in range(50):
            subprocess.run(["/bin/true"], check=True)
        page.wait_for_function(f"{PROCESS_COUNT} >= {before + 50}")
        recorder.end()
        wait_for_status(page, ", complete")
