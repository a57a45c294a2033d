"""Filters: only processes of a user, with a name, in a cgroup, or with a minimum lifetime are recorded."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fates import Query
from support import NOBODY, PROCESSES, Recorder, wait_until, webpf_command

from webpf.host import cgroups

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]
Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

ROWS = f"SELECT * FROM {PROCESSES} WHERE recording_id = (SELECT max(id) FROM recordings) ORDER BY id"


def run_as(user: int, script: str) -> int:
    """Runs a shell of this user to its end; returns its pid."""
    shell = subprocess.Popen(["/bin/sh", "-c", script], user=user, group=user, extra_groups=[])
    shell.wait()
    return shell.pid


def is_sound(webpf: Webpf) -> bool:
    """Returns whether the event counts match and no event was lost."""
    ended = webpf("verify")
    return ended.returncode == 0 and "no event was lost" in ended.stdout


def test_of_a_user(start_recorder: Start, webpf: Webpf, query: Query) -> None:
    """The user's processes are recorded completely, from the fork on, and no others."""
    recorder = start_recorder("--uid", str(NOBODY))
    run_as(0, "/bin/ls / > /dev/null")
    pid = run_as(NOBODY, "(:); /bin/date > /dev/null; exec /bin/true")
    recorder.end()
    rows = query(ROWS)
    assert {row["uid"] for row in rows} == {NOBODY}
    (shell,) = (row for row in rows if row["pid"] == pid)
    assert (shell["comm"], shell["execs"], shell["state"], shell["ppid"]) == ("true", 2, "exited", os.getpid())
    below = [(row["comm"], row["ppid"], row["state"]) for row in rows if row["parent_id"] == shell["id"]]
    assert below == [("sh", pid, "exited"), ("date", pid, "exited")]
    assert query("SELECT count(*) AS n FROM forks WHERE pid = ?", pid) == [{"n": 1}], "from before it was his"
    assert is_sound(webpf)


def test_of_two_users_by_their_names(start_recorder: Start, query: Query) -> None:
    recorder = start_recorder("--uid", "nobody", "--uid", "1")
    pids = {run_as(user, "exec /bin/true") for user in (NOBODY, 1)}
    run_as(2, "exec /bin/true")
    recorder.end()
    assert {row["uid"] for row in query(ROWS)} == {NOBODY, 1}
    assert pids <= {row["pid"] for row in query(ROWS)}


def test_of_a_name(start_recorder: Start, webpf: Webpf, query: Query) -> None:
    """A process that has the name only between fork and exec, as each child of a shell does, is not recorded."""
    recorder = start_recorder("--comm", "date")
    pid = run_as(0, "/bin/date > /dev/null; /bin/ls / > /dev/null; date() { :; }; exec /bin/date > /dev/null")
    recorder.end()
    rows = query(ROWS)
    ours = [row for row in rows if pid in (row["pid"], row["ppid"])]
    assert [(row["comm"], row["execs"], row["state"]) for row in ours] == [("date", 1, "exited")] * 2
    assert {row["comm"] for row in rows} == {"date"}
    first, second = ours
    assert (first["ppid"], second["pid"]) == (pid, pid)
    assert first["lifetime_ns"] < second["lifetime_ns"], "each from its fork"
    assert is_sound(webpf)


LONG_NAME = "a-very-long-name-of-a-program"


def test_of_a_long_name(start_recorder: Start, query: Query, tmp_path: Path) -> None:
    """The kernel keeps 15 bytes of a name. A short name that is the beginning of another doesn't match it."""
    recorder = start_recorder("--comm", LONG_NAME[:15], "--comm", "a")
    for name in (LONG_NAME, "a", "ab"):
        (tmp_path / name).symlink_to("/bin/true")
        subprocess.run([tmp_path / name], check=True)
    recorder.end()
    ours = [row["comm"] for row in query(ROWS) if row["ppid"] == os.getpid()]
    assert ours == [LONG_NAME[:15], "a"]


