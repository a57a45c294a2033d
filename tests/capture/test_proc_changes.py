"""The names and users of processes at the end: of those that run, that ended, and that were killed within an exec.

Expected values come from /proc/PID/comm and status, from wait4(), and from what a program itself does.
"""

from __future__ import annotations

import os
import shlex
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fates import Query, check, programs_of, reap, row_of, run_child
from support import NOBODY, PROCESSES, Recorder, at, exec_, exit_, fork, seen, status_of

from webpf.capture.live_machine import LiveMachine
from webpf.capture.proc_changes import PendingChanges
from webpf.capture.targets import WholeMachine
from webpf.host import procfs
from webpf.model.events import Event, Fork
from webpf.model.pairing import Pairing
from webpf.model.process import Process
from webpf.model.redaction import Redaction

Start = Callable[..., Recorder]
Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
KILLED = 11


def pair(*events: Event) -> Process:
    """Returns the only process of these events."""
    pairing = Pairing()
    pairing.feed(events, 1)
    [process] = pairing.take_changed()
    return process


def begun(event: Fork, number: int, execs: int = 0) -> Fork:
    """Returns the fork with the kernel's number of programs."""
    return event._replace(begun=number, execs=execs)


# Pairing


@pytest.mark.parametrize("before", [0, 3], ids=["fork", "CLONE_PARENT"])
@pytest.mark.parametrize("execs", [0, 1, 2])
@pytest.mark.parametrize("unseen", [0, 2])
def test_a_program_that_was_killed_before_it_ran_gives_no_name(before: int, execs: int, unseen: int) -> None:
    ran = [exec_(100, 0, 1 + n, comm=f"ran {n}") for n in range(execs)]
    born = begun(fork(100, 0, comm="sh"), before + unseen, unseen)
    ended = exit_(100, 0, 9, KILLED, comm="ls")
    process = pair(born, *ran, ended._replace(begun=before + unseen + execs + 1))
    assert (process.comm, process.execs) == (ran[-1].comm if ran else "sh", unseen + execs)
    process = pair(born, *ran, ended._replace(begun=before + unseen + execs))
    assert (process.comm, process.execs) == ("ls", unseen + execs), "a name that it gave itself"


def test_only_a_signal_kills_within_an_exec() -> None:
    """With an exit code, the program did run, so its exec event was lost."""
    assert pair(begun(fork(100, 0), 0), exit_(100, 0, 9, 256, comm="ls")._replace(begun=1)).comm == "ls"


def test_the_last_name_counts_if_the_kernels_number_is_unknown_at_first() -> None:
    """This is the case for processes from before the recording, and in recordings of older versions."""
    for event in (seen(100, 0), exec_(100, 0, 1), fork(100, 0)):
        ended = exit_(100, 0, 9, KILLED, comm="ls")
        number = None if isinstance(event, Fork) else 7
        assert pair(event, ended._replace(begun=number)).comm == "ls"


def test_the_user_at_the_end() -> None:
    assert pair(fork(100, 0, uid=0), exit_(100, 0, 9)._replace(uid=33)).uid == 33
    assert pair(fork(100, 0, uid=7), exit_(100, 0, 9)).uid == 7


def test_a_snapshot_of_a_known_process_gives_its_present_name_and_keeps_its_program() -> None:
    now = seen(100, 0, comm="renamed", argv=b"a title\0")
    process = pair(fork(100, 3.5, ppid=50), exec_(100, 3.5, 4, b"/bin/ls\0-l\0"), now)
    assert (process.comm, process.uid, process.command_id, process.execs) == ("renamed", 0, 2, 1)
    assert (process.start_ns, process.ppid, process.exact) == (at(3.5), 50, True)
    process = pair(fork(100, 3.5, ppid=50)._replace(execs=2), now)
    assert (process.comm, process.command_id, process.execs) == ("renamed", 2, 2)


def test_an_exec_after_the_scan_outdates_a_change() -> None:
    scanned = [seen(pid, 0)._replace(time_ns=at(10)) for pid in (100, 101, 102, 103)]
    changes = PendingChanges(scanned)
    changes.drop_outdated([exec_(100, 0, 9), exec_(101, 0, 10), fork(102, 11)])
    assert changes.events(lambda process: process.pid != 103) == [scanned[0], scanned[2]]


# Real processes

kernel = pytest.mark.kernel

CHANGE = """
import ctypes, os, sys
if {forks} and os.fork():
    os.wait()
    sys.exit()
libc = ctypes.CDLL(None)
if {user}:
    os.setuid({user})
libc.prctl(15, {name!r}, 0, 0, 0)
print(os.getpid(), flush=True)
sys.stdin.read()
"""


