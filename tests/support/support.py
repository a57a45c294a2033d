"""Helpers of the tests: recorders, events, and recordings made from events."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from webpf.capture import recording_end
from webpf.capture.recording_session import Session
from webpf.capture.replayed_machine import ReplayedMachine
from webpf.host import clock
from webpf.host.procfs import State
from webpf.model.environment import Variable
from webpf.model.event_source import Counts, MemorySource
from webpf.model.events import ALL_KINDS, Event, Exec, Exit, Fork, Free, Seen, Usage, Vanished
from webpf.model.process import Process
from webpf.storage.recording_file import RecordingFile

PROJECT = Path(__file__).resolve().parents[2]
SLOWNESS = float(os.environ.get("WEBPF_TEST_SLOWNESS", "1"))
"""How many times slower than usual this machine is, for instance because it is emulated."""
DEADLINE_SECONDS = 20.0 * SLOWNESS
MS = 1_000_000
T0 = 1_700_000_000_000_000_000
"""Unix ns at which the recordings of these tests begin."""


def webpf_command() -> list[str]:
    """Returns the words that call webpf in tests."""
    return [sys.executable, "-m", "webpf"]


TEMPORARY_FOLDERS = ("/tmp", "/var/tmp", "/usr/tmp", "/dev/shm")
"""Where programs look for a place for temporary files, after $TMPDIR."""


def is_in_temporary_folder() -> bool:
    """Whether webpf itself is in a folder that a test takes away."""
    return any(PROJECT.is_relative_to(folder) for folder in TEMPORARY_FOLDERS)


def can_others_run_webpf() -> bool:
    """Whether other users may reach webpf: not in a clone in a private folder."""
    return all(folder.stat().st_mode & 0o001 for folder in (PROJECT, *PROJECT.parents))


_HOLDS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute(sys.argv[2])
connection.execute("SELECT count(*) FROM processes").fetchone()
print("holds", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(db: Path, begin: str) -> Iterator[int]:
    """Starts a transaction on the file in another process, with the statement `begin`. Yields the pid."""
    command = [sys.executable, "-c", _HOLDS, str(db), begin]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == "holds\n"
        try:
            yield holder.pid
        finally:
            holder.stdin.close()


def children_of(pid: int) -> list[int]:
    """Returns the pids of the children of a process, from /proc."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread may have ended meanwhile
            found += map(int, (task / "children").read_text().split())
    return found


