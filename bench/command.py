"""How much longer real builds take under `webpf record --`, and under strace, in turns; prints a Markdown table.

    sudo env PYTHONPATH=proofs python bench/command.py [--rounds N] [NAME ...]

The builds are those of proofs/projects.py. Each round builds without a recorder, then under each; a ratio is the
median of those within the rounds, since a shared machine drifts. Time is that of the whole command line: a recorder's
own start and end count. strace is left out where it is missing, and runs in the first round only.
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

from projects import PROJECTS, Project


def seconds(project: Project, command: list[str]) -> float:
    """What a build from nothing takes under a command."""
    project.prepare()
    os.sync()  # else what was unpacked is written during the build
    begun = time.perf_counter()
    project.build(*command)
    return time.perf_counter() - begun


def recorders(folder: Path) -> dict[str, list[str]]:
    """Name and what is put before the build."""
    found = {"webpf record": [webpf(), "record", "--db", str(folder / "webpf.db"), "--"]}
    strace = shutil.which("strace")
    if strace:
        found["strace"] = [strace, "-f", "-e", "trace=process", "-o", str(folder / "strace.txt")]
    return found


def webpf() -> str:
    """Path of the program, in the environment that runs this."""
    return str(Path(sys.executable).parent / "webpf")


def cost_of_start(folder: Path) -> float:
    """Seconds that a command which does nothing takes under webpf: the best of five."""

    def once() -> float:
        begun = time.perf_counter()
        subprocess.run([webpf(), "record", "-q", "--db", folder / "start.db", "--", "true"], check=True)
        return time.perf_counter() - begun

    return min(once() for _ in range(5))


def measure(project: Project, rounds: int, folder: Path) -> None:
    """Builds in turns, and prints a line of the table for each recorder."""
    plain: list[float] = []
    known = recorders(folder)
    ratios: dict[str, list[float]] = {name: [] for name in known}
    seconds(project, [])  # once, so that all is in the page cache
    for number in range(rounds):
        plain.append(seconds(project, []))
        for name, command in known.items():
            if name != "strace" or number == 0:  # it takes so long, and so much longer, that once tells enough
                ratios[name].append(seconds(project, command) / plain[-1])
    with sqlite3.connect(folder / "webpf.db") as connection:
        (processes,) = connection.execute(
            "SELECT count(*) FROM processes WHERE recording_id = (SELECT max(id) FROM recordings)"
        ).fetchone()
    cells = [f"{statistics.median(each):.3f}{_all(each)}" for each in ratios.values()]
    print(f"| {project.name} | {processes:,} | {statistics.median(plain):.1f} | {' | '.join(cells)} |", flush=True)


def _all(ratios: list[float]) -> str:
    return f" ({' '.join(f'{ratio:.3f}' for ratio in ratios)})" if len(ratios) > 1 else ""


def main() -> None:
    """Prints the table."""
    names = [project.name for project in PROJECTS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names), default=names)
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("recording needs root: sudo env PYTHONPATH=proofs python bench/command.py")
    with tempfile.TemporaryDirectory() as written:
        folder = Path(written)
        print(f"webpf record -- true: {cost_of_start(folder):.2f} s\n")
        print(f"| build | processes | alone, s | {' | '.join(recorders(folder))} |")
        print(f"|{'---|' * (3 + len(recorders(folder)))}")
        for project in PROJECTS:
            if project.name in options.names:
                measure(project, options.rounds, folder)


if __name__ == "__main__":
    main()
