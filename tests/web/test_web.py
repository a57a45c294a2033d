"""The plugin in Datasette 0.65 and 1.0: queries, descriptions and cells; and `webpf datasette-config`."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from sites import PYTHONS, WITHOUT_PLUGINS, Site, running
from story import BUILD, needed, run
from support import Machine, exec_, exit_, fork, make_recording, recording_values, seen

from webpf.analysis import saved_queries
from webpf.capture.recording_session import Session
from webpf.host import clock
from webpf.model.event_source import MemorySource
from webpf.model.events import Event
from webpf.storage.recording_file import RecordingFile

NAMES = saved_queries.names()
HOSTILE = "<b>&\"'🙂"
Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A recording, one with names that are HTML, one without processes, and a file of another program."""
    folder = tmp_path_factory.mktemp("files")
    make_recording(folder / "webpf.db", BUILD)
    argv = b"sh\0-c\0<script>alert(1)</script> \xf0\x9f\x99\x82\x1b[31m\0"
    events: list[Event] = [
        seen(1, -50, ppid=0),
        fork(100, 0),
        exec_(100, 0, 1, argv, HOSTILE),
        exit_(100, 0, 5, comm=HOSTILE),
    ]
    make_recording(folder / "hostile.db", events)
    make_recording(folder / "empty.db", [])
    with closing(sqlite3.connect(folder / "other.db")) as other:
        other.execute("CREATE TABLE processes (id INTEGER PRIMARY KEY, start_ns INTEGER, signal INTEGER)")
        other.execute("INSERT INTO processes VALUES (1, 1700000000000000000, 9)")
        other.commit()
    return [folder / f"{name}.db" for name in ("webpf", "hostile", "empty", "other")]


@pytest.fixture(scope="module", params=sorted(PYTHONS))
def site(request: pytest.FixtureRequest, files: list[Path]) -> Iterator[Site]:
    """Each Datasette with all these files, and without options."""
    with running(request.param, files) as site:
        yield site


def query_string(values: dict[str, str]) -> str:
    """Returns parameters as the query of a URL."""
    return "".join(f"{'&' if i else '?'}{name}={value}" for i, (name, value) in enumerate(values.items()))


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_query_has_a_page_with_the_same_rows(site: Site, files: list[Path], name: str) -> None:
    query = saved_queries.load(name)
    values = needed(name, "102")
    status, page = site.get(f"/webpf/{name}{query_string(values)}")
    assert status == 200
    assert query.title in page
    assert query.description.split(".")[0][:60] in unescape(page)
    for parameter in query.parameters:
        assert f'name="{parameter.name}"' in page
    expected = run(files[0], name, **values)
    shown = site.rows(f"/webpf/{name}{query_string(values)}")
    binary = {key for row in expected for key, value in row.items() if isinstance(value, bytes)}
    assert [without_columns(row, binary) for row in shown] == [without_columns(row, binary) for row in expected]


def without_columns(row: dict[str, Any], columns: set[str]) -> dict[str, Any]:
    """Returns a row without some of its columns."""
    return {key: value for key, value in row.items() if key not in columns}


def test_a_query_takes_its_parameters_from_the_address(site: Site, files: list[Path]) -> None:
    assert site.rows("/webpf/short_lived?max_ms=10") == run(files[0], "short_lived", max_ms="10")


def test_the_database_page_has_a_title_and_links_to_queries(site: Site) -> None:
    _, page = site.get("/webpf")
    assert "what ran on this machine" in page
    assert "fact_blocks</a></h3>" not in page
    _, queries = site.get("/webpf" if site.version == "0.65" else "/webpf/-/queries?_size=100")
    for name in NAMES:
        assert f'href="/webpf/{name}"' in queries


def test_tables_and_columns_are_described(site: Site) -> None:
    status, page = site.get("/webpf/processes")
    assert status == 200
    text = unescape(page)
    assert "One row for each process (never for a thread)" in text
    assert "process id in the initial pid namespace; unique within a boot with start_ns" in text
    ids = [int(row["id"]) for row in site.rows("/webpf/processes")]
    assert ids == sorted(ids, reverse=True)


def test_times_durations_and_signals_are_readable(site: Site) -> None:
    _, page = site.get("/webpf/processes?pid=104")
    assert '<span title="139">' not in page
    assert '<span title="11">11 SEGV</span>' in page
    assert '<span title="10000000">10.00 ms</span>' in page
    assert '<span title="3000">2.93 MiB</span>' in page
    assert '<span title="6000000">6.00 ms</span>' in page  # user_ns
    assert '<span title="512">512 B</span>' in page
    assert '<span title="4096">4 KiB</span>' in page
    assert re.search(r">20\d\d-\d\d-\d\d \d\d:\d\d:20\.070000\+00:00</span>", page)
    assert "/usr/bin/gcc -c a.c" in site.get("/webpf/execs?pid=103")[1]
    _, page = site.get("/webpf/crashes")
    assert '<a href="/webpf/processes/17">17</a>' in page


def test_a_row_links_to_its_parent_children_and_events(site: Site) -> None:
    """Checks `make`: its parent is the shell, and it has five children."""
    status, page = site.get("/webpf/processes/7")
    assert status == 200
    assert 'href="/webpf/processes/5"' in page
    for table, column in (("processes", "parent_id"), ("programs", "process_id"), ("exits", "process_id")):
        assert f"/webpf/{table}?{column}" in page
    for path in ("/webpf/processes/7", "/webpf/processes?pid=101"):
        page = site.get(path)[1]
        assert 'href="/webpf/tree?id=7"' in page
        assert 'href="/webpf/programs?process_id=7"' in page
    assert site.rows("/webpf/tree?id=7")[0]["tree"] == "/usr/bin/make"
    assert [row["comm"] for row in site.rows("/webpf/programs?process_id=7")] == ["make"]


