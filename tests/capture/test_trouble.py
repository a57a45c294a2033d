"""A file that is locked, or removed, or whose disk is full or hangs: what continues, what is reported and kept."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fates import check, row_of, run_program
from hung_folder import hung_folder
from support import DEADLINE_SECONDS, MS, NOBODY, Recorder, children_of, held, let_others_in, wait_until, webpf_command

from webpf.storage.verify import verify

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]
Query = Callable[..., list[dict[str, Any]]]


def is_right(db: Path) -> bool:
    """Whether verify finds no problem in the file."""
    return all(finding.problems == () for finding in verify(db))


@pytest.fixture
def storm() -> Iterator[None]:
    """Processes that start and end all the time, so that there is always something to be written."""
    code = "import os\nwhile True: os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        yield
        process.kill()


@pytest.mark.usefixtures("storm")
def test_a_lock_is_reported_while_the_machine_is_busy(start_recorder: Start, query: Query) -> None:
    recorder = start_recorder()
    with held(recorder.db, "BEGIN IMMEDIATE"):
        time.sleep(2)
    wait_until(lambda: query("SELECT 1 FROM incidents"), "no incident is written")
    assert "was locked for" in recorder.end()[1]


@pytest.mark.parametrize("begin", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_file_that_is_locked_for_a_while(begin: str, start_recorder: Start, query: Query, tmp_path: Path) -> None:
    """The recorder continues and loses nothing. It reports which process had locked the file, and for how long."""
    recorder = start_recorder()
    with held(recorder.db, begin) as pid:
        locked = time.monotonic()
        fates = [run_program("/bin/true") for _ in range(20)]
        time.sleep(2)
        seconds = time.monotonic() - locked
    wait_until(lambda: query("SELECT 1 FROM incidents"), "no incident is written")
    code, errors = recorder.end()
    assert code == 0
    match = re.search(
        rf"was locked for (\d+\.\d) s \(by pid {pid} \(\S+\)\); the recording went on, and no event", errors
    )
    assert match and seconds - 1 < float(match[1]) < seconds + 3, errors
    (incident,) = query("SELECT * FROM incidents")
    assert (incident["kind"], incident["lost"]) == ("locked", 0)
    assert f"pid {pid} " in incident["detail"]
    for fate in fates:
        check(row_of(query, fate), fate)
    assert is_right(recorder.db)
    assert query("SELECT lost, status FROM recordings") == [{"lost": 0, "status": "complete"}]


def test_a_signal_ends_it_while_the_file_is_locked(start_recorder: Start) -> None:
    """It ends after a few seconds, with the exit code for a file that can't be written. Committed rows are kept."""
    recorder = start_recorder()
    with held(recorder.db, "BEGIN IMMEDIATE") as pid:
        begun = time.monotonic()
        code, errors = recorder.end()
        assert time.monotonic() - begun < DEADLINE_SECONDS
    assert code == 74
    assert f"is locked by pid {pid}" in errors.splitlines()[-1]
    assert "what was committed before is kept" in errors.splitlines()[-1]
    assert is_right(recorder.db)


def test_a_reader_that_blocks_the_next_recording(start_recorder: Start, webpf: Any) -> None:
    """SQLite can't create the WAL: webpf gives up after five seconds, names the reader's pid, and starts no command."""
    recorder = start_recorder()
    assert recorder.end()[0] == 0
    with held(recorder.db, "BEGIN") as pid:
        begun = time.monotonic()
        ended = webpf("record", "--", "echo", "started")
        assert 4 < time.monotonic() - begun < DEADLINE_SECONDS
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (74, "", 1)
    assert f"is locked by pid {pid}" in ended.stderr
    assert webpf("record", "-q", "--", "echo", "started").stdout == "started\n"


