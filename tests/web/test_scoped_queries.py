"""Saved queries in Datasette in the scope that their address names, and at the end of a chain, in both versions."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cut_chains import make_chain
from private_folder import private_folder
from scopes import between
from sites import PYTHONS, Site, running
from story import BUILD, needed, run
from support import exec_, exit_, fork, free, make_recording

from webpf.analysis import saved_queries
from webpf.model.events import Event
from webpf.storage import extract

HOUR_MS = 3_600_000
HOURS = 30
STRETCH = {"_since": "2023-11-14T22:13:20.050Z", "_until": "2023-11-14T22:13:20.082Z"}
"""50 to 82 ms after the begin of the story."""
OPTIONS = ["--since", STRETCH["_since"], "--until", STRETCH["_until"]]
COMPARABLE = [name for name in saved_queries.names() if saved_queries.load(name).takes_scope]
Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


def night() -> list[Event]:
    """Returns the story, and then a backup every hour, of which each third fails."""
    found = list(BUILD)
    for hour in range(HOURS):
        pid, ms, status = 2000 + hour, hour * HOUR_MS + 1000, 0 if hour % 3 else 256
        found += [fork(pid, ms, 1, -5000), exec_(pid, ms, ms + 1, b"backup\0--night\0", "backup")]
        found += [exit_(pid, ms, ms + 500, status, "backup"), free(pid, ms, ms + 510, status=status)]
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A recording, a chain of thirty hours, and a recording of a machine in Seoul."""
    folder = tmp_path_factory.mktemp("scoped")
    make_recording(folder / "webpf.db", BUILD)
    make_chain(folder / "chain.db", night(), [hour * HOUR_MS for hour in range(1, HOURS)], end_ms=HOURS * HOUR_MS)
    shutil.copy(folder / "webpf.db", folder / "seoul.db")
    with closing(sqlite3.connect(folder / "seoul.db")) as connection, connection:
        connection.execute("UPDATE recordings SET zone = 'Asia/Seoul', utc_offset_s = 32400")
    return [folder / f"{name}.db" for name in ("webpf", "chain", "seoul")]


SLOW = """-- title: Slow
-- description: Counts for ever.
-- param recording: integer, default latest; number of the recording
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers)
SELECT count(*) AS n FROM numbers, processes WHERE recording_id = param!(recording)
"""


@pytest.fixture(scope="module", params=sorted(PYTHONS))
def site(request: pytest.FixtureRequest, files: list[Path]) -> Iterator[Site]:
    """Each Datasette with these files, with narrow limits and a slow query."""
    limits = ["--setting", "max_returned_rows", "20", "--setting", "sql_time_limit_ms", "1500"]
    with private_folder() as folder, pytest.MonkeyPatch.context() as patch:
        (folder / "slow.sql").write_text(SLOW)
        patch.setenv("WEBPF_QUERIES", str(folder))
        with running(request.param, [*files, *limits]) as site:
            yield site


def abouts(page: str) -> list[str]:
    """Returns what a page says that its rows are about."""
    return [unescape(part.partition("</p>")[0]) for part in page.split('<p class="webpf-about">')[1:]]


def errors(page: str) -> list[str]:
    """Returns the errors that a page shows."""
    parts = page.split('<p class="message-error')[1:]
    return [unescape(part.partition(">")[2].partition("</p>")[0]) for part in parts]


def address(path: str, *values: dict[str, str]) -> str:
    """Returns a path with a query."""
    return f"{path}?{urlencode([pair for each in values for pair in each.items()])}"


@pytest.mark.parametrize("name", ["failures", "summary", "tree"])
def test_rows_are_those_of_the_command_line(site: Site, files: list[Path], webpf: Webpf, name: str) -> None:
    """It adds times as text, and its table has no row limit; Datasette's has 20."""
    ended = webpf("query", name, *OPTIONS, "--limit", "20", "--format", "json", files[0])
    assert ended.returncode == 0
    shown = site.rows(address(f"/webpf/{name}", STRETCH))
    expected = [{key: row[key] for key in shown[0]} for row in json.loads(ended.stdout)]
    assert shown == expected
    assert ended.stderr.splitlines()[0].removeprefix("webpf: ") in abouts(
        site.get(address(f"/webpf/{name}", STRETCH))[1]
    )


