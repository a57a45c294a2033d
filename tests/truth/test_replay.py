"""The same load, recorded and streamed at the same time: the replay of the stream has the rows of the recording."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from fates import run_program
from streams import replay
from support import DEADLINE_SECONDS, MS, PROCESSES, Recorder, wait_until, webpf_command, with_commands

from webpf.host import liveness
from webpf.storage.verify import verify

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]


@contextmanager
def streaming(output: int | IO[bytes], *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `webpf stream --full` that has begun."""
    command = [*webpf_command(), "stream", "--full", *options]
    process = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        assert b"streaming" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.wait()


def load(folder: Path) -> list[int]:
    """Programs of many fates, also in other directories and with odd names; the pids of the first ones."""
    odd = os.fsencode(folder) + b"/\xff\xfe"
    Path(os.fsdecode(odd)).mkdir()
    commands: list[tuple[list[str | bytes], bytes]] = [
        (["/bin/sh", "-c", "exit 3"], b"/"),
        (["/bin/sh", "-c", "sleep 1; kill -SEGV $$"], odd),
        (["/bin/sh", "-c", "cd /usr; /bin/true; (sleep 0.1) & sleep 0.2; exec /bin/echo done"], os.fsencode(folder)),
        ([b"/bin/echo", b"\xff", "x" * 40_000, ""], b"/usr"),
        (["/usr/bin/setpriv", "--reuid", "65534", "--clear-groups", "/bin/sh", "-c", "/bin/true; exit 7"], b"/"),
    ]
    pids = []
    for command, place in commands:
        process = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL)
        process.wait()
        pids.append(process.pid)
    return pids


_OF_PROCESS = f"""
SELECT p.*, parent.pid AS parent_pid, g.path AS cgroup
FROM {PROCESSES} AS p JOIN recordings AS r ON r.id = p.recording_id
LEFT JOIN processes AS parent ON parent.id = p.parent_id
LEFT JOIN cgroup_paths AS g ON g.recording_id = r.id AND g.cgroup_id = p.cgroup_id"""
_OF_PROGRAM = f"""
SELECT p.*, d.path AS directory FROM {with_commands("programs")} AS p
LEFT JOIN working_directories AS d
    ON d.recording_id = p.recording_id AND d.device = p.cwd_device AND d.inode = p.cwd_inode"""
_OTHERS = {"id", "process_id", "command_id", "parent_id", "recording_id"}
_SPANS = {"lifetime_ns", "cpu_ns", "user_ns", "system_ns", "run_delay_ns"}
_MEASURED = {"time_ns", "end_ns", "lifetime_ns", "freed_ns"}
"""Each recorder's BPF program reads the clock itself, one after the other."""


def family(db: Path, pids: list[int]) -> dict[str, list[dict[str, Any]]]:
    """All rows of these processes and their children. Absolute times are those of the boot clock.

    By process: two recorders can get the events of two processors in another order.
    """
    with closing(sqlite3.connect(db)) as connection:
        connection.row_factory = sqlite3.Row
        [offset] = connection.execute("SELECT clock_offset_ns FROM recordings").fetchone()
        numbers = ", ".join(map(str, pids))
        own = f"pid IN (SELECT pid FROM forks WHERE pid IN ({numbers}) OR ppid IN ({numbers}))"
        found = {}
        for table, sql in {
            "processes": _OF_PROCESS,
            "programs": _OF_PROGRAM,
            **{name: f"SELECT * FROM {name} AS p" for name in ("forks", "exits", "frees")},
        }.items():
            rows = connection.execute(f"{sql} WHERE p.{own} ORDER BY p.pid, p.start_ns, p.id").fetchall()
            found[table] = [_comparable(dict(row), offset) for row in rows]
    return found


def _comparable(row: dict[str, Any], offset: int) -> dict[str, Any]:
    for name in [name for name, value in row.items() if name.endswith("_ns") and name not in _SPANS and value]:
        row[name] -= offset
    return {name: value for name, value in row.items() if name not in _OTHERS}


