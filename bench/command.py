"""How much longer a build takes under `webpf record --`, and under strace, in turns; prints a Markdown table.

    sudo python bench/command.py [--rounds N] [--files N]

Needs gcc and make; strace is left out where it is missing. The build is made up: so many C files, each with 300
functions, and `make -j2`. Each round runs it without a recorder, then under each; a ratio is the median of those within
the rounds, since a shared machine drifts. Time is that of the whole command line: a recorder's own start and end count.
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

MAKEFILE = """objects := $(patsubst %.c,%.o,$(wildcard *.c))
program: $(objects) ; gcc -o $@ $^
%.o: %.c ; gcc -O1 -c $< -o $@
"""
FUNCTION = "int f{n}_{m}(int x) {{ for (int i = 0; i < x; i++) x ^= x * {m} + i; return x; }}\n"
BUILD = ["make", "-s", "-j2"]


def write_project(folder: Path, files: int) -> None:
    """A C project."""
    (folder / "Makefile").write_text(MAKEFILE)
    for n in range(files):
        body = "".join(FUNCTION.format(n=n, m=m) for m in range(300))
        (folder / f"part{n}.c").write_text(body + ("int main(void) { return 0; }\n" if n == 0 else ""))


def build(folder: Path, command: list[str]) -> float:
    """Seconds that a build from nothing takes under a command."""
    for made in [*folder.glob("*.o"), folder / "program"]:
        made.unlink(missing_ok=True)
    begun = time.perf_counter()
    subprocess.run([*command, *BUILD], cwd=folder, check=True, env={"PATH": "/usr/bin:/bin"}, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def recorders(folder: Path) -> dict[str, list[str]]:
    """Name and what is put before the build."""
    webpf = str(Path(sys.executable).parent / "webpf")
    found = {"webpf record": [webpf, "record", "-q", "--db", str(folder / "webpf.db"), "--"]}
    found["webpf record --all"] = [webpf, "record", "-q", "--all", "--db", str(folder / "all.db"), "--"]
    strace = shutil.which("strace")
    if strace:
        found["strace -f -e trace=process"] = [strace, "-f", "-e", "trace=process", "-o", str(folder / "strace.txt")]
    return found


def main() -> None:
    """Builds in turns, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=200)
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("recording needs root: sudo python bench/command.py")
    with tempfile.TemporaryDirectory() as project, tempfile.TemporaryDirectory() as written:
        write_project(Path(project), options.files)
        known = recorders(Path(written))
        build(Path(project), [])  # once, so that all is in the page cache
        plain: list[float] = []
        ratios: dict[str, list[float]] = {name: [] for name in known}
        for _ in range(options.rounds):
            plain.append(build(Path(project), []))
            for name, command in known.items():
                ratios[name].append(build(Path(project), command) / plain[-1])
        with sqlite3.connect(Path(written) / "webpf.db") as connection:
            (processes,) = connection.execute("SELECT count(*) FROM processes WHERE recording_id = 1").fetchone()
    print(f"{processes:,} processes; {statistics.median(plain):.1f} s without a recorder; {options.rounds} rounds\n")
    print("| recorder | wall time, ratio | all rounds |\n|---|---|---|")
    for name, each in ratios.items():
        print(f"| {name} | {statistics.median(each):.3f} | {' '.join(f'{ratio:.3f}' for ratio in each)} |")


if __name__ == "__main__":
    main()
