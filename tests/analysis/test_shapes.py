"""Recordings of extreme shapes: the cost of reading them grows linearly with their size, not with its square.

The shapes are a chain in which each process is the parent of the next, one process with very many programs, very many
children of one parent, and very many processes whose parent isn't in the recording. The tests don't measure time: they
count instructions of SQLite's virtual machine, calls of Python functions, and bytes.
"""

from __future__ import annotations

import io
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from support import exec_, exit_, fork, free, make_recording
from typer.testing import CliRunner

from webpf.analysis import recording_costs, saved_queries, timeline, timeline_view
from webpf.cli import app
from webpf.export import exporter, formats
from webpf.model.events import Event
from webpf.storage import reader, verify

N = 1_000
"""The smaller of two recordings; the other is twice as large."""
AT_MOST = 2.6
"""How much more work twice as much may be: n log n, and what doesn't grow. The square would be 4."""
PAGE = 100  # of SQLite's instructions


def chain(number: int) -> Iterator[Event]:
    """Each process is the parent of the next. The last one ends first."""
    for level in range(number):
        parent = {"ppid": 999 + level, "parent_ms": (level - 1) * 0.01} if level else {"ppid": 1}
        yield fork(1000 + level, level * 0.01, **parent)
    for level in reversed(range(number)):
        end = number * 0.02 + (number - level) * 0.01
        yield exit_(1000 + level, level * 0.01, end, 256, ppid=999 + level)
        yield free(1000 + level, level * 0.01, end + 0.005, status=256)


def execs(number: int) -> Iterator[Event]:
    """One process executes one program after the other."""
    yield fork(1000, 0)
    for step in range(number):
        yield exec_(1000, 0, 1 + step * 0.01, b"/bin/p%d\0x\0" % (step % 7), f"p{step % 7}")
    yield exit_(1000, 0, number * 0.01 + 2)
    yield free(1000, 0, number * 0.01 + 3)


def children(number: int, ppid: int = 999) -> Iterator[Event]:
    """Many children of one parent at the same time, each with its own command line. Half of them fail."""
    if ppid == 999:
        yield fork(999, 0)
    for child in range(number):
        start = 1 + child * 0.01
        yield fork(1000 + child, start, ppid=ppid, parent_ms=0)
        yield exec_(1000 + child, start, start + 0.001, b"/bin/p%d\0%d\0" % (child % 7, child), f"p{child % 7}")
    for child in range(number):
        start, end, status = 1 + child * 0.01, 10 + (number + child) * 0.01, child % 2 * 256
        yield exit_(1000 + child, start, end, status, ppid=ppid)
        yield free(1000 + child, start, end + 0.001, status=status)


def orphans(number: int) -> Iterator[Event]:
    """The same children, but their parent isn't in the recording."""
    return children(number, ppid=1)


SHAPES: dict[str, Callable[[int], Iterator[Event]]] = {
    "chain": chain, "execs": execs, "children": children, "orphans": orphans,
}  # fmt: skip


@pytest.fixture(scope="module", params=sorted(SHAPES))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Makes a recording of a shape, and one of twice the size."""
    folder = tmp_path_factory.mktemp(request.param)
    for size in (N, 2 * N):
        make_recording(folder / f"{size}.db", SHAPES[request.param](size), end_ms=size * 0.05 + 50, batch=1000)
    return folder / f"{N}.db", folder / f"{2 * N}.db"


class Progress:
    """Counts, within a `with` block, pages of SQLite's instructions on a connection and calls of Python functions."""

    def __init__(self) -> None:
        self.pages = self.calls = 0

    def make_interruptible(self, connection: sqlite3.Connection) -> None:
        """Counts on this connection too."""
        connection.set_progress_handler(self._page, PAGE)

    def report(self, done: int, total: int) -> None:
        """Exports call this; nothing to do."""

    def _page(self) -> int:
        self.pages += 1
        return 0

    def _call(self, frame: FrameType, event: str, argument: Any) -> None:
        self.calls += 1

    def __enter__(self) -> Progress:
        sys.setprofile(self._call)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)


def grows_as_it_should(pair: tuple[Path, Path], consume: Callable[[Path, Progress], int]) -> None:
    """Checks that the cost grows with the size by a factor of at most AT_MOST. consume: returns its bytes of output."""
    small, large = (_measured(db, consume) for db in pair)
    for what, one, other, least in zip(("pages", "calls", "bytes"), small, large, (500, 2000, 20_000), strict=True):
        assert other <= AT_MOST * max(one, least), f"{what}: {one} for {N}, {other} for {2 * N}"


def _measured(db: Path, consume: Callable[[Path, Progress], int]) -> tuple[int, int, int]:
    with Progress() as counter:
        size = consume(db, counter)
    return counter.pages, counter.calls, size


@pytest.mark.parametrize("name", saved_queries.names())
def test_queries(name: str, pair: tuple[Path, Path]) -> None:
    """Includes the ancestors of the last process of a chain, and trees from a pid down and to any depth."""

    def consume(db: Path, counter: Progress) -> int:
        query = saved_queries.load(name)
        last = {"pid": str(1000 + (N if db == pair[0] else 2 * N) - 1)}
        given: list[dict[str, str]] = [{}]
        if name in ("ancestors", "execs"):
            given = [{"pid": "1000"}, last]
        elif name == "tree":
            given = [{}, {"pid": "1000"}, {"depth": "1"}, {"depth": "100000"}]
        size = 0
        with reader.reading(db) as connection:
            counter.make_interruptible(connection)
            for values in given:
                for row in connection.execute(query.sql, saved_queries.bind(query, values)):
                    size += sum(len(str(value)) for value in row)
        return size

    grows_as_it_should(pair, consume)


