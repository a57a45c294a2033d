"""Builds a recording of many made-up processes by replay: like those of a build server, and the same at each call."""

from __future__ import annotations

import random
from collections.abc import Iterator
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from webpf.capture import recording_end
from webpf.capture.recording_session import Session
from webpf.capture.replayed_machine import ReplayedMachine
from webpf.model.event_source import MemorySource
from webpf.model.events import Event, Exec, Exit, Fork, Free, Seen
from webpf.storage.recording_file import RecordingFile

MS = 1_000_000
BEGIN = 1_700_000_000_000_000_000
PIDS = 32_768
BATCH = 2_000

# Name, command line, median lifetime in ms, share of failures; {} is a number, so that some lines repeat.
_PROGRAMS = (
    ("sh", "/bin/sh -c 'step {n} of the build'", 30, 0.01),
    ("gcc", "/usr/bin/gcc -O2 -Wall -Iinclude -c src/module{n}.c -o build/module{n}.o", 120, 0.004),
    ("cc1", "/usr/lib/gcc/x86_64-linux-gnu/12/cc1 -quiet src/module{n}.c -dumpbase module{n}.c -O2", 100, 0.004),
    ("as", "/usr/bin/as --64 -o build/module{n}.o /tmp/cc{n}.s", 8, 0.0),
    ("sed", "/usr/bin/sed -e s/@VERSION@/{n}/ config.h.in", 1.5, 0.0),
    ("grep", "/usr/bin/grep -q pattern{n} src/list.txt", 1.2, 0.35),
    ("cat", "/usr/bin/cat /proc/loadavg", 0.9, 0.0),
    ("true", "/bin/true", 0.6, 0.0),
    ("python3", "/usr/bin/python3 -m pytest tests/test_{n}.py", 900, 0.03),
    ("git", "/usr/bin/git status --porcelain", 4, 0.01),
    ("curl", "/usr/bin/curl --silent https://service.internal/health", 40, 0.02),
    ("make", "/usr/bin/make -C lib{n} all", 700, 0.01),
)  # fmt: skip
_WEIGHTS = (20, 9, 9, 9, 14, 12, 8, 6, 1, 3, 2, 2)


def events(processes: int, gap_ms: float = 3.3) -> Iterator[Event]:
    """Yields events in order of time: init and a few services first, then a start every gap_ms on average."""
    dice = random.Random(20261122)
    yield Seen(BEGIN, 1, BEGIN - 10**13, 0, "systemd", 0, 0, 1, 0, 1, "/sbin/init", b"/sbin/init\0", 11)
    for pid in range(2, 42):
        argv = f"/usr/sbin/service{pid}\0--foreground\0".encode()
        start = BEGIN - 10**12 + pid * 10**8
        yield Seen(
            BEGIN,
            pid,
            start,
            1,
            f"service{pid}",
            pid % 5,
            pid % 5,
            pid,
            0,
            1,
            f"/usr/sbin/service{pid}",
            argv,
            len(argv),
        )
    later: list[tuple[int, int, Event]] = []
    living = [(pid, BEGIN - 10**12 + pid * 10**8) for pid in range(2, 42)]
    now, pid = BEGIN, 1000
    for number in range(processes - 41):
        now += int(dice.expovariate(1) * gap_ms * MS)
        while later and later[0][0] <= now:
            yield heappop(later)[2]
        pid = 1000 + (pid - 999) % (PIDS - 1000)
        parent = dice.choice(living[-12:]) if dice.random() < 0.7 else dice.choice(living[:40])
        for time_ns, event in _life(dice, now, pid, parent, number):
            heappush(later, (time_ns, len(later) + number * 8, event))
        living.append((pid, now))
        if len(living) > 400:
            del living[40:200]
    yield from (heappop(later)[2] for _ in range(len(later)))


def _life(dice: random.Random, now: int, pid: int, parent: tuple[int, int], number: int) -> Iterator[tuple[int, Event]]:
    name, line, median, failures = dice.choices(_PROGRAMS, _WEIGHTS)[0]
    words = line.format(n=int(dice.paretovariate(0.4)) % 5000).replace("'", "").split(" ")
    argv = b"".join(word.encode() + b"\0" for word in words)
    uid, cgroup = 1000 + number % 7, 40 + number % 23
    end = now + int(dice.lognormvariate(0, 0.7) * median * MS)
    yield now, Fork(now, pid, now, *parent, "sh", uid, uid, cgroup, 0)
    executed = dice.random() < 0.9
    if executed:
        if name == "python3":  # behind a wrapper
            env = b"/usr/bin/env\0" + argv
            yield (
                now + 200_000,
                Exec(now + 200_000, pid, now, "env", uid, uid, cgroup, 900, "/usr/bin/env", env, len(env)),
            )
        yield now + 300_000, Exec(now + 300_000, pid, now, name, uid, uid, cgroup, 900, words[0], argv, len(argv))
    if dice.random() < 0.0002:
        return  # still running at the end
    status = 0 if dice.random() >= failures else dice.choice((256, 256, 512, 9, 15, 139, 134))
    end = max(end, now + 400_000)
    orphan = dice.random() < 0.02
    peak = int(dice.lognormvariate(9, 1))
    yield end, Exit(end, pid, now, 1 if orphan else parent[0], name if executed else "sh", status, peak)
    freed = end + int(dice.expovariate(1) * 20 * MS)
    cpu = int((end - now) * dice.random())
    costs = (cpu, cpu - cpu // 4, cpu // 4, 150 + cpu % 900, cpu % 3, 2 + cpu % 40, cpu % 9, cpu % 5 << 12, 4096)
    yield freed, Free(freed, pid, now, status, *costs, cpu // 100)


def build(path: Path, processes: int) -> None:
    """Writes the recording into a new file, which must not exist."""
    file = RecordingFile(path)
    try:
        writer = file.begin(_about())
        source = MemorySource(events(processes), BATCH)
        session = Session(source, writer, ReplayedMachine())
        while not source.exhausted:
            session.add_events(source.drain())
        session.paths.write_cgroups({number: f"/system.slice/service{number}.service" for number in range(64)})
        recording_end.finish(session)
        last = file.db.execute("SELECT max(end_ns) FROM processes").fetchone()[0]
        with file.db.atomic():
            file.db.execute("UPDATE recordings SET ended_ns = ?, updated_ns = ? WHERE id = ?", [last, last, writer.id])
    finally:
        file.close()


def _about() -> dict[str, Any]:
    return {
        "name": None, "started_ns": BEGIN, "updated_ns": BEGIN, "host": "buildserver", "boot_id": "made up",
        "kernel": "6.0", "machine": "x86_64", "cpus": 2, "command": "webpf record", "options": {},
        "recorder_pid": 1, "recorder_start_ns": 0, "clock_offset_ns": BEGIN, "webpf_version": "0",
        "compiler": "BCC 0", "python_version": "3", "sqlite_version": "3",
    }  # fmt: skip
