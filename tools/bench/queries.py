"""Measures every saved query on a recording of a million processes: its first 1,001 rows, as Datasette reads them.

    python -m tools.bench.queries [--processes N] [--db FILE]

The recording is made up (million.py). It is built into FILE, unless that exists, or without --db into a temporary
folder. Each query runs three times, each time on a new connection; the shortest time counts. Prints a Markdown table of
CPU time, which a busy machine changes less, and of elapsed time.
"""

from __future__ import annotations

import argparse
import platform
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from tools.bench import million
from webpf.analysis import saved_queries
from webpf.storage import reader

ROWS = 1001
GIVEN = {"pid": "2000", "against": "1"}
"""Parameters, where one must be given: a process; the recording itself, so that `compare` reads two million of them."""


class Measured(NamedTuple):
    """The shortest times in s, and the number of rows."""

    cpu: float
    elapsed: float
    rows: int


def measure_query(db: Path, query: saved_queries.SavedQuery) -> Measured:
    """Returns the shortest CPU time and elapsed time of three, in s, and the number of rows, at most ROWS."""
    wanted = [each for each in query.parameters if each.required or each.name == "against"]
    values = saved_queries.bind(query, {each.name: GIVEN.get(each.name, each.example) for each in wanted})
    return shortest(
        lambda connection: len(connection.execute(query.sql, values).fetchmany(ROWS)), lambda: reader.reading(db)
    )


def shortest(run: Callable[[Any], int], opened: Callable[[], AbstractContextManager[Any]]) -> Measured:
    """Runs something three times, each time within a new context, whose value it gets. The context isn't measured."""
    cpu, elapsed, rows = [], [], 0
    for _ in range(3):
        with opened() as given:
            begun, cpu_begun = time.perf_counter(), time.process_time()
            rows = run(given)
            cpu.append(time.process_time() - cpu_begun)
            elapsed.append(time.perf_counter() - begun)
    return Measured(min(cpu), min(elapsed), rows)


def build(db: Path, processes: int) -> None:
    """Builds the recording, and prints what that cost."""
    begun = time.process_time()
    million.build(db, processes)
    spent = time.process_time() - begun
    size = db.stat().st_size
    print(
        f"{processes:,} processes written in {spent:.0f} s of CPU time; {size / processes:.0f} bytes each\n", flush=True
    )


def measure(db: Path) -> Iterator[tuple[str, Measured]]:
    """Yields the name of each query, and what it took."""
    for name in saved_queries.names():
        yield name, measure_query(db, saved_queries.load(name))


def run(
    description: str | None,
    processes: int,
    build: Callable[[Path, int], None],
    measure: Callable[[Path], Iterable[tuple[str, Measured]]],
) -> None:
    """Reads the options, builds a file if necessary, measures, and prints a table. processes: so many by default."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=processes)
    parser.add_argument("--db", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db = options.db or Path(folder) / "webpf.db"
        if not db.exists():
            build(db, options.processes)
        print(f"SQLite {sqlite3.sqlite_version}, Python {platform.python_version()}, Linux {platform.release()}\n")
        print("| query | CPU, s | elapsed, s | rows |\n|---|---|---|---|")
        for name, (cpu, elapsed, rows) in measure(db):
            shown = f"**{cpu:.2f}**" if cpu > 1 else f"{cpu:.2f}"
            print(f"| {name} | {shown} | {elapsed:.2f} | {rows:,} |", flush=True)


if __name__ == "__main__":
    run(__doc__, 1_000_000, build, measure)