@contextmanager
def changed(name: bytes, user: int = 0, forks: bool = False) -> Iterator[int]:
    """Yields the pid of a process that has renamed itself and, if user isn't 0, changed its user."""
    line = [sys.executable, "-c", CHANGE.format(name=name, user=user, forks=forks)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


def as_proc_shows(pid: int) -> dict[str, object]:
    """Returns the present name and user of a process."""
    uid = status_of(pid)["Uid"].split()[0]
    name = Path(f"/proc/{pid}/comm").read_bytes().removesuffix(b"\n").decode(errors="backslashreplace")
    return {"comm": name, "uid": int(uid)}


AS_PROC = "SELECT comm, uid FROM processes WHERE pid = ?"


@kernel
@pytest.mark.parametrize("when", ["before", "within"])
@pytest.mark.parametrize(
    ("name", "user", "forks"),
    [(b"renamed", 0, False), (b"worker 3", NOBODY, False), (b"a\\b\nc(d) e\xff", 0, True), (b"python3", NOBODY, True)],
)
def test_a_running_process_has_its_present_name_and_user(
    when: str, name: bytes, user: int, forks: bool, start_recorder: Start, webpf: Webpf, query: Query
) -> None:
    """The change was before the recording or during it. The rows still follow from the events."""
    recorder = None if when == "before" else start_recorder()
    with changed(name, user, forks) as pid:
        recorder = recorder or start_recorder()
        recorder.end()
        true = as_proc_shows(pid)
        assert (true["comm"], true["uid"]) == (name.decode(errors="backslashreplace"), user)
        assert query(AS_PROC, pid) == [true]
        before = query("SELECT * FROM processes ORDER BY id")
        assert webpf("verify").returncode == 0
        assert webpf("rebuild").returncode == 0
        assert query("SELECT * FROM processes ORDER BY id") == before
        (row,) = query(f"SELECT state, execs, args FROM {PROCESSES} WHERE pid = ?", pid)
        assert row["state"] == "running"
        if not forks:
            assert (row["execs"], "prctl" in row["args"]) == (1, True)


@kernel
def test_a_process_that_renames_itself_after_the_snapshot(start_recorder: Start, query: Query) -> None:
    """In the second recording an exec follows, which gives the name."""
    script = "read x; printf renamed > /proc/self/comm; echo; read x; exec /bin/sleep 600"
    with subprocess.Popen(["/bin/bash", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdin is not None and shell.stdout is not None
        try:
            first = start_recorder()
            shell.stdin.write(b"\n")
            shell.stdin.flush()
            shell.stdout.readline()
            first.end()
            assert query(AS_PROC, shell.pid) == [as_proc_shows(shell.pid)] == [{"comm": "renamed", "uid": 0}]
            second = start_recorder()
            shell.communicate(b"\n", timeout=0.5)
        except subprocess.TimeoutExpired:
            second.end()
            names = query("SELECT comm FROM processes WHERE pid = ? ORDER BY id", shell.pid)
            assert names == [{"comm": "renamed"}, {"comm": "sleep"}]
        finally:
            shell.kill()


@kernel
def test_unchanged_processes_have_no_further_event(start_recorder: Start, query: Query) -> None:
    """Changed processes have one. Kernel threads have none, though their names change often."""
    recorder = start_recorder()
    with changed(b"renamed") as pid, subprocess.Popen(["/bin/sleep", "600"]) as sleep:
        recorder.end()
        sleep.kill()
    later = query(
        "SELECT f.pid, p.kernel FROM snapshot AS f JOIN processes AS p ON p.id = f.process_id WHERE f.id <> p.id"
    )
    assert pid in {row["pid"] for row in later}
    assert sleep.pid not in {row["pid"] for row in later}
    assert not [row for row in later if row["kernel"]]


@kernel
def test_the_user_of_a_process_that_ended_without_an_exec(start_recorder: Start, query: Query) -> None:
    """The filter matches only the user that it changes to."""
    recorder = start_recorder("--uid", str(NOBODY))
    fate = run_child(lambda: os.setuid(NOBODY))
    recorder.end()
    row = row_of(query, fate)
    check(row, fate)
    assert (row["uid"], row["execs"]) == (NOBODY, 0)


def make_broken(path: Path) -> None:
    """Makes a program that can't be loaded. load_elf_binary() notices it when the previous program is already gone.

    The only segment of the program is larger in the file than in memory.
    """
    with Path(sys.executable).open("rb") as own:
        head = own.read(20)
    rest = struct.pack("=IQQQIHHHHHH", 1, 0x400000, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    path.write_bytes(head + rest + struct.pack("=IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, 120, 1, 4096))
    path.chmod(0o755)


def run_killed(query: Query, start_recorder: Start, name: str, *line: str, runs: int = 1) -> None:
    """Runs a command line `runs` times; at least one run must be killed within the exec of `name`.

    Several runs can be needed, because the kernel chooses the place of the stack at random.
    """
    recorder = start_recorder()
    pids = []
    for _ in range(runs):
        child = subprocess.Popen(line)
        child.wait()
        pids.append(child.pid)
    recorder.end()
    killed = 0
    for pid in pids:
        (row,) = query(f"SELECT * FROM {PROCESSES} WHERE pid = ?", pid)
        programs = programs_of(query, row)
        (ended,) = query("SELECT comm, status FROM exits WHERE process_id = ?", row["id"])
        assert (ended["comm"], row["signal"]) == (name, signal.SIGSEGV)
        assert (row["comm"], row["execs"]) == (programs[-1]["comm"], len(programs))
        assert row["filename"] == programs[-1]["filename"]
        killed += row["comm"] != name
    assert killed, "none was killed before it ran"


@kernel
def test_killed_within_its_first_exec(start_recorder: Start, webpf: Webpf, query: Query, tmp_path: Path) -> None:
    """It has the name of its parent."""
    make_broken(tmp_path / "broken")
    recorder = start_recorder()
    pid = os.fork()
    if pid == 0:
        try:
            os.execv(tmp_path / "broken", ["broken"])
        finally:
            os._exit(1)
    fate = reap(pid, 0)
    recorder.end()
    assert fate.status & 127 == signal.SIGSEGV
    (row,) = query(f"SELECT * FROM {PROCESSES} WHERE pid = ?", pid)
    assert (row["comm"], row["execs"], row["args"]) == (Path("/proc/self/comm").read_text().strip(), 0, None)
    assert (row["signal"], row["state"]) == (signal.SIGSEGV, "exited")
    assert query("SELECT comm FROM exits WHERE process_id = ?", row["id"]) == [{"comm": "broken"}]
    assert webpf("verify").returncode == 0


@kernel
def test_killed_within_its_second_exec(start_recorder: Start, webpf: Webpf, query: Query, tmp_path: Path) -> None:
    make_broken(tmp_path / "broken")
    line = ["/bin/sh", "-c", f"exec env {shlex.quote(str(tmp_path / 'broken'))}"]
    run_killed(query, start_recorder, "broken", *line)
    assert webpf("verify").returncode == 0


@kernel
@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_killed_because_its_stack_is_too_small(shell: str, start_recorder: Start, query: Query) -> None:
    """The kernel can also notice it only when the program runs: then the process has the new name."""
    run_killed(query, start_recorder, "ls", shell, "-c", "ulimit -c 0; ulimit -s 4; exec ls", runs=24)


@kernel
def test_a_program_that_names_itself_and_is_killed_keeps_that_name(start_recorder: Start, query: Query) -> None:
    recorder = start_recorder()
    code = "import ctypes, os; ctypes.CDLL(None).prctl(15, b'worker 3', 0, 0, 0); os.kill(os.getpid(), 9)"
    child = subprocess.Popen([sys.executable, "-c", code])
    child.wait()
    recorder.end()
    (row,) = query("SELECT comm, execs, signal FROM processes WHERE pid = ?", child.pid)
    assert row == {"comm": "worker 3", "execs": 1, "signal": 9}


@kernel
def test_a_process_of_clone_parent_is_not_taken_for_killed(act: str, start_recorder: Start, query: Query) -> None:
    """Its number of programs starts with the number of the process that made it."""
    recorder = start_recorder()
    maker = subprocess.Popen([act, "give-away"], stdout=subprocess.PIPE, text=True)
    assert maker.stdout is not None
    pid = int(maker.stdout.readline())
    maker.wait()
    os.waitpid(pid, 0)
    recorder.end()
    (row,) = query("SELECT id, comm, execs, exit_code FROM processes WHERE pid = ?", pid)
    assert (row["comm"], row["execs"], row["exit_code"]) == (Path(act).name, 0, 21)
    (born,) = query("SELECT begun FROM forks WHERE process_id = ?", row["id"])
    (ended,) = query("SELECT uid, begun FROM exits WHERE process_id = ?", row["id"])
    assert born["begun"] > 0
    assert ended == {"uid": None, "begun": None}, "NULL: it kept its user, and no signal ended it"


def test_the_arguments_of_changed_processes_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is the same as for the snapshot."""
    with changed(b"renamed") as first, changed(b"renamed") as second:
        alive_now = [procfs.read_process(pid, 0, 32768, {}) for pid in (first, second)]
        known = [Process(number, now.pid, now.start_ns) for number, now in enumerate(alive_now) if now is not None]
        for process in known:
            process.execs, process.comm = 0, "python3"
        monkeypatch.setattr(procfs, "ALL_ARGS", 10)
        monkeypatch.setattr(procfs, "SHORT_ARGS", 100)
        scan, _ = LiveMachine(WholeMachine(), Redaction(), 0, 32768).find_changed(known)
    assert [(process.pid, process.comm) for process in scan] == [(first, "renamed"), (second, "renamed")]
    assert scan[1].argv == (scan[0].argv or b"")[:100]
    assert scan[1].argv_bytes == scan[0].argv_bytes == len(scan[0].argv or b"") > 100