@pytest.fixture(scope="module")
def part(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `webpf extract` makes of the same stretch."""
    db = tmp_path_factory.mktemp("part") / "part.db"
    extract.extract(files[0], db, scope=between(50, 82))
    return db


@pytest.mark.parametrize("name", COMPARABLE)
def test_rows_are_those_of_the_extracted_file(site: Site, part: Path, name: str) -> None:
    expected = run(part, name, **needed(name, "103"))[:20]
    shown = site.rows(address(f"/webpf/{name}", STRETCH, needed(name, "103")))
    binary = {key for row in expected for key, value in row.items() if isinstance(value, bytes)}
    for row in (*shown, *expected):
        for key in binary:
            del row[key]
    assert shown == expected


def test_csv_and_json_have_the_rows_of_the_scope(site: Site) -> None:
    scope = {"_comm": "gcc", "_failed": "1"}
    assert [row["pid"] for row in site.rows(address("/webpf/failures", scope))] == [103]
    status, text = site.get(address("/webpf/failures.csv", scope))
    assert (status, [line.split(",")[1] for line in text.splitlines()]) == (200, ["pid", "103"])
    page = site.get(address("/webpf/failures", scope))[1]
    for kind in ("json", "csv"):
        assert f"/webpf/failures.{kind}?_comm=gcc&amp;_failed=1" in page.replace("&_", "&amp;_")


def test_a_field_can_have_several_values(site: Site) -> None:
    rows = site.rows("/webpf/lifetimes?_comm=gcc&_comm=make&_exit_code=2&_exit_code=1")
    assert sorted(row["pid"] for row in rows) == [101, 103]
    page = site.get("/webpf/lifetimes?_comm=gcc&_comm=make")[1]
    assert 'name="_comm" value="gcc"' in page and 'name="_comm" value="make"' in page


def test_text_that_a_command_line_contains_is_no_pattern(site: Site) -> None:
    assert [row["pid"] for row in site.rows("/webpf/lifetimes?_contains=a.c")] == [103, 102]
    assert site.get("/webpf/lifetimes.json?_contains=a.%2A")[0] == 404
    assert site.get("/webpf/lifetimes.json?_args=a.%2A")[0] == 200  # no such field: an expression could take for ever


BAD = [
    ({"_since": "half past"}, "--since takes a time"),
    ({"_since": "2023-11-15", "_until": "2023-11-14"}, "is before --since"),
    ({"_signal": "LOUD"}, "there is no such signal"),
    ({"_user": "nobody-at-all"}, "there is no such user"),
    ({"_exit_code": "one"}, "--exit-code takes a whole number"),
    ({"_under": "9" * 40}, "--under takes a whole number"),
    ({"_min_lifetime": "<b>long</b>"}, "--min-lifetime takes a time"),
]


@pytest.mark.parametrize(("scope", "message"), BAD)
def test_a_value_that_cannot_be_read(site: Site, scope: dict[str, str], message: str) -> None:
    """One line says so, and what was typed stays in the form."""
    for path in ("/webpf/failures", "/webpf", "/-/webpf/timeline/webpf", "/-/webpf/timeline/webpf/1"):
        status, page = site.get(address(path, scope))
        assert status in (200, 400)
        assert len(errors(page)) == 1 and message in errors(page)[0]
        for name, value in scope.items():
            assert f'name="{name}" value="{value}"' in unescape(page)
        assert "<b>long" not in page
    for path in ("/webpf/failures.json", "/webpf/failures.csv", "/-/webpf/timeline/webpf/window.json"):
        status, text = site.get(address(path, scope))
        assert (status, message in unescape(text)) == (400, True)


def test_an_empty_scope_says_what_there_is(site: Site) -> None:
    expected = {
        "_comm": "nothing in this scope: testhost, 2023-11-14 22:13:20.000+00:00 to 2023-11-14 22:13:21.000+00:00,"
        " recording 1: 17 processes, none with --comm nothing",
        "_until": "webpf has nothing before 1971-01-01 00:00:00+00:00: recording 1 of testhost is from"
        " 2023-11-14 22:13:20.000+00:00 to 2023-11-14 22:13:21.000+00:00",
    }
    for name, message in expected.items():
        scope = {name: "nothing" if name == "_comm" else "1971-01-01"}
        assert errors(site.get(address("/webpf/failures", scope))[1]) == [message]
        status, text = site.get(address("/webpf/failures.json", scope))
        assert (status, json.loads(text)["error"]) == (404, message)
        assert errors(site.get(address("/-/webpf/timeline/webpf", scope))[1]) == [message]


def test_times_are_in_the_zone_of_the_recording(site: Site) -> None:
    """The story begins at 07:13:20 in Seoul."""
    stretch = {"_since": "2023-11-15 07:13:20.076", "_until": "2023-11-15 07:13:20.082"}
    assert [row["pid"] for row in site.rows(address("/seoul/failures", stretch))] == [104]
    assert abouts(site.get(address("/seoul/failures", stretch))[1])[0].startswith(
        "testhost, 2023-11-15 07:13:20.076+09:00 to 2023-11-15 07:13:20.082+09:00, recording 1: "
    )
    assert site.get(address("/seoul/failures.json", stretch, {"_utc": "1"}))[0] == 404


def test_the_end_of_a_chain_is_the_default(site: Site, files: list[Path], webpf: Webpf) -> None:
    ended = webpf("query", "lifetimes", "--format", "json", files[1])
    pids = {row["pid"] for row in json.loads(ended.stdout)}
    assert 2005 not in pids and {2006, 2029} < pids
    page = site.get("/chain/lifetimes")[1]
    assert abouts(page) == [ended.stderr.strip().removeprefix("webpf: ")]
    assert "the last 24 hours of a chain, by default" in abouts(page)[0]
    assert {row["pid"] for row in site.rows("/chain/lifetimes")} < pids
    assert "the last 24 hours of a chain, by default" in abouts(site.get("/chain")[1])[0]
    assert "the last 24 hours of a chain, by default" in abouts(site.get("/-/webpf/timeline/chain")[1])[0]


def test_one_segment_or_all_of_a_chain(site: Site) -> None:
    for name in ("recording", "_recording"):
        assert [row["pid"] for row in site.rows(f"/chain/failures?{name}=4")] == [2003]
    assert {row["pid"] for row in site.rows("/chain/failures?_all=1")} > {2000, 2003, 2027, 103}
    assert [row["pid"] for row in site.rows("/chain/failures?_all=1&_comm=gcc")] == [103]
    assert {row["pid"] for row in site.rows("/chain/failures")} > {2006, 2027}
    assert 2003 not in {row["pid"] for row in site.rows("/chain/failures")}
    assert "no recording 99" in errors(site.get("/chain/failures?_recording=99")[1])[0]


def test_limits_of_datasette_hold(site: Site) -> None:
    status, text = site.get("/chain/lifetimes.json?_all=1")
    assert (status, len(json.loads(text)["rows"]), json.loads(text)["truncated"]) == (200, 20, True)
    for path in ("/webpf/slow?_comm=gcc", "/chain/slow", "/webpf/slow.json?_comm=gcc"):
        begin = time.monotonic()
        status, text = site.get(path)
        assert (status, "sql_time_limit_ms" in text or "interrupted" in text.lower()) == (400, True)
        assert 1.4 < time.monotonic() - begin < 10


def test_scopes_do_not_leak_into_other_requests(site: Site, files: list[Path]) -> None:
    """Requests with and without scopes at a time: each has its own rows, and tables have all of theirs."""
    everything = run(files[0], "failures")
    custom = "/webpf.json?sql=" if site.version == "0.65" else "/webpf/-/query.json?sql="
    custom += "select+count(*)+as+pid+from+processes&_shape=array"
    with closing(sqlite3.connect(files[0])) as connection:
        [count] = connection.execute("SELECT count(*) FROM processes").fetchone()
    expected: dict[str, list[int]] = {
        "/webpf/failures.json?_shape=array&_comm=gcc": [103],
        "/webpf/failures.json?_shape=array&_comm=python": [105, 104],
        "/webpf/failures.json?_shape=array": [row["pid"] for row in everything],
        custom: [count],
    }

    def fetch(path: str) -> tuple[str, list[int]]:
        return path, [row["pid"] for row in json.loads(site.get(path)[1])]

    with ThreadPoolExecutor(8) as threads:
        for path, found in threads.map(fetch, [*expected] * 15):
            assert found == expected[path], path


def test_a_query_that_compares_recordings_takes_no_scope(site: Site) -> None:
    assert errors(site.get("/webpf/compare?_comm=gcc")[1]) == ["query compare reads two recordings, and takes no scope"]
    assert site.get("/webpf/compare.json?_comm=gcc")[0] == 400
    assert site.get("/chain/compare")[0] == 200


def test_a_parameter_names_a_process_of_an_earlier_segment(site: Site, files: list[Path]) -> None:
    """The daemon's shell has a row in each segment: the latest counts."""
    with closing(sqlite3.connect(files[1])) as connection:
        [first] = connection.execute("SELECT min(id) FROM processes WHERE pid = 110").fetchone()
        [last] = connection.execute("SELECT max(id) FROM processes WHERE pid = 110").fetchone()
    rows = site.rows(f"/chain/ancestors?id={first}")
    assert rows[0]["pid"] == 110 and rows[0]["id"] == last


WITHOUT_TIME = """
from webpf.web import read_pool
for pool in (read_pool.QUERIES, read_pool.RECORDINGS):
    pool._seconds = 0
from datasette.cli import cli
cli()
"""


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_a_scope_that_takes_too_long(version: str, files: list[Path]) -> None:
    """The page says what helps, and has the form for it."""
    message = "it took more than 0 s and was cancelled: choose a shorter stretch of time, such as since -1h"
    with running(version, [*files[:2]], start=WITHOUT_TIME) as site:
        for path in ("/chain/failures", "/webpf/failures?_comm=gcc", "/-/webpf/timeline/chain"):
            page = site.get(path)[1]
            assert errors(page) == [message]
            assert 'name="_since"' in page
        assert site.get("/chain/failures.json")[0] == 503
        assert site.get("/webpf/failures")[0] == 200