def problems(db: Path) -> list[str]:
    return [problem for finding in verify(db) for problem in finding.problems]


def test_the_replay_has_the_rows_of_the_recording(start_recorder: Start, tmp_path: Path) -> None:
    """Column by column; but ids, and the last digits of the offset between the clocks, which each measures itself."""
    recorder = start_recorder()
    with (tmp_path / "events").open("wb") as output, streaming(output) as process:
        pids = load(tmp_path)
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 0
    code, errors = recorder.end()
    assert code == 0, errors
    done = replay((tmp_path / "events").read_bytes(), tmp_path / "replayed.db")
    assert done.returncode == 0, done.stderr
    recorded, replayed = family(recorder.db, pids), family(tmp_path / "replayed.db", pids)
    assert {row["pid"] for row in recorded["processes"]} > set(pids)
    for table, rows in recorded.items():
        assert len(replayed[table]) == len(rows), table
        for there, here in zip(rows, replayed[table], strict=True):
            for name in _MEASURED & there.keys():
                times = there.pop(name), here.pop(name)
                # The kernel doesn't report every free when it is busy.
                assert times == (None, None) or abs(times[0] - times[1]) < 20 * MS, name
            if None in (there.get("directory"), here.get("directory")):  # it is looked up while the process is there
                there.pop("directory", None)
                here.pop("directory", None)
            assert here == there, table
    assert {row["state"] for row in replayed["processes"]} == {"exited"}
    assert any(isinstance(row.get("directory"), bytes) for row in replayed["programs"])
    assert problems(tmp_path / "replayed.db") == []


def test_of_the_machine_the_replay_has_what_the_recording_has(start_recorder: Start, tmp_path: Path) -> None:
    """And those that were alive before; their arguments, for instance, are known."""
    resident = subprocess.Popen(["/bin/sleep", "600"])
    wait_until(lambda: Path(f"/proc/{resident.pid}/comm").read_text() == "sleep\n", "sleep has not begun")
    recorder = start_recorder()
    with (tmp_path / "events").open("wb") as output, streaming(output) as process:
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 0
    recorder.end()
    resident.kill()
    resident.wait()
    assert replay((tmp_path / "events").read_bytes(), tmp_path / "replayed.db").returncode == 0
    columns = (
        "host", "machine_id", "boot_id", "kernel", "machine", "cpus", "zone", "utc_offset_s", "webpf_version",
        "compiler", "python_version",
    )  # fmt: skip
    found = []
    for db in (recorder.db, tmp_path / "replayed.db"):
        with closing(sqlite3.connect(db)) as connection:
            of_machine = connection.execute(f"SELECT {', '.join(columns)} FROM recordings").fetchall()
            sql = f"SELECT args, state, uid, execs, cgroup_id, parent_id IS NULL FROM {PROCESSES} WHERE pid = ?"
            found.append((of_machine, connection.execute(sql, [resident.pid]).fetchall()))
    assert found[0] == found[1]
    assert found[1][1][0][:2] == ("/bin/sleep 600", "running")
    head = json.loads((tmp_path / "events").read_bytes().partition(b"\n")[0])
    assert (head["boot_id"], head["host"]) == (liveness.boot_id(), os.uname().nodename)
    date = subprocess.run(["date", "+%z"], capture_output=True, text=True, check=True).stdout
    seconds = (int(date[1:3]) * 60 + int(date[3:5])) * 60
    assert head["utc_offset_s"] == (-seconds if date[0] == "-" else seconds)


