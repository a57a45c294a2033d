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
from pathlib import Path

from tools.bench import million
from webpf.analysis import saved_queries
from webpf.storage import reader

ROWS = 1001
GIVEN = {"pid": "2000", "against": "1"}
"""Parameters, where one must be given: a process; the recording itself, so that `compare` reads two million of them."""


def measure_query(db: Path, query: saved_queries.SavedQuery) -> tuple[float, float, int]:
    """Returns the shortest CPU time and elapsed time of three, in s, and the number of rows, at most ROWS."""
    wanted = [each for each in query.parameters if each.required or each.name == "against"]
    values = saved_queries.bind(query, {each.name: GIVEN.get(each.name, each.example) for each in wanted})
    cpu, elapsed = [], []
    for _ in range(3):
        with reader.reading(db) as connection:
            begun, cpu_begun = time.perf_counter(), time.process_time()
            rows = len(connection.execute(query.sql, values).fetchmany(ROWS))
            cpu.append(time.process_time() - cpu_begun)
            elapsed.append(time.perf_counter() - begun)
    return min(cpu), min(elapsed), rows


def build(db: Path, processes: int) -> None:
    """Builds the recording, and prints what that cost."""
    begun = time.process_time()
    million.build(db, processes)
    spent = time.process_time() - begun
    size = db.stat().st_size
    print(
        f"{processes:,} processes written in {spent:.0f} s of CPU time; {size / processes:.0f} bytes each\n", flush=True
    )


def measure(db: Path) -> None:
    """Prints the table."""
    print(f"SQLite {sqlite3.sqlite_version}, Python {platform.python_version()}, Linux {platform.release()}\n")
    print("| query | CPU, s | elapsed, s | rows |\n|---|---|---|---|")
    for name in saved_queries.names():
        cpu, elapsed, rows = measure_query(db, saved_queries.load(name))
        print(f"| {name} | {f'**{cpu:.2f}**' if cpu > 1 else f'{cpu:.2f}'} | {elapsed:.2f} | {rows:,} |", flush=True)


def main() -> None:
    """Builds the recording if necessary, then measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=1_000_000)
    parser.add_argument("--db", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db = options.db or Path(folder) / "million.db"
        if not db.exists():
            build(db, options.processes)
        measure(db)


if __name__ == "__main__":
    main()
