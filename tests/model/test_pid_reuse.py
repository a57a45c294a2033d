"""A pid that several processes had means the latest of them, and webpf says so. An id can name any of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from sites import PYTHONS, Site, running
from story import run
from support import exec_, exit_, fork, make_recording, seen

from webpf.analysis import saved_queries
from webpf.model.environment import Variable
from webpf.model.events import Event

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

KEPT = (Variable("HOME", "set", "/root"),)
REUSED: list[Event] = [
    seen(1, -5000, ppid=0),
    fork(70, 0, parent_ms=-5000),
    exec_(70, 0, 1, b"first\0", "first")._replace(environment=KEPT),
    fork(71, 2, ppid=70, parent_ms=0),
    exec_(71, 2, 3, b"child\0of first\0", "child"),
    exit_(71, 2, 4),
    exit_(70, 0, 5),
    fork(70, 10, parent_ms=-5000),
    exec_(70, 10, 11, b"second\0", "second"),
    exit_(70, 10, 12),
    fork(70, 20, ppid=90, parent_ms=-5000),
    exec_(70, 20, 21, b"third\0a\0", "third")._replace(environment=KEPT),
    exec_(70, 20, 22, b"third\0b\0", "third"),
    fork(71, 30, ppid=70, parent_ms=20),
    exec_(71, 30, 31, b"child\0of third\0", "child"),
]
FIRST, SECOND, THIRD = 2, 8, 11
"""Ids of the three processes that had the pid 70."""


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A file in which three processes had the pid 70, and two 71. Its second recording has neither pid."""
    make_recording(tmp_path / "webpf.db", REUSED)
    return tmp_path / "webpf.db"


def commands(text: str) -> list[str]:
    """Returns the command lines of a tree."""
    return [line.partition("  [")[0].lstrip("├└─│ ") for line in text.splitlines()]


def test_the_tree_of_the_latest(db: Path, webpf: Webpf) -> None:
    ended = webpf("tree", "--pid", "70")
    assert commands(ended.stdout) == ["third b", "child 'of third'"]
    assert ended.stderr == (
        "webpf: 3 processes had the pid 70: this is the latest, id 11; --id N shows another: 8, 2\n"
    )
    ended = webpf("tree", "--pid", "1")
    assert ended.stderr == ""


@pytest.mark.parametrize(("id", "lines"), [(FIRST, ["first", "child 'of first'"]), (SECOND, ["second"])])
def test_the_tree_of_an_earlier_one(id: int, lines: list[str], db: Path, webpf: Webpf) -> None:
    """An id also finds a process that isn't in the latest recording."""
    make_recording(db, [])
    ended = webpf("tree", "--id", str(id))
    assert (ended.returncode, commands(ended.stdout), ended.stderr) == (0, lines, "")


def test_bad_input(db: Path, webpf: Webpf) -> None:
    make_recording(db, [])
    for arguments, code in (
        (["tree", "--id", "99"], 66),
        (["tree", "--id", "2", "--recording", "2"], 66),
        (["tree", "--id", "2", "--pid", "70"], 64),
        (["tree", "--pid", "70"], 66),
        (["query", "execs"], 64),
        (["query", "ancestors"], 64),
        (["query", "ancestors", "-p", "id=x"], 64),
    ):
        ended = webpf(*arguments)
        assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (code, "", 1), arguments


def test_queries_say_which_process_a_pid_means(db: Path, webpf: Webpf) -> None:
    for name, column in (("execs", "process_id"), ("ancestors", "of_id")):
        ended = webpf("query", name, "-p", "pid=70", "--format", "json")
        assert {row[column] for row in json.loads(ended.stdout)} == {THIRD}
        assert ended.stderr == (
            "webpf: 3 processes had the pid 70: this is the latest, id 11; -p id=N shows another: 8, 2\n"
        )
        ended = webpf("query", name, "-p", "id=2", "--format", "json")
        assert {row[column] for row in json.loads(ended.stdout)} == {FIRST}
        assert ended.stderr == ""


def test_every_query_that_takes_a_pid_takes_an_id(db: Path) -> None:
    """Datasette passes blank text for a parameter without a value. An id finds a process of any recording."""
    make_recording(db, [])
    by_name = {name: {each.name for each in saved_queries.load(name).parameters} for name in saved_queries.names()}
    taking = [name for name, parameters in by_name.items() if "pid" in parameters]
    assert sorted(taking) == ["ancestors", "environment", "execs", "tree"]
    for name in taking:
        assert "id" in by_name[name]
        by_pid = run(db, name, pid="70", id="", recording="1")
        assert by_pid == run(db, name, pid="", id=str(THIRD), recording="")
        assert by_pid
        assert by_pid != run(db, name, pid="", id=str(FIRST), recording="")
        assert run(db, name, pid="70", id="", recording="") == []


@pytest.fixture(scope="module", params=sorted(PYTHONS))
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serves the file with each version of Datasette."""
    db = tmp_path_factory.mktemp("pids") / "webpf.db"
    make_recording(db, REUSED)
    with running(request.param, [db]) as site:
        yield site


@pytest.mark.parametrize(
    ("name", "parameters", "ids"),
    [
        ("ancestors", {"pid": "70", "id": "", "recording": ""}, [THIRD]),
        ("ancestors", {"pid": "", "id": "2", "recording": ""}, [FIRST, 1]),
        ("tree", {"pid": "70", "id": "", "recording": "", "depth": ""}, [THIRD, 14]),
        ("tree", {"pid": "", "id": "2", "recording": "", "depth": ""}, [FIRST, 4]),
        ("tree", {"pid": "", "id": "2"}, [FIRST, 4]),
    ],
)
def test_in_datasette(name: str, parameters: dict[str, str], ids: list[int], site: Site) -> None:
    status, text = site.get(f"/webpf/{name}.json?{urlencode(parameters)}&_shape=array")
    assert status == 200
    assert [row["id"] for row in json.loads(text)] == ids
