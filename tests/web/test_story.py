"""The story and the charts of the pages of files and queries: numbers against SQL, permissions, and following."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cut_chains import make_chain
from sites import PYTHONS, Site, running
from story import BUILD
from support import Recorder, make_recording, wait_until

from webpf.analysis import query_header, saved_queries

DATA = "/-/webpf/story/webpf/data.json"
ENDED = "FROM processes AS p, recordings AS r WHERE p.kernel IS NOT 1 AND end_ns IS NOT NULL"
COUNTED = "FROM processes AS p, recordings AS r WHERE p.kernel IS NOT 1 AND start_ns >= started_ns"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The story of a build."""
    path = tmp_path_factory.mktemp("story") / "webpf.db"
    make_recording(path, BUILD)
    make_chain(path.with_name("chain.db"), BUILD, [350])
    return path


@pytest.fixture(scope="module", params=sorted(PYTHONS))
def site(request: pytest.FixtureRequest, db: Path) -> Iterator[Site]:
    """The build, also as a chain of two recordings, in each Datasette, with a limit of rows."""
    with running(request.param, [db, db.with_name("chain.db"), "--setting", "max_returned_rows", "300"]) as site:
        yield site


def value(db: Path, sql: str) -> int:
    """Returns the one number that a SELECT finds."""
    with closing(sqlite3.connect(db)) as connection:
        return int(connection.execute(sql).fetchone()[0])


def told(site: Site, query: str = "") -> dict[str, Any]:
    """Returns the data of the story."""
    status, text = site.get(DATA + query)
    assert status == 200, text
    found: dict[str, Any] = json.loads(text)
    return found


def column(chart: dict[str, Any], name: str) -> list[Any]:
    """Returns the values of a column of a chart."""
    at = chart["columns"].index(name)
    return [row[at] for row in chart["rows"]]


def test_the_story_has_the_numbers_of_the_file(site: Site, db: Path) -> None:
    found = told(site)
    assert f"{value(db, f'SELECT count(*) {COUNTED}')} processes started in 1.00 s" in found["html"]
    assert f"and {value(db, f'SELECT count(*) {COUNTED} AND p.status <> 0') - 3} more" in found["html"]
    first = value(db, f"SELECT p.id {COUNTED} AND p.status <> 0 AND end_ns IS NOT NULL ORDER BY end_ns LIMIT 1")
    assert f'<dd><a href="/-/webpf/timeline/webpf/1?process={first}"><code>' in found["html"]
    assert found["isInProgress"] is False
    rate, cores = found["charts"]
    assert sum(column(rate, "starts")) == value(db, f"SELECT count(*) {COUNTED}")
    assert sum(column(rate, "failures")) == value(db, f"SELECT count(*) {ENDED} AND p.status <> 0")
    step_ms = 1000 * (column(cores, "seconds")[1] - column(cores, "seconds")[0])
    used_ms = value(db, f"SELECT sum(cpu_ns) {COUNTED} AND end_ns > start_ns") / 1e6
    assert sum(column(cores, "cores")) * step_ms == pytest.approx(used_ms, rel=0.01)


def test_the_story_of_a_scope(site: Site) -> None:
    """One gcc of the build failed."""
    html = told(site, "?_comm=gcc")["html"]
    assert "2 processes" in html and "exit 1" in html and "signal" not in html
    assert site.get(f"{DATA}?_comm=nothing")[0] == 404


def test_the_page_lists_the_queries_by_theme(site: Site) -> None:
    page = site.get("/webpf")[1]
    places = [page.index(f"<h3>{title}</h3>") for theme, title in query_header.THEMES.items() if theme != "own"]
    assert places == sorted(places)
    assert page.index('id="webpf-story"') < places[0] < page.index('id="tables"')
    assert all(page.count(f'href="/webpf/{name}"') == 1 for name in saved_queries.names())


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_the_story_follows_permissions(version: str, db: Path, tmp_path: Path) -> None:
    """Without the table of commands there is no story; without a query, neither its chart nor its link."""
    nobody = {"id": "nobody"}
    for hidden, status in (({"tables": {"commands": {"allow": nobody}}}, 403), ({"queries": {"cores": nobody}}, 200)):
        config = {"tables": {}, **hidden}
        if "queries" in config:
            query = saved_queries.load("cores")
            config["queries"] = {"cores": {"sql": query.sql, "allow": nobody}}
        file = tmp_path / "config.json"
        file.write_text(json.dumps({"databases": {"webpf": config}}))
        option = "--metadata" if version == "0.65" else "--config"
        with running(version, [db, option, file]) as site:
            assert site.get(DATA)[0] == status
            assert ('id="webpf-story"' in site.get("/webpf")[1]) == (status == 200)
            if status == 200:
                assert [chart["query"] for chart in told(site)["charts"]] == ["rate"]


def open_page(chromium: Any, site: Site, path: str, **options: Any) -> Any:
    """Opens a page that must have no error; its context is to be closed."""
    page = chromium.new_context(base_url=site.address, **options).new_page()
    page.on("pageerror", lambda error: pytest.fail(f"error: {error}"))
    page.goto(path)
    return page


