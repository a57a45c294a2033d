"""Recording on the real kernel, against what wait4(), rusage, /proc and the parent's own clock say."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import MS, Recorder, wait_until

from webpf import argv as quoting
from webpf import clock

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]
Query = Callable[..., list[dict[str, Any]]]

ROW = "SELECT p.* FROM processes AS p WHERE pid = ? AND start_ns BETWEEN ? AND ?"


@dataclass(frozen=True)
class Fate:
    """What a parent knows of its child: Unix ns before the fork and after the wait, status, and rusage."""

    pid: int
    before_ns: int
    after_ns: int
    status: int
    usage: resource.struct_rusage

    @property
    def cpu_ns(self) -> float:
        return (self.usage.ru_utime + self.usage.ru_stime) * 1e9


def now() -> int:
    """Unix ns as a recording counts them."""
    return clock.boot_ns() + OFFSET


OFFSET = clock.measure_offset()


def run_child(action: Callable[[], object]) -> Fate:
    """Forks a child that does something and exits 0, and waits for it."""
    before = now()
    pid = os.fork()
    if pid == 0:
        try:
            action()
        finally:
            os._exit(0)
    _, status, usage = os.wait4(pid, 0)
    return Fate(pid, before, now(), status, usage)


def run_program(*arguments: str | bytes, executable: str | None = None) -> Fate:
    """posix_spawn of a program, and waits for it."""
    before = now()
    pid = os.posix_spawn(executable or arguments[0], arguments, os.environ)
    _, status, usage = os.wait4(pid, 0)
    return Fate(pid, before, now(), status, usage)


def rows_of(query: Query, fate: Fate) -> list[dict[str, Any]]:
    """Rows of the process that the fate is of. A ms more at each end, for the clocks may drift apart."""
    return query(ROW, fate.pid, fate.before_ns - MS, fate.after_ns + MS)


def row_of(query: Query, fate: Fate) -> dict[str, Any]:
    """The one row of a process."""
    rows = rows_of(query, fate)
    assert len(rows) == 1, f"{len(rows)} rows for pid {fate.pid}"
    return rows[0]


def check(row: dict[str, Any], fate: Fate) -> None:
    """Everything that a parent can know, compared.

    CPU time only where it is known: the kernel tells it when it frees a process, and for a few, when busy, it doesn't.
    """
    assert row["state"] == "exited"
    assert row["status"] == fate.status
    assert fate.before_ns - MS / 10 <= row["start_ns"] <= row["end_ns"] <= fate.after_ns + MS / 10
    assert row["lifetime_ns"] <= fate.after_ns - fate.before_ns
    if row["cpu_ns"] is not None:
        assert row["cpu_ns"] == pytest.approx(fate.cpu_ns, abs=0.1 * MS)
    assert row["max_rss_kib"] == fate.usage.ru_maxrss
    assert row["ppid"] == os.getpid()


def burn() -> None:
    """Some 30 ms of CPU time."""
    end = time.process_time() + 0.03
    while time.process_time() < end:
        pass


def test_fates_are_what_the_parent_saw(
    start_recorder: Start, query: Query, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit codes, signals, core flag, CPU time, memory and names of many processes, one by one."""
    monkeypatch.chdir(tmp_path)  # where the core dump goes
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    recorder = start_recorder()
    fates = {
        "plain": run_child(lambda: None),
        "seven": run_child(lambda: os._exit(7)),
        "most": run_child(lambda: os._exit(255)),
        "burns": run_child(burn),
        "hungry": run_child(lambda: bytearray(60_000_000)),
        "killed": run_child(lambda: os.kill(os.getpid(), signal.SIGKILL)),
        "terminated": run_child(lambda: os.kill(os.getpid(), signal.SIGTERM)),
        "aborts": run_child(os.abort),
        "true": run_program("/bin/true"),
        "false": run_program("/bin/false"),
        "shell": run_program("/bin/sh", "-c", "exit 3"),
    }
    assert recorder.end()[0] == 0
    for name, fate in fates.items():
        row = row_of(query, fate)
        check(row, fate)
        assert (row["execs"] > 0) == (name in ("true", "false", "shell")), name
    assert sum(row_of(query, fate)["cpu_ns"] is not None for fate in fates.values()) > len(fates) / 2
    codes = {name: (row_of(query, fate)["exit_code"], row_of(query, fate)["signal"]) for name, fate in fates.items()}
    assert codes["plain"] == (0, None)
    assert codes["seven"] == (7, None)
    assert codes["most"] == (255, None)
    assert codes["killed"] == (None, signal.SIGKILL)
    assert codes["aborts"] == (None, signal.SIGABRT)
    assert codes["shell"] == (3, None)
    assert row_of(query, fates["aborts"])["core_dumped"] == os.WCOREDUMP(fates["aborts"].status)
    assert row_of(query, fates["true"])["comm"] == "true"
    assert row_of(query, fates["plain"])["filename"] is None
    assert row_of(query, fates["plain"])["args"] is None


