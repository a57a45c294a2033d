"""The timeline as a user works with it, in a real browser. The expected numbers come from SQL on the file."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sites import PYTHONS, Site, running
from story import BUILD
from support import PROJECT, exec_, exit_, fork, free, make_recording

from webpf.model.events import Event

TIMELINE = "/-/webpf/timeline/webpf/1"
STATE = "document.getElementById('wt-state').textContent"
HEAD, LANE = 22 + 46 + 6, 18  # pixels: the axis and the strip; a lane
TITLES = "[...document.querySelectorAll('#wt-pane h2')].map((it) => it.textContent).join()"
CSS = PROJECT / "recorder" / "web" / "plugin" / "static" / "timeline.css"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The story twice, and then 1,500 processes at a time."""
    db = tmp_path_factory.mktemp("page") / "webpf.db"
    make_recording(db, BUILD)
    make_recording(db, BUILD)
    many: list[Event] = []
    for i in range(1500):
        many += [fork(100 + i, i / 10), exec_(100 + i, i / 10, i / 10 + 0.1)]
    for i in range(1500):
        many += [exit_(100 + i, i / 10, 800), free(100 + i, i / 10, 801)]
    make_recording(db, many)
    return db


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, db: Path) -> Iterator[Site]:
    """Datasette; which, doesn't matter to the chart: the tests in both look at what is around it."""
    with running(getattr(request, "param", "0.65"), [db]) as site:
        yield site


in_both = pytest.mark.parametrize("site", sorted(PYTHONS), indirect=True)


@pytest.fixture
def page(chromium: Any, site: Site) -> Iterator[Any]:
    with closing(chromium.new_context(viewport={"width": 1280, "height": 900}, base_url=site.address)) as context:
        page = context.new_page()
        page.set_default_timeout(15_000)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("response", lambda it: problems.append(f"{it.status} {it.url}") if it.status >= 400 else None)
        yield page
        assert problems == []


def opened(page: Any, path: str = TIMELINE) -> Any:
    """Opens a timeline, waits until it is drawn, and returns the position of its chart."""
    page.goto(path)
    page.wait_for_selector('#webpf-timeline[data-ready="1"]')
    page.wait_for_function("document.getElementById('wt-comm').options.length > 1")  # what comes last
    return page.locator("#wt-main").bounding_box()


def wait_for_title(page: Any, title: str) -> None:
    """Waits until the pane shows this process, or these sums."""
    page.wait_for_function("title => document.querySelector('#wt-pane h2')?.textContent === title", arg=title)


def ask(db: Path, sql: str, *values: object) -> list[Any]:
    """Returns the rows of a statement; of one column, only its values."""
    with closing(sqlite3.connect(db)) as connection:
        rows = connection.execute(sql, values).fetchall()
    return [row[0] for row in rows] if rows and len(rows[0]) == 1 else rows


@in_both
def test_a_click_selects_and_back_returns(page: Any, db: Path) -> None:
    box = opened(page)
    page.mouse.click(box["x"] + box["width"] * 0.1, box["y"] + HEAD + 2 * LANE + 8)  # below daemon and sh
    wait_for_title(page, "make")
    ((id, parent, cpu, user, system),) = ask(
        db,
        "SELECT id, parent_id, cpu_ns, user_ns, system_ns FROM processes WHERE pid = 101 AND recording_id = 1",
    )
    text = page.inner_text("#wt-pane")
    assert f"process={id}" in page.url
    assert f"{cpu / 1e6:.3f} ms (user {user / 1e6:.3f} ms, system {system / 1e6:.3f} ms)" in text
    assert "exit 2" in text and "110.000 ms" in text and "read 512 B, wrote 4 KiB" in text
    assert re.search(r"asleep\s+\d+\.\d+ ms with no child alive", text)
    assert "2023-11-14 22:13:20.010" in text  # the Unix time of the test's recordings, plus 10 ms
    children = ask(db, "SELECT id FROM processes WHERE parent_id = ?", id)
    assert page.locator("dt:text-is('children') + dd li").count() == len(children)
    assert [link.inner_text() for link in page.locator("dt:text-is('more') + dd a").all()] == [
        "row", "tree", "ancestors", "programs",
    ]  # fmt: skip
    page.click("text=ancestors")
    page.wait_for_selector("td:text-is('sh')")
    page.go_back()
    wait_for_title(page, "make")
    page.click("dt:text-is('parent') + dd button")
    wait_for_title(page, "sh -c make")
    assert f"process={parent}" in page.url
    page.go_back()
    wait_for_title(page, "make")
    page.keyboard.press("Escape")
    page.wait_for_function("document.getElementById('wt-pane').hidden && !location.search")
    page.go_back()
    wait_for_title(page, "make")
    page.reload()
    wait_for_title(page, "make")