WEIGHED = [(format, weight) for format in ("folded", "speedscope") for weight in ("cpu", "count")]


ONE_FILE = [name for name, each in formats.FORMATS.items() if each.load_writer]


@pytest.mark.parametrize(("format", "weight"), [*((format, "wall") for format in ONE_FILE), *WEIGHED])
def test_exports(format: str, weight: str, pair: tuple[Path, Path]) -> None:
    def consume(db: Path, counter: Progress) -> int:
        out = io.BytesIO()
        exporter.export(db, None, format, weight, out, counter)
        return len(out.getvalue())

    grows_as_it_should(pair, consume)


def test_parquet(pair: tuple[Path, Path]) -> None:
    pytest.importorskip("pyarrow", reason="no pyarrow")
    from webpf.fleet import tree_export

    def consume(db: Path, counter: Progress) -> int:
        with tempfile.TemporaryDirectory() as folder:
            return tree_export.export(db, Path(folder), progress=counter).bytes

    grows_as_it_should(pair, consume)


@pytest.mark.parametrize(
    "command",
    [
        *("tree", "tree --no-fold", "tree --depth 1", "tree --depth 100000", "report", "query tree", "query lifetimes"),
        *(
            "tree --format json",
            "tree --format json --depth 100000",
            "report --format json",
            "report --format markdown",
        ),
        "verify --format json",
    ],
)
def test_commands(command: str, pair: tuple[Path, Path]) -> None:
    def consume(db: Path, counter: Progress) -> int:
        name, *options = command.split()
        file = [*options, "--db", str(db)] if name == "query" else [str(db), *options]
        ended = CliRunner().invoke(app.build(name), [name, *file])
        assert ended.exit_code == 0, ended.output
        return len(ended.output.encode())

    grows_as_it_should(pair, consume)


def test_checks_and_comparisons(pair: tuple[Path, Path]) -> None:
    def consume(db: Path, counter: Progress) -> int:
        assert not [problem for finding in verifying(db) for problem in finding.problems]
        return len(str(recording_costs.read(db, None)))

    def verifying(db: Path) -> list[Any]:
        return list(verify.verify(db))

    grows_as_it_should(pair, consume)


def test_the_timeline(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """This also holds if all bars are sent."""
    monkeypatch.setattr(timeline, "MOST_BARS", 1_000_000)

    def consume(db: Path, counter: Progress) -> int:
        with closing(sqlite3.connect(db)) as connection:
            counter.make_interruptible(connection)
            (recording,) = reader.recordings(connection, 1)
            view = timeline_view.View(0, timeline_view.length_ns(connection, recording) / 1e6, 1000)
            return len(str(timeline.window(connection, recording, view))) + len(
                str(timeline.overview(connection, recording))
            )

    grows_as_it_should(pair, consume)


def test_lanes_that_are_all_full() -> None:
    """Counts executed lines of Python. If all bars overlap, each takes the next lane."""

    def steps(number: int) -> int:
        count = 0

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal count
            count += 1
            return trace

        bars = [{"id": n, "parent_id": None, "start_ms": float(n), "end_ms": 1e9} for n in range(number)]
        sys.settrace(trace)
        try:
            assert timeline.assign_lanes(bars) == number
        finally:
            sys.settrace(None)
        return count

    assert steps(1024) <= AT_MOST * steps(512)


def test_what_is_too_deep_is_counted(tmp_path: Path) -> None:
    """In the tree, in the query, in stacks, and in chains of programs, shown and counted processes add up to all."""
    make_recording(tmp_path / "chain.db", chain(500), end_ms=100, batch=1000)
    lines = CliRunner().invoke(app.build("tree"), ["tree", str(tmp_path / "chain.db")]).output.splitlines()
    assert (len(lines), lines[-1].partition(" … ")[2]) == (101, "399 more processes below")
    lines = (
        CliRunner()
        .invoke(app.build("tree"), ["tree", str(tmp_path / "chain.db"), "--depth", "499"])
        .output.splitlines()
    )
    assert (len(lines), "more process" in lines[-1]) == (500, False)
    query = saved_queries.load("tree")
    with reader.reading(tmp_path / "chain.db") as connection:
        rows = connection.execute(query.sql, saved_queries.bind(query, {})).fetchall()
    below = [row[[*query.columns].index("below")] for row in rows]
    assert (len(rows), below[-1], set(below[:-1])) == (101, 399, {None})
    out = io.BytesIO()
    exporter.export(tmp_path / "chain.db", None, "folded", "count", out)
    *_, last = sorted(out.getvalue().decode().splitlines(), key=len)
    assert last.endswith(";… 400 more processes below 400")
    make_recording(tmp_path / "execs.db", execs(50), end_ms=100, batch=1000)
    query = saved_queries.load("exec_chains")
    with reader.reading(tmp_path / "execs.db") as connection:
        (row,) = connection.execute(query.sql, saved_queries.bind(query, {}))
    assert row[0].split(" > ")[-2:] == ["p5", "… 30 more"]
    assert (len(row[0].split(" > ")), row[2]) == (21, 50)
