"""Compares two installed versions of webpf, in turns on one machine; prints a Markdown table.

    sudo python -m tools.bench.versions OLD/bin/webpf [NEW/bin/webpf] [--rounds N] [--new-options '--events none']

Each round runs each measurement under both versions, and every other round in reverse order. A ratio is the median of
the ratios within the rounds, with a 95 % confidence interval from the order of the ratios (binomial, without an
assumption about their distribution). "Reached" means that the far end of the interval is within the goal.
"""

from __future__ import annotations

import argparse
import math
import os
import shlex
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tools.bench.compare import HERE, Tool, family, run_under, storm

Measured = dict[str, float]

_ALONE = "python -I -c pass, s"
_UNITS = (
    _ALONE, "first event after, s", "record -- true as a whole, s", "Pss when idle, MiB", "Pss at most, MiB",
    "forks: CPU, us/event", "forks: bytes/process", "forks: slow-down", "execs: CPU, us/event",
    "execs: bytes/process", "execs: slow-down",
)  # fmt: skip


@dataclass(frozen=True)
class Version:
    """An installed webpf, and the options that it gets besides `record --quiet --db FILE`."""

    program: Path
    options: list[str]

    def record(self, db: Path, *arguments: str) -> list[str]:
        """Returns the command that records into a file."""
        return [str(self.program), "record", "--quiet", "--db", str(db), *self.options, *arguments]


def pss_mib(pid: int) -> float:
    """Returns the proportional memory of a process and its descendants, in MiB."""
    total = 0
    for each in family(pid):
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


class PssWatch:
    """Looks at the memory of a process and its descendants all the time, in a thread, and keeps the most."""

    def __init__(self, pid: int) -> None:
        self.most = 0.0
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            try:
                self.most = max(self.most, pss_mib(self._pid))
            except OSError:
                return

    def end(self) -> float:
        """Ends the thread, and returns the most MiB that it saw."""
        self._stop.set()
        self._thread.join()
        return self.most


def measure_start(version: Version, folder: Path) -> Measured:
    """Records `true`: when its first event could come, and how long it all took."""
    db = folder / "start.db"
    begun, begun_ns = time.perf_counter(), time.time_ns()
    subprocess.run(version.record(db, "--", "true"), check=True, stderr=subprocess.DEVNULL)
    whole = time.perf_counter() - begun
    with closing(sqlite3.connect(db)) as connection:
        (started_ns,) = connection.execute("SELECT started_ns FROM recordings").fetchone()
    db.unlink()
    return {"first event after, s": (started_ns - begun_ns) / 1e9, "record -- true as a whole, s": whole}


def measure_memory(version: Version, folder: Path) -> Measured:
    """Records an idle machine from the first moment on."""
    db = folder / "memory.db"
    process = subprocess.Popen(version.record(db), stderr=subprocess.DEVNULL)
    watch = PssWatch(process.pid)
    time.sleep(3)
    idle = pss_mib(process.pid)
    most = watch.end()
    process.send_signal(signal.SIGTERM)
    process.wait()
    db.unlink()
    return {"Pss when idle, MiB": idle, "Pss at most, MiB": most}


def measure_storm(name: str, version: Version, folder: Path, program: Path, arguments: list[str]) -> Measured:
    """Records a storm, in an empty folder. Exits if an event was lost."""
    alone = storm(program, arguments)
    recorded = run_under(Tool("webpf", version.record(folder / "webpf.db")), folder, program, arguments)
    if recorded.lost:
        sys.exit(f"{version.program} lost {recorded.lost} events in the storm of {name}")
    return {
        f"{name}: CPU, us/event": recorded.cpu / recorded.events * 1e6,
        f"{name}: bytes/process": recorded.bytes,
        f"{name}: slow-down": recorded.wall / alone,
    }


def measure_alone() -> Measured:
    """Runs Python without webpf, for a number by which the starts can be judged on another machine."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)
    return {_ALONE: time.perf_counter() - begun}


def interval(ratios: Iterable[float]) -> tuple[float, float]:
    """Returns the 95 % confidence interval of the median: the widest ranks outside of which at most 5 % can lie."""
    ordered = sorted(ratios)
    count, rank = len(ordered), 0
    while 2 * sum(math.comb(count, each) for each in range(rank + 1)) / 2**count <= 0.05:
        rank += 1
    low = max(rank - 1, 0)
    return ordered[low], ordered[count - 1 - low]


def print_table(rounds: list[tuple[Measured, Measured]]) -> None:
    """Prints a row for each measurement."""
    print("| | before | since | ratio | 95 % |\n|---|---|---|---|---|")
    for unit in (each for each in _UNITS if each in rounds[0][0]):
        pairs = [(old[unit], new[unit]) for old, new in rounds]
        ratios = [new / old for old, new in pairs]
        low, high = interval(ratios)
        before, since = (statistics.median(values) for values in zip(*pairs, strict=True))
        ratio = statistics.median(ratios)
        print(f"| {unit} | {before:.3g} | {since:.3g} | {ratio:.3f} | {low:.3f} to {high:.3f} |", flush=True)


def main() -> None:
    """Measures both versions in turns."""
    parser = argparse.ArgumentParser(description="Compares two installed versions of webpf, in turns.")
    parser.add_argument("old", type=Path, help="the program of the version before")
    parser.add_argument("new", type=Path, nargs="?", default=Path(sys.executable).parent / "webpf")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--forks", type=int, default=20_000, help="forks a core")
    parser.add_argument("--execs", type=int, default=3_000)
    parser.add_argument("--old-options", default="", metavar="OPTIONS", help="more options of `record`")
    parser.add_argument("--new-options", default="", metavar="OPTIONS")
    parser.add_argument("--only", choices=["start", "memory", "storms"], help="measure only this")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: recorders need root; try: sudo make bench-versions")
    versions = [
        Version(options.old.absolute(), shlex.split(options.old_options)),
        Version(options.new.absolute(), shlex.split(options.new_options)),
    ]
    cores = os.cpu_count() or 1
    rounds: list[tuple[Measured, Measured]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "out"
        folder.mkdir()
        program = Path(name) / "storm"
        subprocess.run(["gcc", "-O2", "-o", program, HERE / "storm.c"], check=True)
        storms = {"forks": ["forks", str(options.forks), str(cores)], "execs": ["execs", str(options.execs)]}
        for version in versions:
            measure_start(version, folder)  # the cache is warm from now on
        for number in range(options.rounds):
            found: dict[int, Measured] = {0: {}, 1: {}}
            for index in (0, 1) if number % 2 == 0 else (1, 0):
                version, measured = versions[index], found[index]
                if options.only in (None, "start"):
                    measured |= measure_alone() | measure_start(version, folder)
                if options.only in (None, "memory"):
                    measured |= measure_memory(version, folder)
                for storm_name, arguments in storms.items() if options.only in (None, "storms") else ():
                    measured |= measure_storm(storm_name, version, folder, program, arguments)
            rounds.append((found[0], found[1]))
    print(f"{options.rounds} rounds, {cores} processors\n")
    print_table(rounds)


if __name__ == "__main__":
    main()
