"""What processes cost, compared with the rusage of wait4(), and with /proc while the process is a zombie."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fates import (
    Fate,
    Query,
    now,
    reap,
    repeated_if_not_freed,
    row_of,
    unix_offset,
    wait_for_free,
    wait_for_zombie,
)
from support import MS, SLOWNESS, Recorder, wait_until

from webpf.kernel import btf, object_cache
from webpf.kernel.probe import Probe
from webpf.kernel.program_options import ProgramOptions
from webpf.model.events import Free

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]


@dataclass(frozen=True)
class Costs:
    """What others than webpf say of a process that has no children. Of the threads of a process, /proc has only one."""

    fate: Fate
    rusage: dict[str, int]
    io: dict[str, int]
    own_io: dict[str, int]
    run_delay_ns: int
    printed: list[int]


def read_io(folder: Path) -> dict[str, int]:
    """Returns the bytes of storage of a process, with those of children that it waited for; or of one of its tasks."""
    values = dict(line.split(": ") for line in (folder / "io").read_text().splitlines())
    return {name: int(values[name]) for name in ("read_bytes", "write_bytes")}


def run(*command: str | Path, is_pinned: bool = False) -> Costs:
    """Runs a program; reads what /proc says of it when it is a zombie, and then what wait4() says."""
    before = now()
    pinned = ["taskset", "-c", str(min(os.sched_getaffinity(0)))] if is_pinned else []
    child = subprocess.Popen([*pinned, *map(str, command)], stdout=subprocess.PIPE, text=True)
    wait_for_zombie(child.pid)
    io = read_io(Path(f"/proc/{child.pid}"))
    own_io = read_io(Path(f"/proc/{child.pid}/task/{child.pid}"))
    run_delay_ns = int(Path(f"/proc/{child.pid}/schedstat").read_text().split()[1])
    _, status, usage = os.wait4(child.pid, 0)
    after = now()
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.stdout
    rusage = {
        "user_us": round(usage.ru_utime * 1e6),
        "system_us": round(usage.ru_stime * 1e6),
        "minor_faults": usage.ru_minflt,
        "major_faults": usage.ru_majflt,
        "voluntary_switches": usage.ru_nvcsw,
        "involuntary_switches": usage.ru_nivcsw,
    }
    fate = Fate(child.pid, before, after, status, (usage.ru_utime + usage.ru_stime) * 1e9, usage.ru_maxrss)
    return Costs(
        fate,
        rusage,
        io,
        own_io,
        run_delay_ns,
        [int(line) for line in child.stdout.read().split() if line.isdigit()],
    )


def check(row: dict[str, Any], costs: Costs) -> None:
    """Compares all costs but the time of waiting for a CPU."""
    found = {name: row[name] for name in costs.rusage if name in row}
    times = {f"{name}_us": row[f"{name}_ns"] // 1000 for name in ("user", "system")}
    assert found | times == costs.rusage
    assert {name: row[name] for name in costs.io} == costs.io
    assert row["user_ns"] + row["system_ns"] == row["cpu_ns"]
    assert costs.fate.after_ns > costs.fate.before_ns
    assert row["end_ns"] <= row["freed_ns"]


def rows(query: Query, all_costs: list[Costs]) -> Iterator[tuple[dict[str, Any], Costs]]:
    """Yields rows with what they are compared with. The kernel doesn't report every free when it is busy."""
    known = [(row, costs) for costs in all_costs if (row := row_of(query, costs.fate))["freed_ns"] is not None]
    assert len(known) > len(all_costs) / 2
    yield from known


def test_costs_of_a_process_are_those_of_wait4(act: str, start_recorder: Start, query: Query) -> None:
    recorder = start_recorder()
    all_costs = [run(*command) for command in [(act, "work", "30"), (act, "eat", "20"), ("/bin/true",)] * 4]
    recorder.end()
    for row, costs in rows(query, all_costs):
        check(row, costs)
        assert row["run_delay_ns"] == costs.run_delay_ns
    works = [row for row, costs in rows(query, all_costs) if "work" in row["args"]]
    for name in ("user_ns", "system_ns", "minor_faults", "voluntary_switches"):  # a single one may have no sample
        assert sum(row[name] for row in works) > 0, name


def test_bytes_of_storage(start_recorder: Start, query: Query, tmp_path: Path) -> None:
    recorder = start_recorder()
    path = tmp_path / "file"
    written = run("dd", "if=/dev/zero", f"of={path}", "bs=64k", "count=32", "conv=fsync", "status=none")
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    read = run("cp", path, tmp_path / "copy")
    recorder.end()
    for row, costs in rows(query, [written, read]):
        check(row, costs)
    named = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True).stdout
    if named.strip() not in ("tmpfs", "ramfs"):  # in memory nothing counts, but other files' pages may
        assert written.io["write_bytes"] >= 32 << 16
        assert read.io["read_bytes"] >= 32 << 16


