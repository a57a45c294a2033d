"""Sessions, logins, pids in other namespaces, and the executables that really run. The kernel's own files tell."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fates import Query, now, programs_of, reap, row_of, run_child, run_program
from support import MS, Recorder, children_of, wait_until

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]
LOGINUID = Path("/proc/self/loginuid")
UNSET = 2**32 - 1


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[str]]]:
    """Children that are ended with the test."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for child in started:
        child.kill()
        child.communicate()


def latest_row(query: Query, pid: int) -> dict[str, Any]:
    """Returns the row of the process that had this pid last."""
    return query("SELECT * FROM processes WHERE pid = ? ORDER BY id DESC LIMIT 1", pid)[0]


def kernel_device(path: Path | str) -> int:
    """Returns the file system of a file as the kernel numbers it (MKDEV of include/linux/kdev_t.h)."""
    device = Path(path).stat().st_dev
    return os.major(device) << 20 | os.minor(device)


def own_loginuid() -> int | None:
    number = int(LOGINUID.read_text())
    return None if number == UNSET else number


def test_pids_in_other_namespaces(start_recorder: Start, query: Query) -> None:
    """Each shell prints what its pid is where it runs."""
    if not shutil.which("unshare"):
        pytest.skip("no unshare")
    recorder = start_recorder()
    inner = "unshare --pid --fork sh -c 'echo $$; true'"
    command = ["unshare", "--pid", "--fork", "sh", "-c", f"echo $$; sh -c 'echo $$; true'; {inner}; true"]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    fate = run_child(lambda: None)
    recorder.end()
    shells = query(
        """WITH below AS (
            SELECT id FROM processes WHERE ppid = ? AND comm = 'unshare' UNION
            SELECT child.id FROM below JOIN processes AS child ON child.parent_id = below.id
        ) SELECT * FROM below JOIN processes USING (id) WHERE comm = 'sh' AND execs > 0 ORDER BY id""",
        os.getpid(),
    )
    assert [str(row["ns_pid"]) for row in shells] == printed
    assert printed[0] == printed[2] == "1" != printed[1]
    assert all(row["pid"] != row["ns_pid"] for row in shells)
    assert row_of(query, fate)["ns_pid"] == fate.pid
    assert query("SELECT ns_pid FROM forks WHERE pid = ?", fate.pid)[-1]["ns_pid"] is None


def test_sessions(start_recorder: Start, query: Query) -> None:
    """setsid() is seen at the next exec, or else at the exit, or in /proc at the end of the recording."""

    def begin_and_execute() -> None:
        os.setsid()
        os.execv("/bin/true", ["true"])

    recorder = start_recorder()
    plain, session, executed = run_child(lambda: None), run_child(os.setsid), run_child(begin_and_execute)
    begun = now()
    running = os.fork()
    if not running:
        try:
            os.setsid()
            signal.pause()
        finally:
            os._exit(0)
    wait_until(lambda: os.getsid(running) == running, "there is no session")
    recorder.end()
    os.kill(running, signal.SIGKILL)
    reap(running, begun)
    assert row_of(query, plain)["sid"] == os.getsid(0)
    assert query("SELECT sid FROM exits WHERE pid = ?", plain.pid)[-1]["sid"] is None
    assert row_of(query, session)["sid"] == session.pid
    assert query("SELECT sid FROM forks WHERE pid = ?", session.pid)[-1]["sid"] == os.getsid(0)
    assert [link["sid"] for link in programs_of(query, row_of(query, executed))] == [executed.pid]
    row = latest_row(query, running)
    assert (row["sid"], row["state"], row["exact"]) == (running, "running", 1)


def test_logins(start_recorder: Start, query: Query, webpf: Callable[..., Any]) -> None:
    """The kernel lets root set the loginuid of a process, and unset it; children inherit it."""
    if not LOGINUID.exists():
        pytest.skip("this kernel has no audit")

    def log_in(*numbers: int, executes: bool = False) -> None:
        for number in numbers:
            LOGINUID.write_text(str(number))
        if executes:
            os.execv("/bin/sh", ["sh", "-c", "/bin/true; true"])

    recorder = start_recorder()
    try:
        run_child(lambda: log_in(4242))
        nobody, user = run_child(lambda: log_in(UNSET)), run_child(lambda: log_in(4242))
        again, shell = run_child(lambda: log_in(4242, UNSET)), run_child(lambda: log_in(4343, executes=True))
    finally:
        recorder.end()
    if row_of(query, user)["exit_code"]:
        pytest.skip("the loginuid can't be set here")
    assert [row_of(query, fate)["loginuid"] for fate in (nobody, user, again)] == [None, 4242, None]
    row = row_of(query, shell)
    child = query("SELECT * FROM processes WHERE parent_id = ?", row["id"])[0]
    assert (row["loginuid"], child["loginuid"]) == (4343, 4343)
    assert programs_of(query, row)[0]["loginuid"] == 4343
    plain = query("SELECT loginuid FROM forks WHERE pid = ?", nobody.pid)[-1]
    assert plain["loginuid"] == own_loginuid()
    assert webpf("verify", recorder.db).returncode == 0


