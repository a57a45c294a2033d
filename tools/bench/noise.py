"""Counts how often `webpf diff --fail-if` fails equal builds, and finds slower ones, beside a load. Prints Markdown.

    sudo python -m tools.bench.noise [--comparisons 50] [--runs 5] [--compile 10] [--no-load]

A build compiles storm.c a few times with gcc; a slower one does a fifth more of the same. Each comparison records both
sides in turn. Beside it runs a load that takes one CPU for up to three seconds, then rests for as long, by chance: the
noise that this makes is measured, as the standard deviation of equal builds, and printed. There are three series:
equal builds and slower ones with --runs, and slower ones with --runs auto.
"""

from __future__ import annotations

import argparse
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tools.bench.command import webpf
from webpf.analysis import diff, intervals, run_groups
from webpf.analysis.conditions import Condition, Verdict
from webpf.analysis.recording_costs import MEASURES

HERE = Path(__file__).parent
CONDITIONS = [Condition.parse(text) for text in ("cpu>5%", "wall>5%")]
SLOWER = 1.2
_LOAD = """
import random, time
chance = random.Random(int(__import__("sys").argv[1]))
while True:
    until = time.monotonic() + chance.uniform(0, 3)
    while time.monotonic() < until:
        sum(range(10000))
    time.sleep(chance.uniform(0, 3))
"""


class Outcome(NamedTuple):
    """What one comparison said of each condition, how many runs a side it took, and the noise of its first side."""

    verdicts: tuple[Verdict, ...]
    runs: int
    noise: dict[str, float]


def build(compilations: int, folder: Path) -> list[str]:
    """Returns a command that compiles so often."""
    one = f"gcc -O2 -c {shlex.quote(str(HERE / 'storm.c'))} -o {shlex.quote(str(folder / 'storm.o'))}"
    return ["/bin/sh", "-ec", f"i=0; while [ $i -lt {compilations} ]; do {one}; i=$((i + 1)); done"]


@contextmanager
def load(is_wanted: bool, seed: int = 1) -> Iterator[None]:
    """Runs the load within the block."""
    if not is_wanted:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", _LOAD, str(seed)]) as burning:
        try:
            yield
        finally:
            burning.kill()


def compare(folder: Path, after: list[str], before: list[str], options: list[str]) -> Outcome:
    """Records both sides and judges the conditions."""
    db = folder / "noise.db"
    db.unlink(missing_ok=True)
    call = [webpf(), "record", "-q", "--db", str(db), "--name", "pr", *options]
    subprocess.run([*call, "--against", shlex.join(before), "--", *after], check=True, stderr=subprocess.DEVNULL)
    comparison = diff.compare(run_groups.read(db, "base"), run_groups.read(db, "pr"))
    noise = {}
    for measure in MEASURES[:2]:
        values = comparison.before.values(measure)
        noise[measure.condition] = (intervals.deviation(values) or 0) / intervals.mean(values) if values else 0.0
    verdicts = tuple(each.verdict for each in comparison.judge(CONDITIONS))
    return Outcome(verdicts, len(comparison.before.runs), noise)


def measure(title: str, comparisons: int, folder: Path, sides: tuple[list[str], list[str]], options: list[str]) -> None:
    """Makes the comparisons of one series, and prints its rows."""
    begun = time.monotonic()
    found = []
    for number in range(comparisons):
        found.append(compare(folder, *sides, options))
        print(f"{title}: {number + 1} of {comparisons}, {time.monotonic() - begun:.0f} s", file=sys.stderr)
    runs = intervals.median([each.runs for each in found])
    for at, condition in enumerate(CONDITIONS):
        counts = Counter(each.verdicts[at] for each in found)
        noise = intervals.median([each.noise[condition.measure.condition] for each in found])
        shown = " | ".join(str(counts[verdict]) for verdict in (Verdict.NOT_MET, Verdict.MET, Verdict.UNDECIDED))
        print(f"| {title} | {condition.text} | {shown} | {runs:g} | {noise:.1%} |", flush=True)


def main() -> None:
    """Measures as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=50)
    parser.add_argument("--runs", default="5")
    parser.add_argument("--max-runs", default="30")
    parser.add_argument("--compile", type=int, default=10, help="how often a build compiles")
    parser.add_argument("--no-load", action="store_true")
    parser.add_argument("--series", nargs="*", default=["equal", "slower", "auto"])
    chosen = parser.parse_args()
    fixed = ["--runs", chosen.runs]
    decide = [word for each in CONDITIONS for word in ("--to-decide", each.text)]
    auto = ["--runs", "auto", "--max-runs", chosen.max_runs, *decide]
    with tempfile.TemporaryDirectory(prefix="webpf-noise-") as name, load(not chosen.no_load, random.randrange(1000)):
        folder = Path(name)
        equal, slower = (build(round(chosen.compile * factor), folder) for factor in (1, SLOWER))
        print("| builds | condition | passed | failed | can't tell | runs a side (median) | noise (median) |")
        print("|---|---|---:|---:|---:|---:|---:|", flush=True)
        for key, title, after, options in (
            ("equal", "equal", equal, fixed),
            ("slower", "20 % slower", slower, fixed),
            ("auto", "20 % slower, --runs auto", slower, auto),
        ):
            if key in chosen.series:
                measure(title, chosen.comparisons, folder, (after, equal), options)


if __name__ == "__main__":
    main()