def test_bytes_of_children_are_not_those_of_their_parent(start_recorder: Start, query: Query, tmp_path: Path) -> None:
    """/proc/PID/io of a shell that has waited for dd has the bytes of both; of the shell's task, only its own."""
    recorder = start_recorder()
    dd = f"dd if=/dev/zero of={tmp_path / 'file'} bs=64k count=32 conv=fsync status=none"
    all_costs = [run("/bin/sh", "-c", f"{dd}; : end") for _ in range(3)]
    recorder.end()
    for row, costs in rows(query, all_costs):
        assert {name: row[name] for name in costs.own_io} == costs.own_io
        if os.statvfs(tmp_path).f_fsid and costs.io["write_bytes"]:  # 0 on a tmpfs
            assert costs.io["write_bytes"] - costs.own_io["write_bytes"] >= 32 << 16


@pytest.mark.parametrize("what", ["leader-exits-first", "thread-executes"])
def test_costs_of_threads(what: str, act: str, start_recorder: Start, query: Query) -> None:
    """On one CPU, threads wait for each other. Each prints for how long just before it ends."""
    recorder = start_recorder()
    all_costs = [run(act, what, "4", is_pinned=True) for _ in range(4)]
    recorder.end()
    for row, costs in rows(query, all_costs):
        check(row, costs)
        assert len(costs.printed) == 5
        # The program that the thread has executed is the leader: it doesn't print, but is in /proc as a zombie.
        waited = sum(costs.printed) + (costs.run_delay_ns if what == "thread-executes" else 0)
        assert waited > MS
        assert -MS * SLOWNESS <= row["run_delay_ns"] - waited <= 20 * MS * SLOWNESS


def test_threads_that_end_at_the_same_time(act: str, start_recorder: Start, query: Query) -> None:
    """What each thread has waited is in the sum, whichever comes first."""
    recorder = start_recorder()
    all_costs = [run(act, "work-together", "6") for _ in range(25)]
    recorder.end()
    for row, costs in rows(query, all_costs):
        assert len(costs.printed) == 6
        assert row["run_delay_ns"] >= sum(costs.printed)


def test_costs_of_a_process_that_nobody_waits_for(start_recorder: Start, query: Query) -> None:
    """The kernel reaps a child by itself if its parent ignores SIGCHLD. The child's own clocks are the witness."""
    recorder = start_recorder()
    script = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(6):
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(ours)
        start = time.process_time_ns()
        while time.process_time_ns() < start + 20_000_000:
            os.stat("/")
        os.write(theirs, b"%d %d %d" % (os.getpid(), os.getppid(), time.process_time_ns()))
        os._exit(0)
    os.close(theirs)
    print(os.read(ours, 100).decode(), flush=True)
    os.read(ours, 1)
