"""Compares webpf with other process recorders under two storms, in turns on one machine; prints a Markdown table.

    sudo python -m tools.bench.compare [--rounds N] [--forks N] [--execs N]

Needs gcc, and for the others the packages linux-perf, forkstat and libbpf-tools (recorders that are not installed are
left out). Each round runs each storm without a recorder, then under each recorder. The slow-down is the median of the
ratios within the rounds, because the speed of a shared machine changes. A recorder's CPU time is what its threads use
(by /proc/PID/task/*/schedstat) from the start of the storm until half a second after it, when all is committed. For
perf it includes the whole of `perf script`, without which its file can't be read.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SCHED = "sched:sched_process_fork,sched:sched_process_exec,sched:sched_process_exit,sched:sched_process_free"


@dataclass(frozen=True)
class Tool:
    """A recorder: its command, and the file whose size or text shows that it has started."""

    name: str
    command: list[str]
    after: list[str] = field(default_factory=list)


@dataclass
class Measured:
    """The measurements of one run of a storm under a tool. Times in seconds."""

    wall: float
    cpu: float = 0.0
    peak_kib: int = 0
    events: int = 0
    lost: int = 0
    bytes: int = 0


def tools(folder: Path, only: str | None = None) -> list[Tool]:
    """Returns the installed recorders, or the one with this name. Each writes into the folder."""
    webpf = shutil.which("webpf", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") or "webpf"
    known = [
        Tool("webpf", [webpf, "record", "--quiet", "--db", str(folder / "webpf.db")]),
        Tool(
            "perf record + script",
            ["perf", "record", "-q", "-a", "-e", SCHED, "-o", str(folder / "perf.data")],
            ["perf", "script", "-i", str(folder / "perf.data")],
        ),
        Tool("forkstat", ["forkstat", "-e", "fork,exec,exit"]),
        Tool("exitsnoop", [shutil.which("exitsnoop", path="/usr/sbin:/usr/bin") or "exitsnoop"]),
    ]
    return [tool for tool in known if shutil.which(tool.command[0]) and only in (None, tool.name)]


def storm(program: Path, arguments: list[str]) -> float:
    """Runs a storm; returns its seconds."""
    return float(subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout)


def family(pid: int) -> list[int]:
    """Returns a process and its descendants: webpf records in a child of the process that is started."""
    below = [child for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
    return [pid, *(each for child in below for each in family(int(child)))]


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time of all threads of a process and its descendants so far."""
    files = [file for each in family(pid) for file in Path(f"/proc/{each}/task").glob("*/schedstat")]
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def run_under(tool: Tool, folder: Path, program: Path, arguments: list[str]) -> Measured:
    """Starts the tool, runs the storm, ends the tool, and returns what it used."""
    output = folder / "output"
    with output.open("wb") as sink:
        process = subprocess.Popen(tool.command, stdout=sink, stderr=subprocess.DEVNULL)
        time.sleep(2)
        before = cpu_seconds(process.pid)
        wall = storm(program, arguments)
        time.sleep(0.5)
        cpu = cpu_seconds(process.pid) - before
        process.send_signal(signal.SIGTERM)
        _, _, usage = os.wait4(process.pid, 0)
    peak = usage.ru_maxrss
    if tool.after:
        with output.open("wb") as sink:
            after = subprocess.Popen(tool.after, stdout=sink, stderr=subprocess.DEVNULL)
            _, _, usage = os.wait4(after.pid, 0)
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss)
    measured = Measured(wall, cpu, peak_kib=peak)
    if tool.name == "webpf":
        _read_database(folder / "webpf.db", measured)
    else:
        text = output.read_bytes()
        measured.events = text.count(b"\n")
        measured.bytes = len(text)
        measured.lost = sum(int(n) for n in re.findall(rb"lost (\d+) events", text))
    for file in folder.iterdir():
        file.unlink()
    return measured


def _read_database(path: Path, measured: Measured) -> None:
    connection = sqlite3.connect(path)
    measured.events, measured.lost, processes = connection.execute(
        "SELECT forks_written + execs_written + exits_written + frees_written, lost,"
        " (SELECT count(*) FROM processes) FROM recordings"
    ).fetchone()
    connection.close()
    measured.bytes = path.stat().st_size // processes


def first_event_seconds(tool: Tool, folder: Path) -> float:
    """Returns the seconds from the command to the start of the recording, as the recording says."""
    begun = time.time_ns()
    process = subprocess.Popen(tool.command, stderr=subprocess.DEVNULL)
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    process.wait()
    path = folder / "webpf.db"
    connection = sqlite3.connect(path)
    (started,) = connection.execute("SELECT started_ns FROM recordings").fetchone()
    connection.close()
    path.unlink()
    return float((started - begun) / 1e9)


def compare(
    name: str, arguments: list[str], processes: int, rounds: int, program: Path, found: list[Tool], folder: Path
) -> None:
    """Prints the table of one storm."""
    plain: list[float] = []
    runs: dict[str, list[Measured]] = {tool.name: [] for tool in found}
    for _ in range(rounds):
        plain.append(storm(program, arguments))
        for tool in found:
            runs[tool.name].append(run_under(tool, folder, program, arguments))
    print(f"\n{name}: {processes:,} processes, {statistics.median(plain):.2f} s without a recorder, {rounds} rounds\n")
    print("| recorder | slow-down | CPU us/event | events | lost | peak MiB | bytes/process |")
    print("|---|---|---|---|---|---|---|")
    for tool in found:
        each = runs[tool.name]
        slow = statistics.median(run.wall / alone for run, alone in zip(each, plain, strict=True))
        per_event = statistics.median(run.cpu / max(run.events, 1) * 1e6 for run in each)
        size = each[-1].bytes if tool.name == "webpf" else each[-1].bytes // processes
        print(
            f"| {tool.name} | {slow:.2f} | {per_event:.1f} | {each[-1].events:,} | {sum(run.lost for run in each):,}"
            f" | {max(run.peak_kib for run in each) / 1024:.0f} | {size} |"
        )


def main() -> None:
    """Runs both storms."""
    parser = argparse.ArgumentParser(description="Compares process recorders under fork and exec storms.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--forks", type=int, default=20_000, help="forks a core")
    parser.add_argument("--execs", type=int, default=2_000)
    parser.add_argument("--only", metavar="NAME", help="only this recorder")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: recorders need root; try: sudo make bench")
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        program = Path(name) / "storm"
        subprocess.run(["gcc", "-O2", "-o", program, HERE / "storm.c"], check=True)
        folder = Path(name) / "out"
        folder.mkdir()
        found = tools(folder, options.only)
        forks = ["forks", str(options.forks), str(cores)]
        compare("Fork storm", forks, options.forks * cores, options.rounds, program, found, folder)
        compare("Exec storm", ["execs", str(options.execs)], options.execs, options.rounds, program, found, folder)
        seconds = [first_event_seconds(tools(folder, "webpf")[0], folder) for _ in range(options.rounds)]
        print(f"\nFrom the command to the first event: {statistics.median(seconds):.2f} s (median of {options.rounds})")


if __name__ == "__main__":
    main()
