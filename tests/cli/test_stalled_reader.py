"""A pager or program that stops reading: the recording file is not locked meanwhile, and no row is lost."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import os
import pty
import random
import resource
import select
import signal
import sqlite3
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support import (
    DEADLINE_SECONDS,
    Recorder,
    exit_,
    fork,
    is_in_temporary_folder,
    make_recording,
    wait_until,
    webpf_command,
)

from webpf.cli import output_spool
from webpf.cli.output_spool import spooled

PROCESSES = 12_000
LONG = {
    "query": ["query", "lifetimes", "--format", "csv"],
    "lines of JSON": ["query", "lifetimes", "--format", "ndjson"],
    "a table": ["query", "lifetimes", "--limit", "500"],
    "export": ["export", "--to", "csv"],
    "a descriptor": ["export", "--to", "csv", "-o", "/dev/stdout"],
    "chrome": ["export", "--to", "chrome"],
    "tree": ["tree", "--no-fold"],
    "tree as JSON": ["tree", "--no-fold", "--format", "json"],
    "recordings": ["recordings", "--format", "ndjson"],
    "verify": ["verify"],
}


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose rows, and whose list of recordings, don't fit into a pipe."""
    path = tmp_path_factory.mktemp("long") / "webpf.db"
    pids = range(1000, 1000 + PROCESSES)
    events = [event for pid in pids for event in (fork(pid, pid / 100), exit_(pid, pid / 100, pid / 100 + 1))]
    make_recording(path, events[:2])
    with closing(sqlite3.connect(path)) as connection, connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(recordings)") if row[1] not in ("id", "name")]
        copy = ", ".join(names)
        connection.execute(
            f"""WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
            INSERT INTO recordings (name, {copy}) SELECT printf('%0200d', i), {copy} FROM n, recordings WHERE id = 1"""
        )
    make_recording(path, events, batch=5000)
    return path


