"""Measures saved queries over a made-up fleet, in each engine and in SQLite, at two sizes. Prints a Markdown table.

    python -m tools.bench.fleet [--hosts N] [--processes N] [--engines NAME,...] [--folder DIR]

Each host has one recording of as many processes (million.py). The whole command `webpf query NAME --on DIR` is
measured, with the start of Python and of the engine. Of SQLite, it is the same query over the file that `webpf import`
makes of the tree. The smaller size has a tenth of the hosts.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tools.bench import million

WEBPF = [sys.executable, "-m", "webpf"]
SQLITE = "sqlite"
QUERIES = {
    "summary": [], "survival": [], "duplicates": [], "users": [], "cgroups": [], "spawners": [], "exec_chains": [],
    "short_lived": [], "busiest": [], "failures": ["--limit", "1000"],
    "lifetimes": ["--limit", "1000"],
}  # fmt: skip
"""The queries that read most, with their options."""


class Measured(NamedTuple):
    """What a command took: elapsed and CPU time in s, the largest resident memory in MiB."""

    elapsed: float
    cpu: float
    mib: float


def build(folder: Path, hosts: int, processes: int) -> None:
    """Writes the tree of a fleet, unless it is there."""
    db = folder / "host.db"
    if not db.exists():
        million.build(db, processes)
    there = len(list((folder / "fleet" / "recordings").glob("host=*")))
    for number in range(there, hosts):
        with closing(sqlite3.connect(db)) as connection, connection:
            names = f"web{number:03}", f"machine {number}", f"boot {number}"
            connection.execute("UPDATE recordings SET host = ?, machine_id = ?, boot_id = ?", names)
        export = [*WEBPF, "export", str(db), "--to", "parquet", "-o", str(folder / "fleet")]
        subprocess.run(export, check=True, stderr=subprocess.DEVNULL)


def run(command: list[str]) -> Measured | None:
    """Runs a command; None if it failed. Its output goes nowhere."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    elapsed = time.perf_counter() - begun
    return Measured(elapsed, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024) if status == 0 else None


def run_sqlite(db: Path, name: str, limit: int | None) -> Measured | None:
    """Runs a query over all recordings of a file, in a process of its own."""
    line = [sys.executable, "-m", "tools.bench.fleet", "--sqlite", str(db), name]
    return run([*line, str(limit)] if limit else line)


def read_sqlite(db: Path, name: str, limit: int | None) -> None:
    """Reads the rows of a query over all recordings of a file."""
    from webpf.analysis import saved_queries

    with closing(sqlite3.connect(f"{db.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute(
            "CREATE TEMP VIEW processes AS SELECT p.*, r.started_ns AS known_from_ns"
            " FROM main.processes AS p JOIN recordings AS r ON r.id = p.recording_id"
        )
        cursor = connection.execute(saved_queries.load(name).for_fleet({}, "pooled"))
        for number, _ in enumerate(cursor, 1):
            if number == limit:
                break


def measure(folder: Path, engines: list[str], globs: dict[str, list[str]]) -> None:
    """Prints the table. globs: options of `query --on` that choose the hosts, by the name of a size."""
    tree = folder / "fleet"
    for size, options in globs.items():
        db = folder / f"{size}.db"
        if SQLITE in engines and not db.exists():
            imported = run([*WEBPF, "import", str(tree), "-o", str(db), *options])
            print(f"import of {size}: {imported.elapsed if imported else 0:.0f} s", flush=True)
        print(f"\n{size}: elapsed s (CPU s, MiB)\n\n| query | {' | '.join(engines)} |\n|---|{'---|' * len(engines)}")
        for name, more in QUERIES.items():
            cells = []
            for engine in engines:
                if engine == SQLITE:
                    found = run_sqlite(db, name, int(more[1]) if more else None)
                else:
                    line = [*WEBPF, "query", name, "--on", str(tree), "--engine", engine, "--format", "csv"]
                    found = run([*line, *options, *more])
                cells.append(f"{found.elapsed:.1f} ({found.cpu:.1f}, {found.mib:.0f})" if found else "failed")
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Builds the fleet if necessary, then measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--processes", type=int, default=100_000, help="of each host")
    parser.add_argument("--engines", default=f"{SQLITE},duckdb,clickhouse,spark")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--sqlite", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sqlite:
        db, name, *limit = options.sqlite
        read_sqlite(Path(db), name, int(limit[0]) if limit else None)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made)
        folder.mkdir(exist_ok=True)
        build(folder, options.hosts, options.processes)
        few = max(options.hosts // 10, 1)
        globs = {
            f"{few * options.processes:,} processes": [
                word for number in range(few) for word in ("--host", f"web{number:03}")
            ],
            f"{options.hosts * options.processes:,} processes": [],
        }
        measure(folder, options.engines.split(","), globs)


if __name__ == "__main__":
    main()