def test_the_story_is_one_click_away(page: Any) -> None:
    opened(page)
    page.click("text=What happened")
    page.wait_for_selector("#webpf-story[data-ready]")
    assert page.url.endswith("/webpf?_recording=1")
    assert page.inner_text(".webpf-headline").startswith("12 processes started in 1.00 s")
    page.click("dt:text-is('Decided how long it took') + dd a.webpf-more")
    page.wait_for_function(f"{STATE}.includes('1.000 s shown')")
    assert page.is_checked("#wt-path")


def test_this_tree_only(page: Any, db: Path) -> None:
    (id,) = ask(db, "SELECT id FROM processes WHERE pid = 101 AND recording_id = 1")
    sql = """WITH RECURSIVE t (id) AS (VALUES (?) UNION SELECT p.id FROM t JOIN processes AS p ON p.parent_id = t.id)
        SELECT count(*) FROM t"""
    (count,) = ask(db, sql, id)
    opened(page, f"{TIMELINE}?process={id}")
    page.click("text=This tree only")
    shown = f"[...{STATE}.matchAll(/(\\d+) (?:bars?|too short)/g)].reduce((sum, it) => sum + Number(it[1]), 0)"
    page.wait_for_function(f"{STATE}.includes('only one tree') && {shown} === {count}")
    assert f"tree={id}" in page.url
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.wait_for_function(f"!{STATE}.includes('only one tree')")


def test_search_steps_through_what_it_finds(page: Any, db: Path) -> None:
    """Also through what is too short for a bar: at one pixel for 10 ms nothing of it has one."""
    sql = """SELECT p.id FROM processes AS p LEFT JOIN commands AS c ON c.id = p.command_id
        WHERE p.recording_id = 1 AND (p.comm LIKE '%python%' OR c.args LIKE '%python%') ORDER BY p.start_ns, p.id"""
    ids = ask(db, sql)
    opened(page, f"{TIMELINE}?search=python")
    page.locator("#wt-main").focus()
    for number, id in enumerate([*ids, ids[0]]):
        page.keyboard.press("n")
        page.wait_for_function(f"new URLSearchParams(location.search).get('process') === '{id}'")
        text = f"{number % len(ids) + 1} of {len(ids)}"
        page.wait_for_function("text => document.getElementById('wt-found').textContent === text", arg=text)
    page.keyboard.press("N")
    page.wait_for_function(f"new URLSearchParams(location.search).get('process') === '{ids[-1]}'")
    page.click("#wt-next")
    page.wait_for_function(f"new URLSearchParams(location.search).get('process') === '{ids[0]}'")
    page.goto(f"{TIMELINE}?search=python")
    page.wait_for_selector('#webpf-timeline[data-ready="1"]')
    page.press("#wt-search", "Enter")
    page.wait_for_function(f"new URLSearchParams(location.search).get('process') === '{ids[0]}'")
    page.press("#wt-search", "Shift+Enter")
    page.wait_for_function(f"new URLSearchParams(location.search).get('process') === '{ids[-1]}'")


def test_a_dragged_stretch_is_summed_up(page: Any, db: Path) -> None:
    box = opened(page, f"{TIMELINE}?residents=1")
    page.wait_for_function(f"{STATE}.includes('1.000 s shown')")
    page.mouse.move(box["x"] + 1 + (box["width"] - 2) * 0.1, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 1 + (box["width"] - 2) * 0.2, box["y"] + 10, steps=3)
    page.mouse.up()
    page.wait_for_selector("dt:text-is('cores busy')")
    wanted = re.search(r"sum_from=([\d.]+)&sum_to=([\d.]+)", page.url)
    assert wanted is not None
    begin, end = (float(each) for each in wanted.groups())
    assert [begin, end] == pytest.approx([100, 200], abs=3)
    sql = """SELECT count(*), sum(end_ns BETWEEN ?1 AND ?2 AND p.status <> 0), sum(cpu_ns * 1.0
            * (min(coalesce(end_ns, r.ended_ns), ?2) - max(start_ns, ?1)) / (coalesce(end_ns, r.ended_ns) - start_ns))
        FROM processes AS p JOIN recordings AS r ON r.id = p.recording_id
        WHERE r.id = 1 AND NOT p.kernel AND p.state <> 'lost'
            AND start_ns <= ?2 AND coalesce(end_ns, r.ended_ns) >= ?1"""
    (start,) = ask(db, "SELECT started_ns FROM recordings WHERE id = 1")
    ((alive, failed, cpu),) = ask(db, sql, *(start + round(each * 1e6) for each in (begin, end)))
    text = page.inner_text("#wt-pane")
    assert f"{alive}: " in text
    assert page.locator("dt:text-is('failures') + dd li").count() == failed
    assert f"about {(cpu or 0) / (end - begin) / 1e6:.2f}" in text
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    page.wait_for_url("**sum_from=0.000&sum_to=1000.000")


