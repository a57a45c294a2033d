"""Records a steady load for a long time: does memory grow, is anything lost, what does it cost? Prints Markdown.

    sudo python -m tools.bench.soak [--minutes N] [--rate EXECS] [-- --rotate 2m --max-size 256MiB ...]

What follows -- is given to `webpf record`. Resident memory is read from /proc at regular times, and with it the size of
the file with its log. It is compared after the first tenth of the run, when caches are
full. CPU time is that of the recorder, in percent of one processor. At the end, the file is verified.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tools.bench.compare import HERE, cpu_seconds, family

SAMPLES = 20


def resident_mib(pid: int) -> float:
    """Returns the resident memory of a process in MiB."""
    pages = max(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in family(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def file_mib(db: Path) -> float:
    """Returns the size of a file with its log, in MiB."""
    sizes = [each.stat().st_size for each in (db, db.with_name(f"{db.name}-wal")) if each.exists()]
    return sum(sizes) / 2**20


class Sample(NamedTuple):
    """What is measured at regular times. cpu: percent of one processor since the sample before."""

    minute: float
    resident_mib: float
    cpu: float
    file_mib: float


def sample(recorder: int, storm: subprocess.Popen[str], minutes: float, db: Path) -> list[Sample]:
    """Returns samples, and prints them, until the storm is over. The size is the greatest of each second."""
    samples: list[Sample] = []
    begun = then = time.monotonic()
    spent = cpu_seconds(recorder)
    while storm.poll() is None:
        largest = 0.0
        while time.monotonic() < then + minutes * 60 / SAMPLES:
            largest = max(largest, file_mib(db))
            time.sleep(1)
        now, spends = time.monotonic(), cpu_seconds(recorder)
        samples.append(
            Sample((now - begun) / 60, resident_mib(recorder), 100 * (spends - spent) / (now - then), largest)
        )
        print("| {:.1f} | {:.1f} | {:.1f} | {:.1f} |".format(*samples[-1]), flush=True)
        then, spent = now, spends
    return samples


def soak(minutes: float, rate: int, folder: Path, options: list[str]) -> None:
    """Runs the storm under webpf, and prints the result."""
    program, db = folder / "storm", folder / "webpf.db"
    subprocess.run(["gcc", "-O2", "-o", program, HERE / "storm.c"], check=True)
    webpf = [sys.executable, "-m", "webpf"]
    recorder = subprocess.Popen([*webpf, "record", "--quiet", "--db", db, *options])
    time.sleep(2)
    command = [str(program), "steady", str(rate), str(round(minutes * 60))]
    storm = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    print("| minute | resident MiB | CPU % | file MiB |\n|---|---|---|---|")
    samples = sample(recorder.pid, storm, minutes, db)
    recorder.send_signal(signal.SIGTERM)
    if recorder.wait():
        sys.exit("soak: the recorder failed")
    connection = sqlite3.connect(db)
    [(lost, without_cpu, recordings, latest)] = connection.execute(
        "SELECT sum(lost), (SELECT count(*) FROM processes WHERE state = 'exited' AND cpu_ns IS NULL),"
        " count(*), max(id) FROM recordings"
    )
    [(found,)] = connection.execute(
        "SELECT count(*) FROM processes AS p JOIN commands AS c ON c.id = p.command_id"
        " WHERE p.ppid = ? AND c.filename = '/bin/true' AND p.status = 0",
        [storm.pid],
    )
    connection.close()
    settled = [each.resident_mib for each in samples[len(samples) // 10 :]]
    print(
        f"\nThe load took {float(storm.communicate()[0]):.0f} s for {rate * round(minutes * 60):,} programs;", end=" "
    )
    print(f"{found:,} are in the file ({file_mib(db):,.0f} MiB), {lost:,} events were lost.")
    if latest > 1:
        print(f"It has {recordings} of {latest} recordings, the others were deleted;", end=" ")
        print(f"the file with its log was at most {max(each.file_mib for each in samples):.1f} MiB.")
    print(f"Resident memory from the tenth of the run on: {min(settled):.1f} to {max(settled):.1f} MiB,", end=" ")
    print(f"{settled[-1] - settled[0]:+.1f} from then to the end; {without_cpu:,} processes without a CPU time.\n")
    sys.stdout.flush()
    subprocess.run([*webpf, "verify", db], check=True)


def main() -> None:
    """Reads the options."""
    parser = argparse.ArgumentParser(description="Records a steady load for a long time.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=int, default=1500, help="programs a second")
    parser.add_argument("options", nargs="*", help="of webpf record, after --")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("soak: recording needs root; try: sudo make soak")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        soak(options.minutes, options.rate, Path(name), options.options)


if __name__ == "__main__":
    main()