def test_recordings_link_to_their_timelines(site: Site) -> None:
    for path in ("/webpf/recordings", "/webpf/recordings/1"):
        assert 'complete <a href="/-/webpf/timeline/webpf/1">timeline</a>' in site.get(path)[1]


def test_descriptions_of_columns_are_folded(site: Site) -> None:
    assert "webpf/pages.css" in site.get("/webpf/processes")[1]
    assert "webpf/pages.css" not in site.get("/other/processes")[1]
    assert "<summary>Descriptions of the columns</summary><dl" in site.get("/webpf/processes")[1]
    assert "webpf/colours.css" not in site.get("/")[1], "another program's file is served too"


def test_names_are_escaped(site: Site) -> None:
    for path in ("/hostile/processes", "/hostile/lifetimes", "/hostile/summary", "/hostile/tree", "/hostile/timeline"):
        status, page = site.get(path)
        assert status == 200
        assert "<script>alert" not in page
        assert HOSTILE not in page
        assert HOSTILE in unescape(page) or path.endswith("tree")


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_without_processes(site: Site, name: str) -> None:
    assert site.get(f"/empty/{name}{query_string(needed(name, '102'))}")[0] == 200


def test_other_databases_are_not_changed(site: Site) -> None:
    _, page = site.get("/other/processes")
    assert "1700000000000000000" in page
    assert "KILL" not in page
    assert "One row for each process" not in page
    assert site.get("/other/lifetimes")[0] == 404


def test_the_file_is_read_only(site: Site) -> None:
    """Datasette refuses custom SQL that writes."""
    status, page = site.get(
        "/webpf?sql=DELETE+FROM+processes" if site.version == "0.65" else "/webpf/-/query?sql=DELETE+FROM+x"
    )
    assert status != 200 or "must be a SELECT" in page


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_a_recording_in_progress_shows_new_rows(version: str, tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "live.db")
    session = Session(MemorySource([]), file.begin(recording_values()), Machine(clock_offset=clock.measure_offset()))
    session.add_events([fork(100, 0)])
    with running(version, [tmp_path / "live.db"]) as site:
        assert [row["pid"] for row in site.rows("/live/lifetimes")] == [100]
        session.add_events([fork(101, 1), exit_(100, 0, 5)])
        assert [(row["pid"], row["state"]) for row in site.rows("/live/lifetimes")] == [
            (100, "exited"),
            (101, "running"),
        ]
    file.close()


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_a_datasette_without_the_plugin(version: str, files: list[Path], tmp_path: Path, webpf: Webpf) -> None:
    """With the output of `webpf datasette-config`, it has the same queries and descriptions."""
    answer = webpf("datasette-config", files[0])
    assert (answer.returncode, answer.stderr) == (0, "")
    config = tmp_path / "webpf.yaml"
    config.write_text(answer.stdout)
    options: list[Path | str] = ["-m", config] if version == "0.65" else ["-m", config, "-c", config]
    with running(version, [files[0], *options], start=WITHOUT_PLUGINS) as site:
        assert '"webpf"' not in site.get("/-/plugins.json")[1]
        for name in NAMES:
            assert saved_queries.load(name).title in site.get(f"/webpf/{name}{query_string(needed(name, '102'))}")[1]
        assert site.rows("/webpf/short_lived?max_ms=10") == run(files[0], "short_lived", max_ms="10")
        assert "One row for each process (never for a thread)" in site.get("/webpf/processes")[1]
        ids = [int(row["id"]) for row in site.rows("/webpf/processes")]
        assert ids == sorted(ids, reverse=True)


@pytest.mark.parametrize(
    "sql",
    ["select id from recordings", "select id, pid from processes", "select 7 as id, 7 as of_id"],
)
def test_ids_in_custom_sql_are_not_links(site: Site, sql: str) -> None:
    """They can be ids of anything."""
    base = "/webpf?sql=" if site.version == "0.65" else "/webpf/-/query?sql="
    status, page = site.get(base + sql.replace(" ", "+"))
    assert status == 200
    assert "/webpf/processes/" not in page


@pytest.mark.parametrize("name", [name for name in NAMES if {"id", "of_id"} & saved_queries.load(name).columns.keys()])
def test_ids_in_saved_queries_link_to_processes(site: Site, files: list[Path], name: str) -> None:
    """Each link leads to an existing row, with the pid that is shown beside the link."""
    path = f"/webpf/{name}{query_string(needed(name, '102'))}"
    page = site.get(path)[1]
    for row in run(files[0], name, **needed(name, "102")):
        assert f'href="/webpf/processes/{row["id"]}"' in page
        with closing(sqlite3.connect(files[0])) as connection:
            pid = connection.execute("SELECT pid FROM processes WHERE id = ?", [row["id"]]).fetchone()
        assert pid == (row.get("pid", pid[0]),)


def test_no_facets_by_default(site: Site) -> None:
    """Each facet would read all rows. They are still available on request."""
    assert 'class="facet-info ' not in site.get("/webpf/processes")[1]
    assert 'class="facet-info ' in site.get("/webpf/processes?_facet=state")[1]
