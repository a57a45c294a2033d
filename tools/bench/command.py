"""Measures how much longer real builds take under `webpf record --` and under strace; prints a Markdown table.

    sudo python -m tools.bench.command [--rounds N] [NAME ...]

The builds are those of tools/builds/projects.py. Each round builds without a recorder and under webpf. Every other
round reverses the order, because the speed of a shared machine changes. A ratio is the median over the rounds. Times
are those of the whole command line, with the start and end of the recorder. strace runs once, if it is installed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.builds.projects import PROJECTS, Project


def seconds(project: Project, command: list[str]) -> float:
    """Returns the seconds that a clean build takes under a command."""
    project.prepare()
    os.sync()  # otherwise the unpacked files are written to disk during the build
    begun = time.perf_counter()
    project.build(*command)
    return time.perf_counter() - begun


def under_webpf(folder: Path) -> list[str]:
    """Returns the words before the build command that record it with webpf."""
    return [webpf(), "record", "--db", str(folder / "webpf.db"), "--"]


def under_strace(folder: Path) -> list[str] | None:
    """Returns the same for strace; None if it isn't installed."""
    strace = shutil.which("strace")
    return [strace, "-f", "-e", "trace=process", "-o", str(folder / "strace.txt")] if strace else None


def webpf() -> str:
    """Returns the path of webpf in the virtual environment that runs this."""
    return str(Path(sys.executable).parent / "webpf")


def cost_of_start(folder: Path) -> float:
    """Returns the seconds that `true` takes under webpf, the best of five."""

    def once() -> float:
        begun = time.perf_counter()
        subprocess.run([webpf(), "record", "-q", "--db", folder / "start.db", "--", "true"], check=True)
        return time.perf_counter() - begun

    return min(once() for _ in range(5))


def measure(project: Project, rounds: int, folder: Path) -> None:
    """Runs the builds in turns, and prints a line of the table."""
    plain: list[float] = []
    recorded: list[float] = []
    turns: list[tuple[list[float], list[str]]] = [(plain, []), (recorded, under_webpf(folder))]
    seconds(project, [])  # first, so that all files are in the page cache
    for number in range(rounds):
        for times, command in turns if number % 2 == 0 else reversed(turns):
            times.append(seconds(project, command))
    ratios = [under / alone for alone, under in zip(plain, recorded, strict=True)]
    strace = under_strace(folder)
    # Once is enough: it takes long, and the difference is large.
    traced = f"{seconds(project, strace) / statistics.median(plain):.1f}" if strace else ""
    with sqlite3.connect(folder / "webpf.db") as connection:
        (processes,) = connection.execute(
            "SELECT count(*) FROM processes WHERE recording_id = (SELECT max(id) FROM recordings)"
        ).fetchone()
    each = " ".join(f"{ratio:.3f}" for ratio in ratios)
    print(
        f"| {project.name} | {processes:,} | {statistics.median(plain):.1f} | {statistics.median(ratios):.3f} ({each})"
        f" | {traced} |",
        flush=True,
    )


def main() -> None:
    """Prints the table."""
    names = [project.name for project in PROJECTS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names), default=names)
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("recording needs root: sudo python -m tools.bench.command")
    with tempfile.TemporaryDirectory() as written:
        folder = Path(written)
        print(f"webpf record -- true: {cost_of_start(folder):.2f} s\n")
        print("| build | processes | alone, s | webpf record -- | strace -f |")
        print("|---|---|---|---|---|")
        for project in PROJECTS:
            if project.name in options.names:
                measure(project, options.rounds, folder)


if __name__ == "__main__":
    main()