def status_of(pid: int) -> dict[str, str]:
    """Returns the fields of /proc/PID/status, of a process or a thread."""
    lines = Path(f"/proc/{pid}/status").read_text(errors="backslashreplace").splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def let_others_in(path: Path) -> None:
    """Other users may reach this path: pytest's temporary folders, in which it is, are for their owner only."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if mode & 0o055 != 0o055 and folder.stat().st_uid == os.geteuid():
            folder.chmod(mode | 0o055)


def wait_until(condition: Callable[[], object], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Waits until the condition is true; fails after `seconds`. what: for the message, what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.01)


NOBODY = 65534
"""A user without rights, and its group."""


@contextmanager
def as_nobody() -> Iterator[None]:
    """Runs the block without root's privileges: without its user id, root has no capabilities."""
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@contextmanager
def disposition(number: signal.Signals, handler: signal.Handlers) -> Iterator[None]:
    """Sets the disposition of a signal within the block. Processes that are started in the block inherit it."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


class Recorder:
    """A `webpf record` that runs during a test."""

    def __init__(
        self,
        db: Path,
        arguments: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        stderr: Path | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        """stderr: file for its messages; None: a pipe, which end() reads. command: calls webpf."""
        self.db = db
        self.latest_before = self.latest()
        self.process = subprocess.Popen(
            [*(command or webpf_command()), "record", "--db", str(db), *arguments],
            cwd=db.parent,
            env=dict(os.environ) | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if stderr is None else stderr.open("w"),
            text=True,
        )

    def wait_until_recording(self) -> None:
        """Waits until its recording is in the file."""
        wait_until(
            lambda: self.process.poll() is not None or self.latest() > self.latest_before, "the recorder didn't begin"
        )
        if self.process.poll() is not None and self.process.returncode != 0:
            raise AssertionError(f"the recorder ended: {self.process.communicate()[1]}")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Sends a signal and waits for the end; returns exit code and stderr."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        if self.process.stderr is None or self.process.stderr.closed:
            return self.process.wait(DEADLINE_SECONDS), ""
        _, errors = self.process.communicate(timeout=DEADLINE_SECONDS)
        return self.process.returncode, errors

    def wait(self) -> tuple[int, str]:
        """Waits for it to end by itself."""
        _, errors = self.process.communicate(timeout=3 * DEADLINE_SECONDS)
        return self.process.returncode, errors

    def latest(self) -> int:
        """Returns the number of the latest recording that has begun, or 0: not a count, since others may be deleted."""
        try:
            connection = sqlite3.connect(f"file:{self.db}?mode=ro", uri=True)
            try:
                sql = "SELECT coalesce(max(id), 0) FROM recordings WHERE clock_offset_ns"
                return int(connection.execute(sql).fetchone()[0])
            finally:
                connection.close()
        except sqlite3.Error:
            return 0


def with_commands(table: str) -> str:
    """Returns SQL for the rows of a table (processes, programs or snapshot) with the columns of their command lines."""
    return f"""(SELECT rows.*, commands.filename, commands.args, commands.argv, commands.argv_bytes
        FROM {table} AS rows LEFT JOIN commands ON commands.id = rows.command_id)"""


PROCESSES = with_commands("processes")
RAW_EVENTS = "({})".format(
    " UNION ALL ".join(
        f"SELECT id, recording_id, '{kind.name}' AS kind, time_ns, pid, process_id FROM {kind.table}"
        for kind in ALL_KINDS
    )
)
"""SQL for the rows of all raw events."""


# Events with default values for fields that a test doesn't need. Times are in ms since T0.


def at(milliseconds: float) -> int:
    """Returns Unix ns of a time in ms since T0."""
    return T0 + round(milliseconds * MS)


def fork(
    pid: int, ms: float, ppid: int = 1, parent_ms: float = -1000, comm: str = "sh", uid: int = 1000, kernel: int = 0
) -> Fork:
    """Returns a fork at ms by ppid, which started at parent_ms. The new process's start is the time of the fork."""
    return Fork(at(ms), pid, at(ms), ppid, at(parent_ms), comm, uid, uid, 1, kernel)


def exec_(
    pid: int,
    start_ms: float,
    ms: float,
    argv: bytes = b"/bin/true\0",
    comm: str = "true",
    argv_bytes: int | None = None,
) -> Exec:
    """Returns an exec at ms by the process that started at start_ms, in directory 42 of file system 8."""
    filename = argv.partition(b"\0")[0].decode("utf-8", "backslashreplace")
    total = len(argv) if argv_bytes is None else argv_bytes
    return Exec(at(ms), pid, at(start_ms), comm, 1000, 1000, 1, 500, filename, argv, total, 8, 42)


def exit_(pid: int, start_ms: float, ms: float, status: int = 0, comm: str = "true", ppid: int = 1) -> Exit:
    """Returns an exit at ms."""
    return Exit(at(ms), pid, at(start_ms), ppid, comm, status, 2000)


