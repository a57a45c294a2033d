"""Long operations on large files: a terminal shows their progress, and a signal ends them without leaving anything."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support import DEADLINE_SECONDS, PROJECT, wait_until, webpf_command

from webpf.cli import progress_bar
from webpf.progress import Interrupted, report_rows

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording that keeps each command busy for some seconds."""
    db = tmp_path_factory.mktemp("large") / "webpf.db"
    script = "import sys, pathlib; from tools.bench.million import build; build(pathlib.Path(sys.argv[1]), 100_000)"
    subprocess.run([sys.executable, "-c", script, str(db)], check=True, cwd=PROJECT)
    return db


def contents(db: Path) -> list[tuple[int, int, int]]:
    """Returns the contents of a folder, to compare them later."""
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute("SELECT count(*), sum(id), total(lifetime_ns) FROM processes").fetchall()


WORK = {
    "export": ["export", "--to", "otlp", "-o", "out"],
    "stacks": ["export", "--to", "speedscope", "-o", "out"],
    "parquet": ["export", "--to", "parquet", "-o", "out"],
    "merge": ["merge", "-o", "out"],
    "rebuild": ["rebuild", "--db"],
    "verify": ["verify"],
    "compact": ["compact"],
}


@pytest.mark.parametrize(
    ("what", "number"),
    [*((what, signal.SIGINT) for what in WORK), ("export", signal.SIGTERM), ("merge", signal.SIGTERM)],
)
def test_interrupted(what: str, number: signal.Signals, large: Path, tmp_path: Path) -> None:
    """A signal leaves one line, the exit code of a shell, the unchanged file, and no other file."""
    before = contents(large)
    there = sorted(large.parent.iterdir())
    # As at a terminal: what a background job of a shell ignores, its children ignore too.
    handler = signal.signal(number, signal.default_int_handler)
    try:
        with subprocess.Popen(
            [*webpf_command(), *WORK[what], str(large)], cwd=tmp_path, stderr=subprocess.PIPE, text=True
        ) as process:
            wait_until(lambda: is_at_work(process.pid, large), "it doesn't begin")
            process.send_signal(number)
            _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    finally:
        signal.signal(number, handler)
    assert process.returncode == 128 + number
    assert len(errors.splitlines()) == 1
    assert "was interrupted" in errors
    assert list(tmp_path.iterdir()) == []
    assert sorted(large.parent.iterdir()) == there
    assert contents(large) == before


def test_interrupted_while_a_reader_waits(large: Path) -> None:
    """A command that waits for the reader of a full pipe ends too."""
    line = [*webpf_command(), "export", "--to", "csv", str(large)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        pipe = process.stdout.fileno()
        size = fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
        wait_until(lambda: unread(pipe) > size - 4096, "the pipe doesn't fill")
        process.terminate()
        process.wait(DEADLINE_SECONDS)
        assert process.returncode == 128 + signal.SIGTERM
        assert process.stderr.read().count(b"\n") == 1


def unread(pipe: int) -> int:
    """Returns how many bytes are in the pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_findings_come_as_they_are_found(large: Path) -> None:
    with subprocess.Popen([*webpf_command(), "verify", str(large)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ok     the file\n"
        assert process.poll() is None
        process.terminate()
        assert process.stdout.read() == ""
    assert process.returncode == 128 + signal.SIGTERM


def is_at_work(pid: int, db: Path) -> bool:
    """Returns whether a process has the file open and has read some of it."""
    names = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            names.append(str(descriptor.readlink()))
        except FileNotFoundError:
            continue
    read = next(
        int(line.split()[1]) for line in Path(f"/proc/{pid}/io").read_text().splitlines() if line.startswith("rchar")
    )
    return str(db) in names and read > 12_000_000


def drawn(line: list[str], folder: Path) -> str:
    """Returns what a command writes to a terminal on its stderr."""
    terminal, end = pty.openpty()
    with subprocess.Popen(line, cwd=folder, stdout=subprocess.DEVNULL, stderr=end) as process:
        os.close(end)
        shown = b"".join(iter(lambda: read(terminal), b""))
    os.close(terminal)
    assert process.returncode == 0
    return shown.decode()


def read(terminal: int) -> bytes:
    """Reads some bytes; returns none at the end."""
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: nobody has the other end any more
        return b""


def test_a_bar_at_a_terminal(large: Path, tmp_path: Path) -> None:
    """The bar grows, and is erased at the end. Short operations have none, nor has output that isn't a terminal."""
    shown = drawn([*webpf_command(), "export", "--to", "chrome", "-o", "out", str(large)], tmp_path)
    shares = [int(share) for share in re.findall(r"(\d+)%", shown)]
    assert len(shares) > 3
    assert shares == sorted(shares)
    assert re.search(r"\x1b\[2Kwebpf: out: [\d,]+ bytes\s*$", shown)
    quiet = subprocess.run(
        [*webpf_command(), "export", "--to", "csv", str(large)], capture_output=True, text=True, check=True
    )
    assert quiet.stderr == ""


@pytest.fixture
def progress() -> Iterator[progress_bar.ProgressBar]:
    """A running operation."""
    with progress_bar.ProgressBar("the progress") as progress:
        yield progress


def test_a_long_statement_ends(progress: progress_bar.ProgressBar) -> None:
    """A signal also ends a statement that yields no row for long. The error names the signal, not SQLite's error."""
    connection = sqlite3.connect(":memory:")
    progress.make_interruptible(connection)
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(Interrupted) as found, progress_bar.ProgressBar("the count") as inner:
        inner.make_interruptible(connection)
        # The handler first: on a busy machine the time may be up before the next line, and SIGALRM ends the process.
        handler = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            connection.execute(endless).fetchall()
        finally:
            signal.signal(signal.SIGALRM, handler)
    assert (found.value.exit_code, found.value.message[:9]) == (128 + signal.SIGTERM, "the count")


def test_rows_are_counted() -> None:
    class Seen:
        def __init__(self) -> None:
            self.calls: list[tuple[int, int]] = []

        def report(self, done: int, total: int) -> None:
            self.calls.append((done, total))

        def make_interruptible(self, connection: sqlite3.Connection) -> None:
            pass

    seen = Seen()
    assert list(report_rows(range(2500), seen, 2500)) == list(range(2500))
    assert seen.calls == [(1000, 2500), (2000, 2500)]