@contextmanager
def stalled(command: list[str], db: Path, size: int = 4096) -> Iterator[subprocess.Popen[bytes]]:
    """A command whose output goes into a full pipe that nobody reads."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, size)
    environment = os.environ | {"WEBPF_DB": str(db)}
    process = subprocess.Popen([*webpf_command(), *command], stdout=writer, stderr=subprocess.PIPE, env=environment)
    process.stdout = os.fdopen(reader, "rb")
    try:
        # A few bytes can fill it: it has room for so many writes, of at most a page each.
        wait_until(lambda: process.poll() is not None or not select.select([], [writer], [], 0)[1], "it doesn't fill")
        os.close(writer)
        yield process
    finally:
        process.kill()
        process.communicate()


def unread(pipe: int) -> int:
    """Returns how many bytes are in the pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def is_free(db: Path) -> bool:
    """Returns whether another program can lock the file and change its journal mode without waiting."""
    with closing(sqlite3.connect(db, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
            return [connection.execute(f"PRAGMA journal_mode = {mode}").fetchone() for mode in ("WAL", "DELETE")] == [
                ("wal",),
                ("delete",),
            ]
        except sqlite3.OperationalError as error:
            assert "locked" in str(error)
            return False


@pytest.mark.parametrize("command", LONG.values(), ids=LONG)
def test_the_file_is_free(command: list[str], db: Path) -> None:
    with stalled(command, db) as process:
        wait_until(lambda: is_free(db), "the file stays locked")
        assert process.poll() is None, "its reader hasn't read anything"
        assert process.stdout is not None and process.stderr is not None
        output = process.stdout.read()
        assert process.wait(DEADLINE_SECONDS) == (65 if command == ["verify"] else 0), process.stderr.read()
    plain = subprocess.run(
        [*webpf_command(), *command], stdout=subprocess.PIPE, env=os.environ | {"WEBPF_DB": str(db)}, check=False
    )
    assert output == plain.stdout


def test_the_file_is_free_while_a_named_pipe_is_full(db: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [*webpf_command(), "export", str(db), "--to", "otlp", "-o", str(pipe)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process, pipe.open("rb") as reader:
        wait_until(lambda: unread(reader.fileno()) > 4096, "nothing comes")
        wait_until(lambda: is_free(db), "the file stays locked")
        assert process.poll() is None
        spans = sum(line.count(b'"spanId"') for line in reader)
    assert process.returncode == 0
    assert spans == PROCESSES


def test_no_row_is_lost(db: Path) -> None:
    """The rows are compared with those of SQLite itself."""
    with stalled(LONG["export"], db) as process:
        assert process.stdout is not None
        rows = list(csv.DictReader(io.TextIOWrapper(process.stdout, encoding="utf-8")))
    with closing(sqlite3.connect(db)) as connection:
        wanted = connection.execute(
            "SELECT id, pid FROM processes WHERE recording_id = (SELECT max(id) FROM recordings) ORDER BY id"
        )
        assert [(int(row["id"]), int(row["pid"])) for row in rows] == wanted.fetchall()


@pytest.mark.kernel
def test_a_recorder_ends_and_the_next_begins(db: Path, tmp_path: Path) -> None:
    """Both happen while a reader is stalled. The first recorder leaves one plain file."""
    copy = tmp_path / "webpf.db"
    copy.write_bytes(db.read_bytes())
    copy.chmod(0o600)
    first = Recorder(copy, ["--quiet"])
    first.wait_until_recording()
    with stalled([*LONG["query"], "--recording", "62"], copy) as process:
        wait_until(lambda: not has_open(process.pid, copy), "the reader keeps the file open")
        assert first.end()[0] == 0
        assert [path.name for path in tmp_path.iterdir()] == ["webpf.db"]
        second = Recorder(copy, ["--quiet", "--duration", "0.2"])
        assert second.wait()[0] == 0
        assert process.poll() is None


def has_open(pid: int, path: Path) -> bool:
    """Returns whether a process has a file open."""
    links = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(descriptor.readlink())
    return path in links


def test_a_terminal_that_was_stopped(db: Path) -> None:
    """Ctrl-S stops the output, but doesn't keep the file locked."""
    screen, line = pty.openpty()
    termios.tcflow(line, termios.TCOOFF)
    environment = os.environ | {"WEBPF_DB": str(db)}
    process = subprocess.Popen([*webpf_command(), *LONG["query"]], stdout=line, stderr=line, env=environment)
    try:
        wait_until(lambda: process.poll() is not None or waits_to_write(process.pid), "it doesn't write")
        assert process.poll() is None
        assert is_free(db)
    finally:
        process.kill()
        process.wait()
        os.close(line)
        os.close(screen)


def waits_to_write(pid: int) -> bool:
    """Returns whether a process is in a system call on its standard output."""
    return Path(f"/proc/{pid}/syscall").read_text().split()[1:2] == ["0x1"]


def test_head_ends_it(db: Path) -> None:
    """If the reader stops, the command ends silently by SIGPIPE, without writing the rest anywhere."""
    with stalled(LONG["query"], db) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.wait(DEADLINE_SECONDS) == -signal.SIGPIPE
        assert process.stderr.read() == b""


@pytest.mark.parametrize("seed", range(4))
def test_a_reader_that_comes_and_goes(seed: int) -> None:
    """A reader that pauses gets every byte in order, even those that were kept meanwhile."""
    chance = random.Random(seed)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    sent, got = bytearray(), bytearray()
    with os.fdopen(writer, "w") as output, spooled(output) as spool:
        for _ in range(300):
            stalls = chance.random() < 0.1
            part = chance.randbytes(chance.choice((200_000, 1_000_000) if stalls else (1, 300, 5000)))
            spool.buffer.write(part)
            spool.flush()
            sent += part
            while not stalls and unread(reader):
                got += os.read(reader, 65536)
                spool.buffer.write(b"-")  # which lets it go on
                spool.flush()
                sent += b"-"
                stalls = len(got) > len(sent) - 2000
        rest = threading.Thread(target=lambda: got.extend(iter_bytes(reader)))
        rest.start()
    rest.join(DEADLINE_SECONDS)
    os.close(reader)
    assert got == sent


def iter_bytes(pipe: int) -> bytes:
    """Yields all bytes until the other end is closed."""
    return b"".join(iter(lambda: os.read(pipe, 65536), b""))


def test_what_is_kept_takes_little_memory(tmp_path: Path) -> None:
    """If nobody reads 64 MB, most of it is in an unnamed file."""
    script = (
        f"import sys, resource; from {output_spool.__name__} import spooled; sys.stdout.flush()\n"
        "with spooled(sys.stdout) as output:\n"
        "    for _ in range(1024): output.write('x' * 65536)\n"
        "    output.flush()\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        peak_kib = int(process.stderr.readline())
        files = [each.stat() for each in Path(f"/proc/{process.pid}/fd").iterdir()]
        assert len(process.stdout.read()) == 64 * 2**20
    own_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert peak_kib < 48 * 1024 + own_kib
    assert any(each.st_nlink == 0 and each.st_size > 50 * 2**20 for each in files)


def test_a_file_is_continued(tmp_path: Path) -> None:
    """Output into a file overwrites neither what was there before, nor what another program appends."""
    path = tmp_path / "out"
    path.write_text("before\n")
    with path.open("a") as output, spooled(output) as spool:
        spool.write("within\n")
    with path.open("r+") as output:
        output.seek(0, io.SEEK_END)
        output.write("between\n")
        with spooled(output) as spool:
            spool.write("at the end\n")
    assert path.read_text() == "before\nwithin\nbetween\nat the end\n"


@pytest.mark.skipif(
    os.geteuid() != 0 or is_in_temporary_folder(), reason="needs root, and webpf outside of temporary folders"
)
def test_no_place_for_what_is_long(db: Path) -> None:
    """Without a folder for temporary files, one line says what helps."""
    script = """mount --bind "$WEBPF_FOLDER" /mnt || exit
        for folder in /tmp /var/tmp /usr/tmp; do [ ! -d $folder ] || mount -t tmpfs -o ro none $folder || exit; done
        cd /proc && exec "$@"
    """
    line = ["unshare", "--mount", "sh", "-c", script, "sh"]
    environment = os.environ | {"WEBPF_DB": f"/mnt/{db.name}", "WEBPF_FOLDER": str(db.parent)}
    many = [*webpf_command(), "query", "lifetimes", "--format", "ndjson"]
    reader, writer = os.pipe()
    try:
        answer = subprocess.run(
            [*line, *many], stdout=writer, stderr=subprocess.PIPE, env=environment, timeout=60, check=False
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert answer.returncode == 73
    [message] = answer.stderr.decode().splitlines()
    assert "there is no room to keep the output" in message
    assert f"; try: env TMPDIR=/var/tmp {sys.executable} -m webpf query lifetimes --format ndjson" in message