WORKER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(15, b"own-worker", 0, 0, 0)
if sys.argv[1:] == ["forks"] and os.fork() == 0:
    sys.stdin.read()
    os._exit(3)
print(os.getpid(), flush=True)
sys.stdin.read()
"""


@contextmanager
def worker(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has named itself `own-worker`, as no other does, and lives until its input ends."""
    line = [sys.executable, "-c", WORKER, *arguments]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


def test_a_name_that_a_process_gave_itself(start_recorder: Start, webpf: Webpf, query: Query) -> None:
    """The process takes its name before the recording or within it, never execs, and ends or keeps running."""
    with worker() as old, worker() as lasting:
        recorder = start_recorder("--comm", "own-worker")
        with worker("forks") as new:
            pass
        old.communicate()
        recorder.end()
        rows = {row["pid"]: row for row in query(ROWS)}
        assert (rows[old.pid]["state"], rows[new.pid]["state"]) == ("exited", "exited")
        assert rows[lasting.pid]["state"] == "running"
        (forked,) = (row for row in rows.values() if row["ppid"] == new.pid)
        assert (forked["comm"], forked["exit_code"], forked["execs"]) == ("own-worker", 3, 0)
        assert {row["comm"] for row in rows.values()} == {"own-worker"}
    assert is_sound(webpf)


def test_a_process_that_takes_the_name_and_keeps_running(start_recorder: Start, webpf: Webpf, query: Query) -> None:
    """Without an exec, the BPF programs don't see the new name. The process is found when the recording ends."""
    recorder = start_recorder("--comm", "own-worker")
    with worker() as process:
        recorder.end()
        (row,) = query("SELECT state, comm FROM processes WHERE pid = ?", process.pid)
        assert row == {"state": "running", "comm": "own-worker"}
    assert is_sound(webpf)


def test_an_older_process_that_changes_its_name(start_recorder: Start, webpf: Webpf, query: Query) -> None:
    """A process that matched at the start is recorded to its end, even if it changes its name."""
    script = "read x; exec /bin/date"
    with subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as shell:
        wait_until(lambda: Path(f"/proc/{shell.pid}/comm").read_text() == "sh\n", "the shell doesn't start")
        recorder = start_recorder("--comm", "sh")
        shell.communicate(b"\n")
    recorder.end()
    (row,) = query("SELECT comm, state, exit_code FROM processes WHERE pid = ?", shell.pid)
    assert row == {"comm": "date", "state": "exited", "exit_code": 0}
    assert is_sound(webpf)


def test_all_at_once(start_recorder: Start, query: Query) -> None:
    recorder = start_recorder("--uid", str(NOBODY), "--comm", "sleep", "--min-lifetime", "0.2")
    run_as(NOBODY, "sleep 0.3; sleep 0.01; /bin/true")
    run_as(0, "sleep 0.3")
    recorder.end()
    ours = [row for row in query(ROWS) if row["lifetime_ns"] is not None]
    assert all(row["lifetime_ns"] >= 0.2e9 for row in ours)
    # On a slow machine the other sleep takes that long, too.
    assert [(row["args"], row["uid"]) for row in ours if row["args"] != "sleep 0.01"] == [("sleep 0.3", NOBODY)]


def test_min_lifetime(start_recorder: Start, webpf: Webpf, query: Query) -> None:
    """They keep all events from before they were old enough. The event counts match without the other processes."""
    recorder = start_recorder("--min-lifetime", "0.2")
    pid = run_as(0, "i=0; while [ $i -lt 50 ]; do /bin/true; i=$((i+1)); done; sleep 0.3; exec sleep 0.01")
    last = subprocess.Popen(["/bin/sleep", "600"])
    wait_until(lambda: Path(f"/proc/{last.pid}/comm").read_text() == "sleep\n", "sleep doesn't start")
    recorder.end()
    last.kill()
    last.wait()
    rows = [row for row in query(ROWS) if {row["pid"], row["ppid"]} & {pid, last.pid}]
    assert all(row["lifetime_ns"] >= 0.2e9 for row in rows if row["state"] == "exited")
    # On a slow machine one or the other true takes that long.
    ours = [(row["args"], row["state"], row["execs"]) for row in rows if row["args"] != "/bin/true"]
    # In any order: the rows of a process can be written before those of its parent.
    expected = [("/bin/sleep 600", "running", 1), ("sleep 0.01", "exited", 2), ("sleep 0.3", "exited", 1)]
    assert sorted(ours) == expected
    (recording,) = query("SELECT * FROM recordings")
    assert recording["execs_attempted"] == recording["execs_written"] < 50
    assert is_sound(webpf)