@pytest.mark.parametrize("option", [("--no-args",), ("--redact", "s3cret")], ids=["no-args", "redact"])
def test_what_is_left_out_is_in_no_line(tmp_path: Path, option: tuple[str, ...]) -> None:
    """Not of the programs that start, nor of those that run already, nor of the recorder's own command line."""
    resident = subprocess.Popen(["/bin/sh", "-c", "sleep 600; : s3cret"])
    try:
        with (tmp_path / "events").open("wb") as output, streaming(output, *option) as process:
            subprocess.run(["/bin/true", "s3cret"], check=True)
            process.terminate()
            assert process.wait(DEADLINE_SECONDS) == 0
    finally:
        resident.kill()
        resident.wait()
    raw = (tmp_path / "events").read_bytes()
    assert replay(raw, tmp_path / "db").returncode == 0
    assert b"s3cret" not in raw
    assert b"s3cret" not in (tmp_path / "db").read_bytes()
    with closing(sqlite3.connect(tmp_path / "db")) as connection:
        [argv] = connection.execute(f"SELECT argv FROM {PROCESSES} WHERE pid = ?", [resident.pid]).fetchone()
    assert (argv is None) if option == ("--no-args",) else b"***" in argv


def test_live_through_a_pipe(tmp_path: Path) -> None:
    """Rows are there while it goes on; when the stream is ended, the replay ends with it, complete."""
    db = tmp_path / "webpf.db"
    reader, writer = os.pipe()
    with streaming(writer) as process:
        os.close(writer)
        replaying = subprocess.Popen(
            [*webpf_command(), "replay", "--db", str(db)], stdin=reader, stderr=subprocess.PIPE
        )
        os.close(reader)
        try:
            child = subprocess.Popen(["/bin/sh", "-c", "exit 9"])
            child.wait()

            def is_there() -> bool:
                try:
                    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
                        sql = "SELECT 1 FROM processes WHERE pid = ? AND exit_code = 9"
                        return connection.execute(sql, [child.pid]).fetchone() is not None
                except sqlite3.Error:
                    return False

            wait_until(is_there, "the row of a process")
            process.send_signal(signal.SIGINT)
            _, errors = replaying.communicate(timeout=DEADLINE_SECONDS)
            assert replaying.returncode == 0, errors
        finally:
            replaying.kill()
            replaying.wait()
        assert process.wait(DEADLINE_SECONDS) == 0
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("SELECT status, lost FROM recordings").fetchall() == [("complete", 0)]
    assert problems(db) == []


def test_a_reader_that_stops_reading(tmp_path: Path) -> None:
    """Is told on stderr what it misses; the lines are whole, and their replay is an interrupted recording."""
    reader, writer = os.pipe()
    with streaming(writer) as process:
        os.close(writer)
        argument = "x" * 1000
        for _ in range(200):
            subprocess.run(["/bin/true", argument], check=True)
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 0
        assert process.stderr is not None
        assert b"LOST" in process.stderr.read()
    raw = b"".join(iter(lambda: os.read(reader, 1 << 20), b""))
    os.close(reader)
    assert raw.endswith(b"\n")
    done = replay(raw, tmp_path / "db")
    assert done.returncode == 65
    assert "breaks off" in done.stderr
    with closing(sqlite3.connect(tmp_path / "db")) as connection:
        assert connection.execute("SELECT status FROM recordings").fetchall() == [("interrupted",)]
    assert problems(tmp_path / "db") == []


def test_a_reader_that_pauses_at_the_end(tmp_path: Path) -> None:
    """As one that waits for its disk. The pipe is full when the stream is ended; it waits, so that it is whole."""
    reader, writer = os.pipe()
    with streaming(writer) as process:
        os.close(writer)
        for _ in range(40):
            run_program("/bin/true", "x" * 4000)
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        text = b"".join(iter(lambda: os.read(reader, 1 << 16), b""))
        assert process.wait(DEADLINE_SECONDS) == 0
    os.close(reader)
    replaying = [*webpf_command(), "replay", "-", "--db", str(tmp_path / "webpf.db")]
    ended = subprocess.run(replaying, input=text, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