def test_charts_show_values_to_the_keyboard(chromium: Any, site: Site, db: Path) -> None:
    page = open_page(chromium, site, "/webpf/rate?step_ms=100")
    page.wait_for_selector("#webpf-query[data-ready]")
    page.focus(".webpf-chart svg")
    page.keyboard.press("Home")
    begin = "start_ns - started_ns < 100000000"
    starts = value(db, f"SELECT count(*) {COUNTED} AND {begin}")
    ended = f"SELECT count(*) {ENDED} AND end_ns - started_ns < 100000000"
    ends, failures = (value(db, f"{ended} {more}") for more in ("", "AND p.status <> 0"))
    readout = page.inner_text(".webpf-readout")
    assert readout.startswith("0 s (2") and readout.endswith(f"failures {failures}, starts {starts}, ends {ends}")
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".webpf-readout").startswith("100 ms (")
    page.goto("/webpf/rate?step_ms=2")
    page.wait_for_selector("#webpf-query[data-ready]")
    assert "each step (the first 300 rows)" in page.inner_text(".webpf-chart figcaption")
    page.goto("/webpf/survival")
    page.wait_for_selector("#webpf-query[data-ready]")
    page.select_option(".webpf-choice select", "gcc")
    assert page.inner_text(".webpf-chart figcaption").startswith("Share of gcc processes that live longersurvival")
    assert page.locator(".webpf-chart path.webpf-line").count() == 2
    page.context.close()


def test_the_page_of_a_file_draws_its_charts(chromium: Any, site: Site) -> None:
    page = open_page(chromium, site, "/webpf")
    page.wait_for_selector("#webpf-story[data-ready]")
    titles = page.locator(".webpf-chart figcaption").all_inner_texts()
    assert titles == ["Processes started per second", "Failures", "Cores busy"]
    assert page.inner_text("#webpf-state") == ""
    page.click("text=Open the timeline")
    page.wait_for_selector('#webpf-timeline[data-ready="1"]')
    page.goto("/webpf/processes")
    assert not page.is_visible("dl.column-descriptions")
    page.focus("details.webpf-fold summary")
    page.keyboard.press("Enter")
    assert page.is_visible("dl.column-descriptions")
    page.context.close()


def test_a_story_that_fails_says_why(chromium: Any, site: Site) -> None:
    """And of a chain, the page offers the story of its latest recording alone."""
    page = chromium.new_context(base_url=site.address).new_page()
    answer = json.dumps({"ok": False, "error": "it took more than 60 s and was cancelled"})
    page.route("**/data.json*", lambda route: route.fulfill(status=503, body=answer, content_type="application/json"))
    page.goto("/chain")
    page.wait_for_function("document.getElementById('webpf-state').textContent.includes('it took more than 60 s')")
    page.unroute("**/data.json*")
    page.click("#webpf-state a")
    page.wait_for_selector("#webpf-story[data-ready]")
    assert "_recording=2" in page.url
    assert page.inner_text(".webpf-when").startswith("Recording 2 ")
    page.context.close()


def test_another_recording_is_chosen(chromium: Any, site: Site) -> None:
    """It stays in the links; and the rest of the scope stays with it. One recording alone leaves no choice."""
    page = open_page(chromium, site, "/chain?_comm=gcc")
    assert page.locator("#webpf-recording option").all_inner_texts()[0] == "the latest chain"
    with page.expect_navigation():
        page.select_option("#webpf-recording", index=2)
    assert page.locator("#webpf-recording option:checked").inner_text().startswith("1, segment 1 of chain 1, ")
    page.wait_for_selector("#webpf-story[data-ready]")
    assert "recording 1: 2 processes with --comm gcc" in page.inner_text(".webpf-when")
    assert page.locator('.webpf-themes a[href="/chain/failures?_comm=gcc&_recording=1"]').count() == 1
    page.goto("/webpf")
    assert page.locator("#webpf-recording").count() == 0
    page.goto("/chain?_recording=nothing")
    assert page.locator("#webpf-recording").count() == 0  # the form says that there is none
    page.context.close()


def test_links_in_a_scope_stand_once(site: Site) -> None:
    page = site.get("/webpf?_comm=gcc")[1]
    links = re.findall(r'href="/webpf/([a-z_]+)\?_comm=gcc"', page)
    assert "failures" in links and len(links) == len(set(links))
    assert 'href="/webpf/failures?_comm=gcc&amp;_recording=1"' in site.get("/-/webpf/timeline/webpf/1?_comm=gcc")[1]


@pytest.mark.kernel
def test_a_recording_in_progress(chromium: Any, start_recorder: Callable[..., Recorder]) -> None:
    """The story follows the recording with one request at a time, and asks no more when it has ended."""
    recorder = start_recorder()
    with running("1.0", [recorder.db]) as site:
        page = open_page(chromium, site, "/webpf")
        requests: list[int] = []  # +1: sent, -1: answered
        page.on("request", lambda it: requests.append(1) if "data.json" in it.url else None)
        page.on("requestfinished", lambda it: requests.append(-1) if "data.json" in it.url else None)
        page.wait_for_function("document.getElementById('webpf-state').textContent.includes('goes on')")
        count = "Number(document.querySelector('.webpf-headline').textContent.split(' ')[0].replaceAll(',', ''))"
        before = page.evaluate(count)
        for _ in range(20):
            subprocess.run(["/bin/true"], check=True)
        page.wait_for_function(f"{count} >= {before + 20}")
        recorder.end()
        page.wait_for_function("document.getElementById('webpf-state').textContent === ''")
        wait_until(lambda: sum(requests) <= 0, "a request isn't answered")
        assert all(abs(sum(requests[:end])) <= 1 for end in range(len(requests)))
        sent = requests.count(1)
        page.wait_for_timeout(2500)  # more than the shortest pause
        assert requests.count(1) == sent
        page.context.close()
