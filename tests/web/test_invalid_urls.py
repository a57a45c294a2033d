"""Invalid URLs and query values get 400 or 404, never 500, in both versions of Datasette."""

from __future__ import annotations

import http.client
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from sites import PYTHONS, Site, running
from story import BUILD
from support import make_recording

TIMELINE = "/-/webpf/timeline/webpf/1"


@pytest.fixture(scope="module", params=sorted(PYTHONS))
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The story, the story with times at both ends of 64 bits, and a file of another program."""
    folder = tmp_path_factory.mktemp("wrong")
    make_recording(folder / "webpf.db", BUILD)
    make_recording(folder / "far.db", BUILD)
    with closing(sqlite3.connect(folder / "far.db")) as far, far:
        far.execute("UPDATE recordings SET started_ns = 9223372036854775807, ended_ns = -9223372036854775808")
        far.execute("UPDATE processes SET start_ns = -9223372036854775808 WHERE pid = 100")
        far.execute("UPDATE processes SET end_ns = 9223372036854775807 WHERE pid = 101")
    with closing(sqlite3.connect(folder / "other.db")) as other:
        other.execute("CREATE TABLE processes (id INTEGER PRIMARY KEY)")
    with running(request.param, [folder / "webpf.db", folder / "far.db", folder / "other.db"]) as site:
        yield site


@pytest.mark.parametrize(
    "value",
    ["nan", "inf", "-inf", "1e999", "-1e999", "9" * 22, "-" + "9" * 22, "1" * 4000, "\u0661\u0662", "1_000",
     "0x10", "1 2", "\0", "\udcff", "1e", "--1", "e5", "[]"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["from", "to", "width", "uid", "outcome"])
def test_invalid_numbers(site: Site, name: str, value: str) -> None:
    written = quote(value, errors="surrogateescape")
    assert site.get(f"{TIMELINE}/window.json?{name}={written}")[0] == 400


@pytest.mark.parametrize(
    "query",
    ["from=-1e12&to=1e12", "from=10&to=5", "width=0", "width=-5", "width=999999999999999999", "uid=-1", "outcome=77",
     "from=0&to=1e-300", "comm=%00", "comm=%ff%fe", "search=%00%25_", "residents=", "from=&to=&uid=", "from=1&from=2"],
)  # fmt: skip
def test_unusual_but_valid_values(site: Site, query: str) -> None:
    assert site.get(f"{TIMELINE}/window.json?{query}")[0] == 200
    assert site.get(f"{TIMELINE.replace('webpf/1', 'far/1')}/window.json?{query}")[0] == 200


@pytest.mark.parametrize("what", ["", "/overview.json", "/choices.json", "/window.json"])
def test_times_at_the_ends_of_64_bits(site: Site, what: str) -> None:
    assert site.get(f"/-/webpf/timeline/far/1{what}")[0] in (200, 404)


NUMBERS = ["0", "2", "-1", "1.0", "9" * 18, "9223372036854775808", "9" * 40, "x", "%D9%A1", "1%00", "~31"]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("page", ["timeline", "perfetto"])
def test_missing_recordings(site: Site, page: str, number: str) -> None:
    rest = ("", "/window.json", "/overview.json", "/choices.json") if page == "timeline" else ("", "/trace")
    for what in rest:
        assert site.get(f"/-/webpf/{page}/webpf/{number}{what}")[0] == 404


@pytest.mark.parametrize("what", ["", "/overview.json", "/choices.json", "/window.json"])
@pytest.mark.parametrize("name", ["other", "_internal", "_memory", "nothing"])
def test_databases_that_are_not_recordings(site: Site, name: str, what: str) -> None:
    assert site.get(f"/-/webpf/timeline/{name}/1{what}")[0] in (404, 403 if name == "_internal" else 404)
    assert site.get(f"/-/webpf/perfetto/{name}/1")[0] in (404, 403 if name == "_internal" else 404)


@pytest.mark.parametrize(
    "path",
    ["/a/b/c", "/-/webpf/x/y/z", "/-/webpf", "/-/webpf/", "/-/webpf/timeline", "/-/webpf/timeline/nothing", "/x.json",
     "/webpf/x", "/webpf/processes/x", "/webpf/processes/999999", "/-/webpf/timeline/~ff~00/1", "/-/webpf/timeline//1",
     f"{TIMELINE}/x.json", f"{TIMELINE}/", "/-/webpf/perfetto-ui/%00", "/-/webpf/perfetto-ui/" + "x" * 5000,
     "/a/b/c/d/e/f"],
)  # fmt: skip
def test_paths_without_a_page(site: Site, path: str) -> None:
    """Includes paths that Datasette answers: its error handler would fail if it used rich."""
    status = site.get(path)[0]
    assert status == (200 if path == f"{TIMELINE}/" else 404)


def test_other_methods(site: Site) -> None:
    for method in ("HEAD", "POST", "PUT", "OPTIONS"):
        for what in ("", "/window.json"):
            with closing(http.client.HTTPConnection(urlsplit(site.address).netloc, timeout=20)) as connection:
                connection.request(method, TIMELINE + what)
                assert connection.getresponse().status < 500


def test_errors_are_logged_without_values(tmp_path: Path) -> None:
    """If rich is installed, Datasette by default prints the variables of each stack frame."""
    make_recording(tmp_path / "webpf.db", BUILD)
    log = tmp_path / "log"
    with running("0.65", [tmp_path / "webpf.db"], log=log) as site:
        assert site.get("/webpf/processes/999999?secret=hunter2")[0] == 404
        assert site.get("/a/b/c/d/e?secret=hunter2")[0] == 404
    assert "locals" not in log.read_text()
    assert "Traceback" not in log.read_text()