"""
    printed = subprocess.run(["python3", "-c", script], capture_output=True, text=True, check=True).stdout
    recorder.end()
    found = 0
    for pid, ppid, cpu_ns in (map(int, line.split()) for line in printed.splitlines()):
        [row] = query("SELECT * FROM processes WHERE pid = ? AND ppid = ? AND end_ns AND execs = 0", pid, ppid)
        if row["cpu_ns"] is None:
            continue
        found += 1
        assert row["user_ns"] + row["system_ns"] == row["cpu_ns"]
        assert 0 <= row["cpu_ns"] - cpu_ns < 20 * MS * SLOWNESS
    assert found > 3


def test_cpu_times_that_nobody_asked_for(act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no one has waited, wait4()'s numbers are computed. Here the BPF programs don't see what wait4() stored.

    They read the guest time of children in its place, which is 0.
    """
    constants = object_cache.read_constants()
    zero = btf.Layouts().offset("signal_struct", "cgtime")
    monkeypatch.setattr(
        object_cache,
        "read_constants",
        lambda: constants | {"OFF_SIGNAL_PREV_UTIME": zero, "OFF_SIGNAL_PREV_STIME": zero},
    )
    probe = Probe(unix_offset())
    try:
        all_costs = {costs.fate.pid: costs for costs in [run(act, "work", str(10 * n)) for n in range(1, 9)]}
        frees: dict[int, Free] = {}

        def drain() -> bool:
            frees.update({event.pid: event for event in probe.drain() if isinstance(event, Free)})
            return len(all_costs.keys() & frees.keys()) > len(all_costs) / 2

        wait_until(drain, "no free events")
    finally:
        probe.close()
    equal = 0
    for pid in all_costs.keys() & frees.keys():
        times = {"user_us": (frees[pid].user_ns or 0) // 1000, "system_us": (frees[pid].system_ns or 0) // 1000}
        told = {name: all_costs[pid].rusage[name] for name in times}
        assert abs(sum(times.values()) - sum(told.values())) <= 1  # both are rounded
        # If another program has looked at the process in /proc meanwhile, wait4() goes on from what that was told.
        equal += times == told
    assert equal >= 2  # to the microsecond


@repeated_if_not_freed
def test_more_threads_than_the_map_has_room_for(act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that were alive when it was full have an unknown time of waiting, and those after them a known one."""
    entries = ProgramOptions.entries
    monkeypatch.setattr(ProgramOptions, "entries", lambda self: entries(self) | {"ended_threads": 1})
    probe = Probe(unix_offset(), follows=True)  # else another process of the machine can have the entry
    probe.follow_children(os.getpid())
    keeper = subprocess.Popen([act, "thread-and-pause"], stdout=subprocess.PIPE)
    frees: dict[int, Free] = {}

    def has_free(pid: int) -> bool:
        frees.update({event.pid: event for event in probe.drain() if isinstance(event, Free)})
        return pid in frees

    try:
        assert keeper.stdout and keeper.stdout.readline()  # its thread has ended, and has the only entry
        for command, is_known in (
            ((act, "work", "1"), True),
            ((act, "threads", "2"), False),
            ((act, "work", "1"), True),
        ):
            pid = run(*command).fate.pid
            wait_for_free(lambda: has_free(pid))  # noqa: B023
            assert (frees[pid].run_delay_ns is not None) == is_known, command
        keeper.kill()
        keeper.wait()
        wait_for_free(lambda: has_free(keeper.pid))
        assert frees[keeper.pid].run_delay_ns is None
        costs = run(act, "leader-exits-first", "2")
        wait_for_free(lambda: has_free(costs.fate.pid))
        assert (frees[costs.fate.pid].run_delay_ns or -1) >= sum(costs.printed)
    finally:
        keeper.kill()
        keeper.wait()
        probe.close()


def test_costs_of_a_process_that_is_older_than_the_recording(start_recorder: Start, query: Query) -> None:
    """All that the kernel adds up is known. How long threads waited that ended before the recording is not."""
    reading, writing = os.pipe()
    before = now()
    pid = os.fork()
    if not pid:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    recorder = start_recorder()
    os.close(reading)
    os.close(writing)
    wait_for_zombie(pid)
    _, status, usage = os.wait4(pid, 0)
    after = now()
    recorder.end()
    row = row_of(query, Fate(pid, before, after, status, 0, 0))
    if row["freed_ns"] is not None:
        assert row["run_delay_ns"] is None
        assert (row["minor_faults"], row["voluntary_switches"]) == (usage.ru_minflt, usage.ru_nvcsw)
        assert row["user_ns"] // 1000 == round(usage.ru_utime * 1e6)


def test_costs_of_a_process_that_runs_at_the_end(start_recorder: Start, query: Query, webpf: Any) -> None:
    """It has stopped itself, so that /proc has the same numbers before and after the recorder reads them."""
    recorder = start_recorder()
    script = """
import os, signal, threading
thread = threading.Thread(target=lambda: sum(range(300_000)))
thread.start()
thread.join()
with open("file", "wb") as file:
    file.write(bytes(1 << 20))
    os.fsync(file.fileno())
os.system("cp file copy; sync copy")
sum(range(1_000_000))
os.kill(os.getpid(), signal.SIGSTOP)
"""
    before = now()
    child = subprocess.Popen(["python3", "-c", script], cwd=recorder.db.parent)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    recorder.end()
    folder = Path(f"/proc/{child.pid}")
    stat = folder.joinpath("stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":\t") for line in folder.joinpath("status").read_text().splitlines())
    io = read_io(folder / "task" / str(child.pid))
    run_delay_ns = int(folder.joinpath("schedstat").read_text().split()[1])
    child.send_signal(signal.SIGKILL)
    fate = reap(child.pid, before)
    child.returncode = -signal.SIGKILL
    row = row_of(query, fate)
    assert (row["state"], row["freed_ns"], row["end_ns"]) == ("running", None, None)
    ticks = [int(stat[at]) * 10 * MS for at in (11, 12)]
    assert [row["user_ns"], row["system_ns"]] == ticks
    assert 0 <= row["cpu_ns"] - sum(ticks) < 20 * MS
    assert [row["minor_faults"], row["major_faults"]] == [int(stat[at]) for at in (7, 9)]
    assert [row["voluntary_switches"], row["involuntary_switches"]] == [
        int(status[name]) for name in ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")
    ]
    assert [row["read_bytes"], row["write_bytes"]] == [io["read_bytes"], io["write_bytes"]]
    assert row["run_delay_ns"] == run_delay_ns
    assert row["max_rss_kib"] == fate.max_rss_kib >= int(status["VmHWM"].split()[0])
    assert webpf("verify", "webpf.db").returncode == 0
    kernel = query("SELECT count(*) AS n FROM usage JOIN processes AS p ON p.id = process_id WHERE p.kernel")
    assert kernel == [{"n": 0}]
    before_rebuild = query("SELECT * FROM processes ORDER BY id")
    assert webpf("rebuild", "--db", "webpf.db").returncode == 0
    assert query("SELECT * FROM processes ORDER BY id") == before_rebuild