def test_a_long_read_transaction_during_a_recording(start_recorder: Start, query: Query) -> None:
    """It doesn't affect the recording."""
    recorder = start_recorder()
    with held(recorder.db, "BEGIN"):
        fate = run_program("/bin/true")
        code, errors = recorder.end()
    assert code == 0
    assert "complete, no event was lost" in errors
    check(row_of(query, fate), fate)
    assert query("SELECT * FROM incidents") == []


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path) -> Path:
    """Fills the disk with a file; returns its path."""
    file = os.open(disk / "fill", os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(file, bytes(4096))
    except OSError:
        return disk / "fill"
    finally:
        os.close(file)


@pytest.fixture
def own_program(tmp_path: Path) -> str:
    """A program with a name of its own. Recorded alone, other processes of a busy machine don't fill a small disk."""
    path = tmp_path / "on_small_disk"
    path.symlink_to("/bin/true")
    return str(path)


def test_a_disk_that_is_full_for_a_while(
    disk: Path, own_program: str, start_recorder: Start, query: Query, tmp_path: Path
) -> None:
    """The recording continues, and no event is lost."""
    db = disk / "webpf.db"
    recorder = start_recorder("--comm", Path(own_program).name, db=db)
    fates = [run_program(own_program)]
    wait_until(lambda: query("SELECT 1 FROM exits", db=db), "nothing is written")
    filling = fill(disk)
    fates += [run_program(own_program, "x" * 1000) for _ in range(200)]
    time.sleep(1.5)
    filling.unlink()
    wait_until(lambda: query("SELECT 1 FROM incidents", db=db), "no incident is written")
    fates.append(run_program(own_program))
    code, errors = recorder.end()
    assert code == 0
    assert re.search(r"had no room for \d+\.\d s .*full.*; the recording went on, and no event was lost", errors), (
        errors
    )
    for fate in fates:
        check(row_of(lambda *arguments: query(*arguments, db=db), fate), fate)
    assert {row["kind"] for row in query("SELECT kind FROM incidents", db=db)} == {"full"}
    assert is_right(db)


def test_a_disk_that_stays_full(
    disk: Path, own_program: str, start_recorder: Start, query: Query, tmp_path: Path
) -> None:
    """The exit code and the message are those for a full disk. Committed rows are kept, and verify accepts them."""
    recorder = start_recorder("--comm", Path(own_program).name, db=disk / "webpf.db")
    run_program(own_program)
    wait_until(lambda: query("SELECT 1 FROM exits", db=recorder.db), "nothing is written")
    filling = fill(disk)
    for _ in range(300):
        run_program(own_program, "x" * 1000)
    assert recorder.process.poll() is None, recorder.end()
    code, errors = recorder.end()
    assert code == 74
    assert "full; what was committed before is kept" in errors.splitlines()[-1]
    filling.unlink()
    for file in disk.iterdir():
        shutil.copy(file, tmp_path / file.name)
    assert is_right(tmp_path / "webpf.db")


def test_a_disk_that_hangs(tmp_path: Path, start_recorder: Start) -> None:
    """At the end the recorder waits for a write that can't be interrupted, but only for a limited time."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    made = subprocess.run(["mkfs.ext4", "-q", image], check=False).returncode
    if made or subprocess.run(["mount", "-o", "loop", image, folder], check=False).returncode:
        pytest.skip("no file system in a file can be mounted here")
    try:
        recorder = start_recorder(db=folder / "webpf.db")
        run_program("/bin/true")
        subprocess.run(["fsfreeze", "-f", folder], check=True)
        try:
            run_program("/bin/true")
            begun = time.monotonic()
            recorder.process.terminate()
            code = recorder.process.wait(2 * DEADLINE_SECONDS)
            assert time.monotonic() - begun < 10 + DEADLINE_SECONDS / 2
        finally:
            subprocess.run(["fsfreeze", "-u", folder], check=True)
        assert code == 74
        assert recorder.process.stderr is not None
        assert "the disk doesn't answer" in recorder.process.stderr.read()
        for part in folder.glob("webpf.db*"):
            shutil.copy(part, tmp_path / part.name)
        assert is_right(tmp_path / "webpf.db")
    finally:
        wait_until(lambda: not subprocess.run(["umount", folder], check=False).returncode, "it is in use for ever")


@pytest.mark.parametrize("sudo", [{}, {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}], ids=["root", "sudo"])
def test_a_working_directory_that_hangs(tmp_path: Path, query: Query, sudo: dict[str, str]) -> None:
    """Each process that reads it hangs, so helpers read it. The recorder waits for them neither now nor at its end."""
    if sudo:
        let_others_in(tmp_path / "webpf.db")
        os.chown(tmp_path, NOBODY, NOBODY)
    folder = tmp_path / "mount"
    folder.mkdir()
    script = f"cd {folder}; echo in; read word; /bin/true; /bin/true; echo out; read word"
    try:
        with hung_folder(folder) as hang:
            there = subprocess.Popen(
                ["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            assert there.stdin is not None and there.stdout is not None
            assert there.stdout.readline() == "in\n"
            recorder = Recorder(tmp_path / "webpf.db", environment=sudo)
            recorder.wait_until_recording()
            hang()
            there.stdin.write("go\n")
            there.stdin.flush()
            assert there.stdout.readline() == "out\n"
            wait_until(lambda: is_waiting(recorder.process.pid), "no helper read the directory")
            fates = []
            for _ in range(5):
                fates.append(run_program("/bin/true"))
                wait_until(lambda: exited(query, fates[-1].pid), "the recorder hangs", 3)
            begun = time.monotonic()
            code, errors = recorder.end()
            assert time.monotonic() - begun < DEADLINE_SECONDS / 4
            there.stdin.close()
            there.wait()
    except OSError as error:
        pytest.skip(str(error))
    assert (code, "complete, no event was lost" in errors) == (0, True), errors
    rows = query("SELECT * FROM programs WHERE pid IN (SELECT pid FROM processes WHERE ppid = ?)", there.pid)
    assert len(rows) == 2
    assert query("SELECT * FROM working_directories WHERE device = ?", rows[0]["cwd_device"]) == []
    assert is_right(tmp_path / "webpf.db")


def exited(query: Query, pid: int) -> bool:
    """Whether the file has the exit of this process."""
    return bool(query("SELECT 1 FROM processes WHERE pid = ? AND state = 'exited'", pid))


def is_waiting(pid: int) -> bool:
    """Whether a child of this process waits for a FUSE file system: /proc/PID/stack shows it."""
    return any("fuse" in Path(f"/proc/{child}/stack").read_text() for child in children_of(pid))


def test_a_terminal_that_is_stopped(tmp_path: Path, query: Query) -> None:
    """No process reads stderr, and its pipe is full: webpf still records, and the recording ends."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, bytes(4096))
    except BlockingIOError:
        os.set_blocking(writer, True)
    command = [*webpf_command(), "record", "--db", str(tmp_path / "webpf.db")]
    with subprocess.Popen(command, stderr=writer, cwd=tmp_path) as process:
        wait_until(lambda: Recorder.latest(recorder_of(tmp_path / "webpf.db")), "it doesn't record")
        fate = run_program("/bin/true")
        wait_until(lambda: exited(query, fate.pid), "the recorder waits for its terminal")
        process.terminate()
        wait_until(lambda: query("SELECT status FROM recordings") == [{"status": "complete"}], "it doesn't end")

        def has_ended() -> bool:
            process.terminate()  # it waits until it can print the summary; a signal ends this
            return process.poll() is not None

        try:
            wait_until(has_ended, "it waits for its terminal for ever")
        finally:
            process.kill()
    os.close(writer)
    os.close(reader)
    check(row_of(query, fate), fate)


def recorder_of(db: Path) -> Recorder:
    """Returns a Recorder without a process, for its method that reads a file."""
    recorder = Recorder.__new__(Recorder)
    recorder.db = db
    return recorder


@pytest.mark.parametrize(
    "how",
    [
        "rm webpf.db",
        "mv webpf.db moved.db",
        "> webpf.db",
        "cp /etc/passwd webpf.db",
        "rm webpf.db; echo mine > webpf.db",
        "mv webpf.db moved.db; mkfifo webpf.db",
    ],
)
def test_a_file_that_is_removed_or_replaced(how: str, start_recorder: Start, tmp_path: Path) -> None:
    """The recording ends with a message, and doesn't change the file that is at this path now."""
    recorder = start_recorder()
    run_program("/bin/true")
    wait_until(lambda: sqlite3.connect(recorder.db).execute("SELECT 1 FROM exits").fetchone(), "nothing is recorded")
    subprocess.run(["/bin/sh", "-c", how], cwd=tmp_path, check=True)
    replacement = tmp_path / "webpf.db"
    before = replacement.read_bytes() if replacement.is_file() else None
    wait_until(lambda: recorder.process.poll() is not None, "it doesn't notice")
    code, errors = recorder.end()
    assert code == 74
    assert re.search(r"was (removed|moved to|overwritten)", errors.splitlines()[-1]), errors
    assert "complete" not in errors
    assert (replacement.read_bytes() if replacement.is_file() else None) == before
    assert [side.name for side in tmp_path.glob("webpf.db-*") if side.stat().st_size and "-wal" in side.name] == []
    if (tmp_path / "moved.db").exists():
        assert is_right(tmp_path / "moved.db")
        connection = sqlite3.connect(tmp_path / "moved.db")
        assert connection.execute("SELECT count(*) > 0 FROM exits").fetchone() == (1,)
        connection.close()


def test_two_recorders_of_one_file(start_recorder: Start, query: Query) -> None:
    """They often wait for each other, which is not an incident."""
    recorders = [start_recorder(), start_recorder()]
    begun = time.monotonic()
    while time.monotonic() - begun < 2:
        run_program("/bin/true")
    for recorder in recorders:
        assert recorder.end()[0] == 0
    assert query("SELECT * FROM incidents") == []
    assert is_right(recorders[0].db)


def test_an_incident_that_ends_during_shutdown(start_recorder: Start, query: Query) -> None:
    """It is reported and recorded."""
    recorder = start_recorder()
    with held(recorder.db, "BEGIN IMMEDIATE"):
        fate = run_program("/bin/true")
        time.sleep(1.5)
        recorder.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
    code, errors = recorder.end()
    assert (code, "was locked for" in errors) == (0, True), errors
    check(row_of(query, fate), fate)
    (incident,) = query("SELECT until_ns - from_ns AS ns FROM incidents")
    assert incident["ns"] > 1000 * MS