def test_a_process_that_never_execs_keeps_its_parents_name(start_recorder: Start, query: Query) -> None:
    recorder = start_recorder()
    fate = run_child(lambda: None)
    recorder.end()
    row = row_of(query, fate)
    assert row["comm"] == Path("/proc/self/comm").read_text().strip()
    assert (row["execs"], row["argv"]) == (0, None)


def test_argv_is_kept_to_the_byte(start_recorder: Start, query: Query) -> None:
    """Bytes that are no UTF-8, quotes, newlines, escapes, empty arguments; whole up to 32 KiB, then cut and marked."""
    odd = [b"/bin/true", b"", b"\xff\xfe", b"a'b\"c", b"line\nline", b"\x1b[31mred", "é世".encode(), b" ", b""]
    long = [b"/bin/true", b"x" * 20_000, b"y" * 12_000]
    too_long = [b"/bin/true", b"z" * 100_000]
    recorder = start_recorder()
    fates = [run_program(*arguments, executable="/bin/true") for arguments in (odd, long, too_long)]
    recorder.end()
    for arguments, fate in zip((odd, long), fates, strict=False):
        row = row_of(query, fate)
        exact = b"".join(argument + b"\0" for argument in arguments)
        assert row["argv"] == exact
        assert row["argv_bytes"] == len(exact)
        assert row["args"] == quoting.quote(exact, len(exact))
    cut = row_of(query, fates[2])
    assert cut["argv"] == (b"/bin/true\0" + b"z" * 100_000)[:32768]
    assert cut["argv_bytes"] == len(b"/bin/true\0") + 100_001
    assert cut["args"].endswith("…[67243 bytes cut]")


@pytest.mark.parametrize("limit", [0, 100, 131072])
def test_max_args(limit: int, start_recorder: Start, query: Query) -> None:
    recorder = start_recorder("--max-args", str(limit))
    fate = run_program("/bin/true", "x" * 120_000)
    recorder.end()
    row = row_of(query, fate)
    whole = b"/bin/true\0" + b"x" * 120_000 + b"\0"
    assert row["argv"] == (whole[:limit] if limit else None)
    assert row["argv_bytes"] == len(whole)


def test_the_chain_of_execs(start_recorder: Start, query: Query, tmp_path: Path) -> None:
    """sh -> env -> a script -> its interpreter: each in order, with file name, arguments and name."""
    script = tmp_path / "a script"
    script.write_text("#!/bin/sh\nexec /bin/sleep 0\n")
    script.chmod(0o755)
    recorder = start_recorder()
    fate = run_program("/bin/sh", "-c", f'exec /usr/bin/env "{script}"')
    recorder.end()
    row = row_of(query, fate)
    chain = query("SELECT * FROM programs WHERE process_id = ? ORDER BY id", row["id"])
    assert [link["filename"] for link in chain] == ["/bin/sh", "/usr/bin/env", str(script), "/bin/sleep"]
    assert [link["comm"] for link in chain] == ["sh", "env", "a script", "sleep"]
    assert chain[2]["argv"].split(b"\0")[1:] == [bytes(script), b""]
    assert [link["time_ns"] for link in chain] == sorted(link["time_ns"] for link in chain)
    assert (row["execs"], row["comm"], row["filename"]) == (4, "sleep", "/bin/sleep")
    check(row, fate)