def test_a_column_of_short_processes_is_summed_up(chromium: Any, tmp_path: Path) -> None:
    """56 processes of 0.1 ms follow each other at 880 ms, each sixth fails, and one lives all the time.

    A column is some 4 ms wide, and the columns don't divide the width of the chart.
    """
    db = tmp_path / "webpf.db"
    events: list[Event] = [fork(99, 0), exec_(99, 0, 0)]
    for i in range(56):
        ms = 880 + i / 9
        events += [fork(100 + i, ms, ppid=99), exit_(100 + i, ms, ms + 0.1, 256 * (i % 6 == 5), ppid=99)]
    make_recording(db, [*events, exit_(99, 0, 1000)])
    window = {"viewport": {"width": 1101, "height": 900}}
    with running("0.65", [db]) as site, closing(chromium.new_context(base_url=site.address, **window)) as context:
        page = context.new_page()
        box = opened(page)
        page.mouse.move(box["x"] + 1 + (box["width"] - 2) * 0.882, box["y"] + HEAD - 10)
        page.wait_for_selector("#wt-tip:not([hidden])")
        told = page.inner_text("#wt-tip")
        page.mouse.down()
        page.mouse.up()
        page.wait_for_selector("dt:text-is('failures')")
        wanted = re.search(r"sum_from=([\d.]+)&sum_to=([\d.]+)", page.url)
        assert wanted is not None
        start = ask(db, "SELECT started_ns FROM recordings")[0]
        sql = """SELECT sum(status = 0), sum(status <> 0) FROM processes
            WHERE start_ns - ?1 BETWEEN 1e6 * ?2 AND 1e6 * ?3 AND pid <> 99"""
        ((ok, failed),) = ask(db, sql, start, *map(float, wanted.groups()))
        assert failed
        assert told == f"too short for a bar: {ok} ok, {failed} failed\nClick to sum up"
        assert f"{ok + failed} started in it" in page.inner_text("#wt-pane")
        assert page.is_hidden("#wt-tip")
        page.keyboard.press("Escape")
        page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + HEAD - 10)  # nothing short there
        assert "sum_from" not in page.url


def test_colour_time_and_recording_are_chosen(page: Any) -> None:
    opened(page)
    page.select_option("#wt-colour", "program")
    page.wait_for_function("document.getElementById('wt-legend').textContent.includes('gcc')")
    page.select_option("#wt-colour", "user")
    page.wait_for_function("document.getElementById('wt-legend').textContent.includes('1000')")
    page.select_option("#wt-time", "clock")
    assert "colour=user&time=clock" in page.url
    page.reload()
    assert page.input_value("#wt-time") == "clock"
    assert page.locator("#wt-recording option").count() == 3
    page.select_option("#wt-recording", index=1)
    page.wait_for_url("**/timeline/webpf/2")


def test_the_critical_path(page: Any) -> None:
    """A click into the row above the lanes selects the process that decided at this time."""
    box = opened(page, f"{TIMELINE}?path=1")
    sections = page.request.get(f"{TIMELINE}/path.json").json()["sections"]
    longest = max(sections, key=lambda each: each["end_ms"] - each["start_ms"])
    x = 1 + (box["width"] - 2) * (longest["start_ms"] + longest["end_ms"]) / 2000
    row = f"document.getElementById('wt-main').getContext('2d').getImageData({int(x)}, {HEAD + 4}, 1, 1).data[3]"
    page.wait_for_function(f"{row} > 0")
    page.mouse.click(box["x"] + x, box["y"] + HEAD + 8)
    page.wait_for_url(f"**process={longest['id']}")


def test_the_wheel_scrolls_and_zooms_with_ctrl_or_over_the_axis(page: Any) -> None:
    """Of 1,500 processes at a time, each has a lane with its title; the axis stays when they scroll."""
    box = opened(page, "/-/webpf/timeline/webpf/3")
    page.wait_for_function(f"{STATE}.includes('1,500 bars')")
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.wheel(0, 500)
    page.wait_for_function("document.getElementById('wt-scroll').scrollTop > 300")
    assert page.evaluate("document.querySelector('#wt-scroll > div').offsetHeight") >= 1500 * LANE
    assert page.locator("#wt-main").bounding_box()["y"] == pytest.approx(box["y"], abs=1)
    assert "1.000 s shown" in page.inner_text("#wt-state")
    page.mouse.move(box["x"] + 300, box["y"] + 10)
    page.mouse.wheel(0, -300)
    page.wait_for_function(f"{STATE}.includes('583.031 ms shown')")  # 1.0018 ** -300
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.keyboard.down("Control")
    page.mouse.wheel(0, 300)
    page.keyboard.up("Control")
    page.wait_for_function(f"{STATE}.includes('1.000 s shown')")


