"""A recording of a plain stream, of whose machine nothing is known: whatever reads recordings takes it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sites import PYTHONS, running
from story import BUILD, needed
from streams import as_bytes, replay

import webpf as library
from webpf.analysis import saved_queries

Webpf = Callable[..., Any]
PLAIN = [event for event in BUILD if type(event).__name__ in ("Fork", "Exec", "Exit")]


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of a plain stream."""
    file = tmp_path_factory.mktemp("plain") / "webpf.db"
    for name in ("first", "second"):
        assert replay(as_bytes(PLAIN), file, "--name", name).returncode == 0
    return file


@pytest.fixture
def db(replayed: Path, tmp_path: Path) -> Path:
    """A copy of this file for each test."""
    return Path(shutil.copyfile(replayed, tmp_path / "webpf.db"))


@pytest.mark.parametrize("name", saved_queries.names())
def test_saved_queries(db: Path, webpf: Webpf, name: str) -> None:
    given = [each for pair in needed(name, "102").items() for each in ("-p", "=".join(pair))]
    done = webpf("query", name, *given, "--db", db, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), list)
    assert "is of a stream that doesn't say whether events were lost" in done.stderr


def test_losses_are_not_said_to_be_none(db: Path, webpf: Webpf) -> None:
    done = webpf("query", "losses", "--db", db, "--format", "json")
    assert {row["verdict"] for row in json.loads(done.stdout)} == {"not known: the stream didn't say it"}
    assert "it isn't known whether events were lost" in webpf("verify", db).stdout


FORMATS = ("chrome", "csv", "folded", "ndjson", "otlp", "speedscope")


@pytest.mark.parametrize(
    "command",
    [
        *(["recordings"], ["report"], ["tree"], ["verify"], ["rebuild"], ["datasette-config"]),
        *(["export", "--to", format] for format in FORMATS),
        ["diff", "1", "2"],
    ],
    ids=" ".join,
)
def test_commands(db: Path, webpf: Webpf, command: list[str]) -> None:
    done = webpf(*command, "--db", db)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert not re.search(r"\bNone\b", done.stdout), "what is unknown isn't called None"


def test_merge_and_rebuild_keep_it(db: Path, tmp_path: Path, webpf: Webpf) -> None:
    assert webpf("merge", db, "-o", tmp_path / "all.db").returncode == 0
    for path in (db, tmp_path / "all.db"):
        assert webpf("verify", path).returncode == 0
        for number in (1, 2):
            assert library.open(path).recording(number).description.host is None


def test_unknown_costs_are_not_nothing(db: Path, webpf: Webpf) -> None:
    assert re.search(r"^CPU +not known", webpf("diff", "1", "2", "--db", db).stdout, re.MULTILINE)
    assert "0 us of CPU time" not in webpf("report", db).stdout


def test_a_trace_begins_with_the_first_process(db: Path, webpf: Webpf) -> None:
    """Not with the year 1970: a trace counts in microseconds, as floating-point numbers."""
    trace = json.loads(webpf("export", "--db", db, "--to", "chrome").stdout)
    assert 0 <= min(event["ts"] for event in trace["traceEvents"] if "ts" in event) < 1e6


@pytest.mark.parametrize("python", sorted(PYTHONS))
def test_pages(db: Path, python: str) -> None:
    with running(python, [db]) as site:
        for path in ("/webpf/recordings", "/webpf/recordings/1", "/webpf/processes", "/-/webpf/timeline/webpf/2"):
            status, page = site.get(path)
            assert status == 200, path
        assert "an unknown machine" in page
        assert "None" not in page