@pytest.fixture
def hierarchy() -> Iterator[Path]:
    """Returns the mount point of the cgroup v2 hierarchy."""
    mounted = cgroups.mount_point()
    if mounted is not None:
        yield mounted
        return
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(["mount", "-t", "cgroup2", "none", folder], check=False, capture_output=True).returncode:
            pytest.skip("no cgroup v2 here")
        cgroups.mount_point.cache_clear()
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)
            cgroups.mount_point.cache_clear()


def test_processes_that_enter_the_cgroup_of_a_run(webpf: Webpf, query: Query, hierarchy: Path) -> None:
    """Processes that a service starts in the cgroup, or below it, are recorded; those in the recorder's own are not."""
    with subprocess.Popen(["/bin/sh"], stdin=subprocess.PIPE, text=True) as service:
        into = f"{hierarchy}/webpf-*/sub"
        handed = (
            f"mkdir $(ls -d {hierarchy}/webpf-*)/sub; echo {service.pid} > $(echo {into})/cgroup.procs;"
            f" echo '/bin/date > /dev/null; exit 5' > /proc/{service.pid}/fd/0;"
            f" while sleep 0.01; [ -e /proc/{service.pid}/fd/0 ]; do :; done"  # a zombie has none
        )
        ended = webpf("record", "--cgroup", "--", "/bin/sh", "-c", f"/bin/ls / > /dev/null; {handed}")
        assert ended.returncode == 0, ended.stderr
        service.wait()
    rows = query(ROWS)
    names = {(row["comm"], row["exit_code"]) for row in rows}
    assert {("ls", 0), ("mkdir", 0), ("date", 0), ("sh", 5)} <= names
    assert {row["comm"] for row in rows} == {"sh", "ls", "mkdir", "sleep", "date"}
    assert not list(hierarchy.rglob("webpf-*")), "it is removed"
    assert is_sound(webpf)


def test_a_cgroup_that_something_still_runs_in_stays(webpf: Webpf, query: Query, hierarchy: Path) -> None:
    until_it_runs = "until grep -q sleep /proc/$!/comm; do :; done"
    script = f"sleep 600 > /dev/null 2>&1 & {until_it_runs}; echo $!"
    ended = webpf("record", "--cgroup", "--", "/bin/sh", "-c", script)
    (left,) = hierarchy.rglob("webpf-*")
    os.kill(int(ended.stdout), 9)
    wait_until(lambda: not (left / "cgroup.procs").read_text(), "the cgroup is not empty")
    left.rmdir()
    assert f"{left.name} is kept" in ended.stderr
    assert ("sleep", "running") in {(row["comm"], row["state"]) for row in query(ROWS)}


def test_without_cgroup_v2_it_is_said(tmp_path: Path) -> None:
    apart = ["unshare", "--mount", "--propagation", "private"]
    if subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespace can be made here")
    line = shlex.join([*webpf_command(), "record", "--cgroup", "--", "true"])
    script = "for at in $(awk '/ - cgroup2 /{print $5}' /proc/self/mountinfo); do umount -l $at 2> /dev/null; done;"
    ended = subprocess.run(
        [*apart, "sh", "-c", f"{script} exec {line}"], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert (ended.returncode, len(ended.stderr.splitlines())) == (69, 1), ended.stderr
    assert "cgroup v2" in ended.stderr