def touch(session: Any, kind: str, *points: tuple[float, float]) -> None:
    """Sends a touch event with these fingers."""
    fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})


@in_both
def test_fingers_on_a_phone(chromium: Any, site: Site) -> None:
    """Two fingers zoom, one moves; a tap selects. Nothing is wider than the screen."""
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
    with closing(chromium.new_context(base_url=site.address, **phone)) as context:
        page = context.new_page()
        opened(page)
        page.evaluate("document.getElementById('wt-overview').scrollIntoView()")
        box = page.locator("#wt-main").bounding_box()
        x, y = box["x"], box["y"] + 150
        session = context.new_cdp_session(page)
        touch(session, "touchStart", (x + 100, y))
        touch(session, "touchStart", (x + 100, y), (x + 200, y))
        for step in range(1, 6):
            touch(session, "touchMove", (x + 100 - 10 * step, y), (x + 200 + 10 * step, y))
        touch(session, "touchEnd")
        page.wait_for_function(f"{STATE}.includes('500.000 ms shown')")  # the fingers are twice as far apart
        before = float(re.findall(r"from=([-\d.]+)", page.url)[0])
        touch(session, "touchStart", (x + 200, y))
        for step in range(1, 9):
            touch(session, "touchMove", (x + 200 - 10 * step, y))
        touch(session, "touchEnd")
        page.wait_for_function(f"Number(new URLSearchParams(location.search).get('from')) > {before + 20}")
        page.click("#wt-all")
        page.wait_for_function(f"{STATE}.includes('1.000 s shown')")
        page.touchscreen.tap(x + 20, page.locator("#wt-main").bounding_box()["y"] + HEAD + LANE + 8)
        wait_for_title(page, "sh -c make")
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


def test_a_hidden_page_sends_nothing(page: Any) -> None:
    """A page of a recording in progress asks again only when it is visible again."""
    page.clock.install()
    page.add_init_script("isHidden = false; Object.defineProperty(document, 'hidden', { get: () => isHidden });")
    page.route("**/overview.json*", in_progress)
    asked: list[str] = []
    page.on("request", lambda it: asked.append(it.url) if ".json" in it.url else None)
    opened(page)
    page.wait_for_function(f"{STATE}.includes('recording')")
    with page.expect_response("**/choices.json*"):
        page.clock.fast_forward(61_000)
    page.evaluate("isHidden = true")
    page.clock.fast_forward(61_000)  # what was scheduled before
    before = len(asked)
    for _ in range(3):
        page.clock.fast_forward(61_000)
    assert len(asked) == before
    page.evaluate("isHidden = false; document.dispatchEvent(new Event('visibilitychange'))")
    with page.expect_request("**/overview.json*"):
        page.clock.fast_forward(61_000)
    page.unroute_all(behavior="wait")  # else an answer on its way fails in the next test


def in_progress(route: Any) -> None:
    """Answers as the server does, for a recording that goes on."""
    answer = route.fetch()
    route.fulfill(response=answer, json=answer.json() | {"status": "recording"})


def luminance(colour: str) -> float:
    """Returns the relative luminance of #rrggbb, as WCAG defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Returns the contrast of two colours, as WCAG defines it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_contrast(chromium: Any, site: Site, scheme: str) -> None:
    """Titles on bars and text on the grounds: at least 4.5 : 1; bars on the ground of the chart: at least 3 : 1."""
    with closing(chromium.new_context(base_url=site.address, color_scheme=scheme)) as context:
        page = context.new_page()
        opened(page)
        names = sorted(set(re.findall(r"--([a-z0-9]+):", CSS.read_text(encoding="utf-8"))))
        style = "getComputedStyle(document.getElementById('webpf-timeline')).getPropertyValue('--' + name).trim()"
        found = {name: page.evaluate(f"name => {style}", name) for name in names}
    colours = {name: re.sub(r"^#(.)(.)(.)$", r"#\1\1\2\2\3\3", value) for name, value in found.items()}
    bars = [name for name in colours if re.fullmatch(r"c\d+|ok|failed|signalled|running|lost|path", name)]
    assert len(bars) == 17
    too_low = [name for name in bars if contrast(colours[name], "#ffffff") < 4.5]
    too_low += [name for name in bars if contrast(colours[name], colours["ground"]) < 3]
    texts = [(text, ground) for text in ("ink", "bad", "link") for ground in ("ground", "raised")]
    assert (too_low, [pair for pair in texts if contrast(*(colours[name] for name in pair)) < 4.5]) == ([], [])