def test_a_long_path_is_kept_whole(start_recorder: Start, query: Query, tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["d" * 200] * 4)
    folder.mkdir(parents=True)
    program = folder / "true"
    program.symlink_to("/bin/true")
    recorder = start_recorder()
    fate = run_program(str(program))
    recorder.end()
    assert row_of(query, fate)["filename"] == str(program)


def test_a_failed_exec_is_none(start_recorder: Start, query: Query) -> None:
    recorder = start_recorder()

    def fail() -> None:
        try:
            os.execv("/nowhere/at/all", ["x"])
        except FileNotFoundError:
            os._exit(127)

    fate = run_child(fail)
    recorder.end()
    row = row_of(query, fate)
    assert (row["execs"], row["exit_code"]) == (0, 127)


THREADS = """
import ctypes, os, sys, threading, time
mode = sys.argv[1]
libc = ctypes.CDLL(None)
def work():
    time.sleep(0.05)
    if mode == "exec":
        os.execv("/bin/true", ["true", "from", "a", "thread"])
    if mode == "leader":
        libc.syscall(231, 9)  # exit_group of x86-64; elsewhere the exit code is another
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
if mode == "leader": libc.pthread_exit(None)
for thread in threads: thread.join()
"""


@pytest.mark.parametrize("mode", ["join", "exec", "leader"])
def test_threads_are_no_processes(mode: str, start_recorder: Start, query: Query) -> None:
    """One row, which ends with the last thread: when all join, when a thread execs, when the leader leaves first."""
    recorder = start_recorder()
    fate = run_program(sys.executable, "-c", THREADS, mode)
    recorder.end()
    row = row_of(query, fate)
    check(row, fate)
    assert row["lifetime_ns"] > 50 * MS
    assert query("SELECT * FROM forks WHERE ppid = ?", fate.pid) == []
    if mode == "exec":
        assert (row["comm"], row["args"], row["execs"]) == ("true", "true from a thread", 2)


def test_renamed_with_prctl(start_recorder: Start, query: Query) -> None:
    name = b'a"b\\c\xff'
    recorder = start_recorder()
    fate = run_child(lambda: ctypes.CDLL(None).prctl(15, name, 0, 0, 0))
    recorder.end()
    assert row_of(query, fate)["comm"] == 'a"b\\c\\xff'


def test_before_during_and_after(start_recorder: Start, query: Query, webpf: Any) -> None:
    """Alive before and dying within; alive before and after; born within and alive after: true starts, no doubles."""
    born = now()
    dies = subprocess.Popen(["/bin/sh", "-c", "read line; exit 5"], stdin=subprocess.PIPE)
    stays = subprocess.Popen(["/bin/sleep", "600"])
    threads = threading.active_count()
    try:
        wait_until(lambda: Path(f"/proc/{dies.pid}/comm").read_text() == "sh\n", "sh has not begun")
        wait_until(lambda: Path(f"/proc/{stays.pid}/comm").read_text() == "sleep\n", "sleep has not begun")
        begun = now()
        recorder = start_recorder()
        assert dies.stdin is not None
        dies.stdin.close()
        dies.wait()
        new = subprocess.Popen(["/bin/sleep", "601"])
        wait_until(lambda: Path(f"/proc/{new.pid}/comm").read_text() == "sleep\n", "sleep has not begun")
        recorder.end()
    finally:
        for child in (stays, new):
            child.kill()
            child.wait()
    rows = {}
    for name, child in (("dies", dies), ("stays", stays), ("new", new)):
        found = query("SELECT * FROM processes WHERE pid = ? AND start_ns > ?", child.pid, born - 20 * MS)
        assert len(found) == 1, name
        rows[name] = found[0]
    assert (rows["dies"]["state"], rows["dies"]["exit_code"]) == ("exited", 5)
    assert born <= rows["dies"]["start_ns"] <= begun
    assert rows["dies"]["args"] == "/bin/sh -c 'read line; exit 5'"
    assert rows["stays"]["state"] == "running"
    assert born - 10 * MS <= rows["stays"]["start_ns"] <= begun
    assert (rows["stays"]["end_ns"], rows["stays"]["status"]) == (None, None)
    assert (rows["stays"]["args"], rows["stays"]["ppid"], rows["stays"]["uid"]) == ("/bin/sleep 600", os.getpid(), 0)
    assert rows["new"]["state"] == "running"
    assert rows["new"]["execs"] == 1
    parents = query("SELECT id FROM processes WHERE pid = ? AND start_ns < ?", os.getpid(), born)
    assert {row["parent_id"] for row in rows.values()} == {parents[0]["id"]}
    assert threads == threading.active_count()