def free(pid: int, start_ms: float, ms: float, cpu_ms: float = 1, status: int = 0) -> Free:
    """Returns a free at ms. A quarter of the CPU time is in the kernel, and the other costs are small numbers."""
    cpu_ns = round(cpu_ms * MS)
    return Free(at(ms), pid, at(start_ms), status, cpu_ns, cpu_ns - cpu_ns // 4, cpu_ns // 4, 2, 3, 5, 7, 512, 4096, 11)


def seen(
    pid: int, start_ms: float, ppid: int = 1, comm: str = "init", argv: bytes | None = b"/sbin/init\0", kernel: int = 0
) -> Seen:
    """Returns the event of a process in the snapshot of /proc. start_ms: a multiple of 10, as in /proc."""
    filename = None if argv is None else argv.partition(b"\0")[0].decode()
    size = None if argv is None else len(argv)
    return Seen(T0, pid, at(start_ms), ppid, comm, 0, 0, 1, kernel, int(argv is not None), filename, argv, size)


def usage(pid: int, start_ms: float, ms: float, cpu_ms: float = 1) -> Usage:
    """Returns what a process that is running at ms has cost."""
    cpu_ns = round(cpu_ms * MS)
    return Usage(at(ms), pid, at(start_ms), cpu_ns, cpu_ns // 2, cpu_ns // 2, 20, 30, 50, 70, 5120, 8192, 110, 3000)


def vanished(pid: int, start_ms: float, ms: float) -> Vanished:
    """Returns the event of a process that is not in /proc at the end."""
    return Vanished(at(ms), pid, at(start_ms))


KEPT = (Variable("A", "set", "1"), Variable("B", "set", b"\xff"))
A_MIXED_LOT: list[Event] = [
    seen(1, -5000, ppid=0),
    seen(2, -5000, ppid=0, comm="kthreadd", argv=None, kernel=1),
    seen(30, -2000, comm="daemon"),
    fork(100, 0, parent_ms=-5000),
    exec_(100, 0, 1, b"/bin/sh\0-c\0\xff\0", "sh", argv_bytes=99)._replace(environment=KEPT),
    exec_(100, 0, 2)._replace(argv=None, argv_bytes=7, environment=KEPT),
    fork(101, 10, ppid=100, parent_ms=0),
    exit_(101, 10, 20, status=9),
    exit_(101, 10, 21, status=0),
    fork(101, 30, ppid=100, parent_ms=0),
    free(101, 10, 31, status=9),
    free(77, -9, 32),
    exit_(30, -1995, 40, status=139),
    fork(102, 50, kernel=1),
    fork(103, 60),
    free(103, 60, 70, status=256),
    exec_(104, 65, 80, comm="late")._replace(environment=(Variable("A", "unset"), Variable("B", "unknown"))),
    vanished(101, 30, 900),
]
"""Events of all kinds, with ids from 1 on. They are of nine processes; two of these have the same pid."""


def make_recording(
    db: Path,
    events: Iterable[Event],
    end_ms: float = 1000,
    counts: Counts | None = None,
    batch: int = 3,
    name: str = "",
) -> int:
    """Writes a recording of these events, from T0 to end_ms, as the recorder does; returns its id."""
    file = RecordingFile(db)
    source = MemorySource(events, batch, counts)
    try:
        writer = file.begin(recording_values(name))
        session = Session(source, writer, Machine())
        while not source.exhausted:
            session.add_events(source.drain())
        recording_end.finish(session)
        with file.db.atomic():
            file.db.execute("UPDATE recordings SET ended_ns = ? WHERE id = ?", [at(end_ms), writer.id])
        return writer.id
    finally:
        file.close()


class Machine(ReplayedMachine):
    """The machine of replayed events, with a clock and process states that a test can set."""

    def __init__(self, state_of: Callable[[int], State] = lambda pid: "alive", clock_offset: int = 0) -> None:
        super().__init__()
        self._state_of = state_of
        self._clock_offset = clock_offset

    def now(self) -> int:
        return clock.boot_ns() + self._clock_offset

    def is_alive(self, process: Process) -> bool:
        return self._state_of(process.pid) == "alive"

    def is_reaped(self, process: Process) -> bool:
        return self._state_of(process.pid) == "gone"


def recording_values(name: str = "") -> dict[str, object]:
    """Returns the values of a recording at its start, for RecordingFile.begin()."""
    return {
        "name": name or None, "started_ns": T0, "updated_ns": T0, "host": "testhost", "boot_id": "no boot",
        "kernel": "6.0", "machine": "x86_64", "cpus": 2, "command": "webpf record", "options": {},
        "recorder_pid": 1, "recorder_start_ns": 0, "clock_offset_ns": T0, "webpf_version": "0",
        "compiler": "BCC 0", "python_version": "3", "sqlite_version": "3",
    }  # fmt: skip