def test_processes_of_the_snapshot(
    start_recorder: Start, query: Query, children: list[subprocess.Popen[str]], webpf: Callable[..., Any]
) -> None:
    """Two that run all the time, one of them in a pid namespace, and one that ends in the recording."""
    script = "echo $$; read line; true"
    for command in (["setsid"], ["unshare", "--pid", "--fork"]):
        child = subprocess.Popen(
            [*command, "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        children.append(child)
        assert child.stdout and child.stdout.readline().strip() in {"1", str(child.pid)}
    ends = subprocess.Popen(["cat"], stdin=subprocess.PIPE, text=True)
    recorder = start_recorder()
    ends.communicate()
    [inside] = children_of(children[1].pid)
    sids = {pid: os.getsid(pid) for pid in (children[0].pid, inside)}
    assert sids[children[0].pid] != os.getsid(0)
    recorder.end()
    rows = {pid: latest_row(query, pid) for pid in (*sids, ends.pid)}
    assert {pid: rows[pid]["sid"] for pid in sids} == sids
    assert rows[inside]["ns_pid"] == 1
    assert rows[children[0].pid]["ns_pid"] == children[0].pid
    assert {pid: row["exact"] for pid, row in rows.items()} == {**dict.fromkeys(sids, 0), ends.pid: 1}
    assert [row["loginuid"] for row in rows.values()] == [own_loginuid()] * 3
    assert webpf("verify", recorder.db).returncode == 0


@pytest.mark.parametrize(
    ("folder", "arguments"),
    [("", 0), ("", 3_000), ("d" * 200, 0), ("d" * 200, 30_000), ("\udcff", 0)],
    ids=["short", "many-arguments", "long-path", "all-long", "not-utf8"],
)
def test_interpreters(folder: str, arguments: int, start_recorder: Start, query: Query) -> None:
    """A script in a folder, and its interpreter there, which is a link to the shell. /proc/PID/exe is the witness."""
    with tempfile.TemporaryDirectory() as short:  # the kernel reads 255 bytes of the line with #!
        place = Path(short, folder)
        place.mkdir(exist_ok=True)
        interpreter, script = place / "sh", place / "script"
        interpreter.symlink_to("/bin/sh")
        script.write_bytes(b"#!" + os.fsencode(interpreter) + b" -e\nread line\n")
        script.chmod(0o755)
        recorder = start_recorder()
        begun = now()
        reading, writing = os.pipe()
        pid = os.posix_spawn(
            script, [str(script), "x" * arguments], os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0), (os.POSIX_SPAWN_CLOSE, writing)],
        )  # fmt: skip
        # The kernel lets go of who waits in vfork() before /proc shows the program: until then, it shows this process.
        words = [os.fsencode(interpreter), b"-e", os.fsencode(script), b"x" * arguments, b""]
        wait_until(lambda: Path(f"/proc/{pid}/cmdline").read_bytes() == b"\0".join(words), "the script doesn't run")
        numbers = (kernel_device(f"/proc/{pid}/exe"), Path(f"/proc/{pid}/exe").stat().st_ino)
        cmdline = Path(f"/proc/{pid}/cmdline").read_bytes()
        os.write(writing, b"\n")
        fate = reap(pid, begun)
        os.close(reading)
        os.close(writing)
        true = run_program("/bin/true")
        recorder.end()
    [program] = programs_of(query, row_of(query, fate))
    assert os.fsencode(program["interpreter"]) == os.fsencode(interpreter)
    assert (program["exe_device"], program["exe_inode"]) == numbers
    row = row_of(query, fate)
    assert (os.fsencode(row["filename"]), row["argv"]) == (os.fsencode(script), cmdline)
    [program] = programs_of(query, row_of(query, true))
    assert program["interpreter"] is None
    assert (program["exe_device"], program["exe_inode"]) == (
        kernel_device("/bin/true"),
        Path("/bin/true").stat().st_ino,
    )


def test_the_peak_before_the_latest_exec(act: str, start_recorder: Start, query: Query) -> None:
    """It counts for a process that is still running at the end too, as for wait4() later."""
    recorder = start_recorder()
    begun = now()
    running = subprocess.Popen([act, "eat-and-execute", "40"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    wait_until(lambda: Path(f"/proc/{running.pid}/comm").read_text() == "cat\n", "it doesn't execute cat")
    recorder.end()
    assert running.stdin
    running.stdin.close()
    fate = reap(running.pid, begun)
    running.returncode = 0
    row = latest_row(query, running.pid)
    assert row["state"] == "running"
    assert row["max_rss_kib"] == row["carried_rss_kib"] == fate.max_rss_kib > 40 << 10
    assert programs_of(query, row)[-1]["carried_rss_kib"] == row["carried_rss_kib"]
    assert row["start_ns"] > begun - MS