def test_no_gap_and_no_double_at_the_start(start_recorder: Start, query: Query, tmp_path: Path) -> None:
    """While processes come and go without pause, recordings begin: each process is in them once, or ended before."""
    stop = threading.Event()
    fates: list[Fate] = []

    def storm() -> None:
        while not stop.is_set():
            before = now()
            child = subprocess.Popen(["/bin/sh", "-c", "exec /bin/sleep 0.01"])
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = 0
            fates.append(Fate(child.pid, before, now(), status, usage))

    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            recorder = start_recorder()
            enough = len(fates) + 40
            wait_until(lambda: len(fates) >= enough, "the storm stands still")  # noqa: B023
            recorder.end()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for recording in query("SELECT * FROM recordings"):
        started, ended = recording["started_ns"], recording["ended_ns"]
        for fate in fates:
            rows = [row for row in rows_of(query, fate) if row["recording_id"] == recording["id"]]
            if fate.before_ns > started and fate.after_ns < ended:
                assert [(row["status"], row["execs"]) for row in rows] == [(fate.status, 2)]
                assert fate.before_ns - MS < rows[0]["start_ns"] < rows[0]["end_ns"] < fate.after_ns + MS
            elif fate.after_ns < started or fate.before_ns > ended:
                assert rows == []
            else:
                assert len(rows) <= 1


def test_a_reused_pid_is_another_process(start_recorder: Start, query: Query) -> None:
    """The kernel is made to give one pid to two processes of different names, one right after the other."""
    last_pid = Path("/proc/sys/kernel/ns_last_pid")
    if not last_pid.exists():
        pytest.skip("this kernel has no /proc/sys/kernel/ns_last_pid")
    recorder = start_recorder()
    for _ in range(50):
        first = run_program("/bin/true")
        last_pid.write_text(str(first.pid - 1))
        second = run_program("/bin/false")
        if first.pid == second.pid:
            break
    else:
        pytest.skip("another process took the pid each time")
    recorder.end()
    rows = query("SELECT * FROM processes WHERE pid = ? AND start_ns > ? ORDER BY start_ns", first.pid, first.before_ns)
    assert [(row["comm"], row["exit_code"]) for row in rows] == [("true", 0), ("false", 1)]
    for row, fate in zip(rows, (first, second), strict=True):
        check(row, fate)


def test_orphans_keep_the_parent_of_their_fork(start_recorder: Start, query: Query) -> None:
    recorder = start_recorder()
    reading, writing = os.pipe()

    def daemonize() -> None:
        parent = os.getpid()
        if os.fork() == 0:
            deadline = time.monotonic() + 20
            while os.getppid() == parent and time.monotonic() < deadline:
                time.sleep(0.001)
            os.write(writing, f"{os.getpid()} {parent} {os.getppid()}".encode())
            os._exit(0)

    run_child(daemonize)
    pid, parent, adopter = map(int, os.read(reading, 100).split())
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the orphan is not reaped")
    recorder.end()
    [row] = query("SELECT * FROM processes WHERE pid = ? AND ppid = ?", pid, parent)
    assert row["end_ppid"] == adopter


def test_user_and_cgroup(start_recorder: Start, query: Query) -> None:
    recorder = start_recorder()
    child = subprocess.Popen(["/bin/sleep", "600"], user=65534, group=65534)
    cgroup = next(
        (line[3:] for line in Path(f"/proc/{child.pid}/cgroup").read_text().splitlines() if line.startswith("0::")),
        None,
    )
    child.kill()
    child.wait()
    recorder.end()
    sql = (
        "SELECT p.*, c.path FROM processes AS p LEFT JOIN cgroup_paths AS c USING (recording_id, cgroup_id)"
        " WHERE p.pid = ? AND p.ppid = ?"
    )
    [row] = query(sql, child.pid, os.getpid())
    assert row["uid"] == 65534
    assert row["path"] == cgroup


def test_books_are_balanced(start_recorder: Start, query: Query) -> None:
    """attempted = written + lost for each kind, and written is what the tables hold."""
    recorder = start_recorder()
    for _ in range(300):
        run_program("/bin/true")
    code, errors = recorder.end()
    assert code == 0
    assert "complete, no event was lost" in errors
    [recording] = query("SELECT * FROM recordings")
    for kind, table in (("forks", "forks"), ("execs", "programs"), ("exits", "exits"), ("frees", "frees")):
        assert recording[f"{kind}_attempted"] == recording[f"{kind}_written"] + recording[f"{kind}_lost"]
        assert recording[f"{kind}_written"] == query(f"SELECT count(*) AS n FROM {table}")[0]["n"]
    assert recording["lost"] == 0
    assert query("PRAGMA foreign_key_check") == []


def test_losses_are_counted(start_recorder: Start, query: Query, webpf: Any, tmp_path: Path) -> None:
    """A buffer that is far too small, and a recorder that is held up: the books still balance, rows say `lost`."""
    recorder = start_recorder("--buffer-mib", "1", "--max-args", "1000")
    recorder.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(3000):
            os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    finally:
        recorder.process.send_signal(signal.SIGCONT)
    code, errors = recorder.end()
    assert code == 0
    assert "LOST" in errors
    [recording] = query("SELECT * FROM recordings")
    assert recording["lost"] > 0
    for kind in ("forks", "execs", "exits", "frees"):
        assert recording[f"{kind}_attempted"] == recording[f"{kind}_written"] + recording[f"{kind}_lost"]
    assert query("SELECT count(*) AS n FROM processes WHERE state = 'exited' AND end_ns IS NULL")[0]["n"] == 0
    assert query("SELECT count(*) AS n FROM processes WHERE comm = 'true' AND state = 'running'")[0]["n"] == 0
    answer = webpf("query", "summary")
    assert "lower bound" in answer.stderr
    assert webpf("rebuild").returncode == 0


def test_a_storm_on_all_cores_loses_nothing(start_recorder: Start, query: Query, tmp_path: Path) -> None:
    program = tmp_path / "storm"
    source = Path(__file__).parent.parent / "bench" / "storm.c"
    if subprocess.run(["gcc", "-O2", "-o", program, source], check=False).returncode != 0:
        pytest.skip("gcc is missing")
    cores = os.cpu_count() or 1
    recorder = start_recorder()
    subprocess.run([program, "forks", "5000", str(cores)], check=True, stdout=subprocess.DEVNULL)
    code, errors = recorder.end()
    assert (code, "complete" in errors) == (0, True)
    [counted] = query("SELECT count(*) AS n FROM processes WHERE comm = 'storm' AND state = 'exited' AND execs = 0")
    assert counted["n"] == (5000 + 1) * cores
