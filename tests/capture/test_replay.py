"""`webpf replay` makes the recording that the other machine would have made, also from damaged or odd lines."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import old_files
import pytest
from streams import ELSEWHERE, HEAD, as_bytes, counts, kinds, replay
from support import (
    A_MIXED_LOT,
    DEADLINE_SECONDS,
    NOBODY,
    PROCESSES,
    PROJECT,
    RAW_EVENTS,
    T0,
    at,
    can_others_run_webpf,
    exec_,
    exit_,
    fork,
    free,
    make_recording,
    status_of,
    wait_until,
    webpf_command,
)

from webpf.capture import replay as replaying
from webpf.host.line_reader import LONGEST_LINE
from webpf.model.events import Event
from webpf.model.stream_metadata import CgroupPath, DirectoryPath
from webpf.storage.verify import verify

COUNTED = counts(kinds(A_MIXED_LOT))
PLAIN = [event for event in A_MIXED_LOT if type(event).__name__ in ("Fork", "Exec", "Exit")]


def rows(db: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(db)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


def problems(db: Path) -> list[str]:
    return [problem for finding in verify(db) for problem in finding.problems]


def test_a_whole_stream_gives_the_same_recording(tmp_path: Path) -> None:
    """Events, processes and the description of the machine are the same."""
    make_recording(tmp_path / "there.db", A_MIXED_LOT)
    db = tmp_path / "here.db"
    done = replay(as_bytes(HEAD, A_MIXED_LOT, COUNTED), db, "--name", "from there")
    assert done.returncode == 0, done.stderr
    for table in ("processes", "commands", "forks", "programs", "exits", "frees", "snapshot", "vanished"):
        sql = f"SELECT * FROM {table} ORDER BY id"
        assert rows(db, sql) == rows(tmp_path / "there.db", sql), table
    [recording] = rows(db, "SELECT * FROM recordings")
    assert {name: recording[name] for name in ELSEWHERE.__dataclass_fields__} == ELSEWHERE.__dict__
    assert (recording["name"], recording["status"], recording["lost"]) == ("from there", "complete", 0)
    assert (recording["started_ns"], recording["ended_ns"]) == (T0, at(1000))
    assert json.loads(recording["options"])["buffer_mib"] == 32
    assert problems(db) == []


def test_paths_come_with_the_stream(tmp_path: Path) -> None:
    """Also the path of a cgroup without events, and paths that are not UTF-8."""
    odd = b"/machine/\xff"
    stream = as_bytes(
        HEAD, CgroupPath(1, odd), CgroupPath(99, "/before"), CgroupPath(98, None), DirectoryPath(8, 42, odd),
        A_MIXED_LOT, DirectoryPath(8, 43, "/late"), COUNTED,
    )  # fmt: skip
    assert replay(stream, tmp_path / "db").returncode == 0
    found = {row["cgroup_id"]: row["path"] for row in rows(tmp_path / "db", "SELECT * FROM cgroup_paths")}
    assert found == {1: odd, 98: None, 99: "/before"}
    directories = rows(tmp_path / "db", "SELECT device, inode, path FROM working_directories ORDER BY inode")
    assert [tuple(row.values()) for row in directories] == [(8, 42, odd), (8, 43, "/late")]


def test_a_plain_stream_leaves_columns_unknown(tmp_path: Path) -> None:
    done = replay(as_bytes(PLAIN), tmp_path / "db")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(replaying.UNKNOWN) == 1
    assert "it isn't known whether events were lost" in done.stderr
    [recording] = rows(tmp_path / "db", "SELECT * FROM recordings")
    unknown = [*ELSEWHERE.__dataclass_fields__, "lost", "kept_short"]
    unknown += [f"{kind}s_{what}" for kind in ("fork", "exec", "exit", "free") for what in ("attempted", "lost")]
    assert {name: recording[name] for name in unknown} == dict.fromkeys(unknown)
    assert recording["status"] == "complete"
    assert (recording["started_ns"], recording["ended_ns"]) == (at(0), at(80))
    assert recording["forks_written"] == kinds(PLAIN)[0]
    assert problems(tmp_path / "db") == []


@pytest.mark.parametrize("cut", [1, 3, len(A_MIXED_LOT)])
def test_a_stream_that_breaks_off_is_kept_as_interrupted(tmp_path: Path, cut: int) -> None:
    done = replay(as_bytes(HEAD, A_MIXED_LOT[:cut]), tmp_path / "db")
    assert done.returncode == 65
    assert f"breaks off after line {cut + 1}, without the counts" in done.stderr
    assert "recording 1 in" in done.stderr
    [recording] = rows(tmp_path / "db", "SELECT * FROM recordings")
    assert (recording["status"], recording["ended_ns"]) == ("interrupted", None)
    assert len(rows(tmp_path / "db", f"SELECT * FROM {RAW_EVENTS}")) == cut
    assert problems(tmp_path / "db") == []


@pytest.mark.parametrize("head", [(HEAD,), ()], ids=["full", "plain"])
@pytest.mark.parametrize(
    "line",
    [
        b"no JSON\n",
        b'{"event": "Z"}\n',
        b'{"event": "F"',
        b"\xff\xfe\n",
        as_bytes(HEAD),
        b'{"event": "G", "pid": 1e9}\n',
    ],
    ids=["no JSON", "another letter", "half a line", "no UTF-8", "another head", "a wrong type"],
)
def test_a_damaged_line_ends_it_and_earlier_lines_are_kept(tmp_path: Path, line: bytes, head: Any) -> None:
    stream = as_bytes(*head, PLAIN[:2], line, b"" if line[-1:] != b"\n" else as_bytes(PLAIN[2:]))
    done = replay(stream, tmp_path / "db")
    assert done.returncode == 65
    assert f"line {3 + len(head)}" in done.stderr
    assert done.stderr.count("webpf: standard input can't be read on") == 1
    assert "Traceback" not in done.stderr
    assert [row["status"] for row in rows(tmp_path / "db", "SELECT * FROM recordings")] == ["interrupted"]
    assert len(rows(tmp_path / "db", f"SELECT * FROM {RAW_EVENTS}")) == 2
    assert problems(tmp_path / "db") == []


@pytest.mark.parametrize(
    "stream", [b"", b"\n \n", b"SQLite format 3\0", b"{}\n", b"x" * 100_000], ids=lambda b: repr(b[:16])
)
def test_other_input_makes_no_file(tmp_path: Path, stream: bytes) -> None:
    done = replay(stream, tmp_path / "db")
    assert done.returncode == 65
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 400
    assert not (tmp_path / "db").exists()


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    """It is refused at a limit, not when memory is full."""
    stream = as_bytes(HEAD, PLAIN[:1]) + b'{"event": "' + b"x" * (LONGEST_LINE + 1)
    done = replay(stream, tmp_path / "db")
    assert done.returncode == 65
    assert "line 3 is longer than 16 MiB" in done.stderr
    assert len(rows(tmp_path / "db", f"SELECT * FROM {RAW_EVENTS}")) == 1


def test_the_longest_line_of_a_stream_is_accepted(tmp_path: Path) -> None:
    """--max-args can be 2 MiB, and bytes that are not text make the longest lines."""
    long = exec_(100, 0, 1)._replace(argv=b"\xff\x1b" * (1 << 20), argv_bytes=3 << 20)
    stream = as_bytes(HEAD, fork(100, 0), long, counts((1, 1, 0, 0)))
    assert replay(stream, tmp_path / "db").returncode == 0
    [row] = rows(tmp_path / "db", f"SELECT argv FROM {PROCESSES}")
    assert row["argv"] == long.argv


def test_duplicates_disorder_and_unknown_keys(tmp_path: Path) -> None:
    expected = tmp_path / "expected.db"
    make_recording(expected, A_MIXED_LOT)
    lines = as_bytes(A_MIXED_LOT).splitlines()
    known_later = [json.dumps(json.loads(line) | {"something_new": [1]}).encode() for line in lines]
    doubled = [line for line in known_later for _ in range(2)]
    doubled[12:12] = [b""]
    stream = as_bytes(HEAD) + b"\r\n".join(doubled) + b"\n" + as_bytes(COUNTED)
    assert replay(stream, tmp_path / "db").returncode == 0
    sql = "SELECT * FROM processes ORDER BY id"
    assert rows(tmp_path / "db", sql) == rows(expected, sql)
    swapped: list[Event] = [fork(7, 0), free(7, 0, 30), exit_(7, 0, 20), exec_(7, 0, 10)]
    assert replay(as_bytes(HEAD, swapped, counts(kinds(swapped))), tmp_path / "swapped").returncode == 0
    [row] = rows(tmp_path / "swapped", "SELECT pid, end_ns FROM processes WHERE end_ns ORDER BY id LIMIT 1")
    assert row == {"pid": 7, "end_ns": at(20)}


def test_events_that_were_counted_but_did_not_come_are_lost(tmp_path: Path) -> None:
    """Also if lines were removed. Counts that are too small do no harm."""
    not_all = [event for event in A_MIXED_LOT if event.pid != 104]
    assert replay(as_bytes(HEAD, not_all, COUNTED), tmp_path / "db").returncode == 0
    [recording] = rows(tmp_path / "db", "SELECT * FROM recordings")
    assert (recording["execs_lost"], recording["lost"]) == (1, 1)
    greater = counts([n + 2 for n in kinds(A_MIXED_LOT)], (2, 2, 2, 2))
    assert replay(as_bytes(HEAD, A_MIXED_LOT, greater), tmp_path / "db").returncode == 0
    assert replay(as_bytes(HEAD, A_MIXED_LOT, counts((0, 0, 0, 0))), tmp_path / "db").returncode == 0
    assert [row["lost"] for row in rows(tmp_path / "db", "SELECT lost FROM recordings")] == [1, 8, 0]
    assert problems(tmp_path / "db") == []


def test_losses_of_a_stream_that_breaks_off_are_known(tmp_path: Path) -> None:
    stream = as_bytes(HEAD, A_MIXED_LOT[:4], counts((9, 9, 9, 9), (0, 3, 0, 0), end_ms=None))
    assert replay(stream, tmp_path / "db").returncode == 65
    [recording] = rows(tmp_path / "db", "SELECT status, lost, execs_lost FROM recordings")
    assert recording == {"status": "interrupted", "lost": 3, "execs_lost": 3}


def test_messages_name_the_file_even_if_there_is_none(tmp_path: Path, webpf: Any) -> None:
    (tmp_path / "events.ndjson").write_bytes(as_bytes(HEAD, A_MIXED_LOT))
    assert "events.ndjson breaks off" in webpf("replay", "events.ndjson").stderr
    missing = webpf("replay", "nothing here")
    assert (missing.returncode, missing.stdout) == (66, "")
    assert "'nothing here'" in missing.stderr.partition("try:")[2]
    assert webpf("replay", tmp_path).returncode == 74


class Pipe:
    """A `webpf replay` that reads from a pipe."""

    def __init__(self, db: Path) -> None:
        self.db = db
        command = [*webpf_command(), "replay", "--db", str(db)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=False)

    def write(self, stream: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(stream)
        self.process.stdin.flush()

    def end(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=DEADLINE_SECONDS)
        return self.process.returncode, errors.decode()

    def processes(self) -> int:
        try:
            return len(rows(self.db, "SELECT * FROM processes"))
        except sqlite3.Error:
            return 0


def test_rows_are_written_while_the_stream_continues(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path / "db")
    pipe.write(as_bytes(HEAD, fork(100, 0)))
    wait_until(lambda: pipe.processes() == 1, "the first process")
    pipe.write(as_bytes(fork(101, 5))[:30])
    pipe.write(as_bytes(fork(101, 5))[30:])
    wait_until(lambda: pipe.processes() == 2, "the second process")
    pipe.write(as_bytes(counts((2, 0, 0, 0))))
    code, errors = pipe.end()
    assert code == 0, errors
    assert problems(tmp_path / "db") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("head", [(HEAD,), ()], ids=["full", "plain"])
def test_a_signal_ends_it(tmp_path: Path, number: signal.Signals, head: Any) -> None:
    """It ends although the pipe stays open. A whole stream then lacks its end."""
    pipe = Pipe(tmp_path / "db")
    pipe.write(as_bytes(*head, fork(100, 0)))
    wait_until(lambda: pipe.processes() == 1, "the first process")
    pipe.process.send_signal(number)
    wait_until(lambda: pipe.process.poll() is not None, "its end")
    assert pipe.process.returncode == 0
    [recording] = rows(tmp_path / "db", "SELECT status FROM recordings")
    assert recording["status"] == ("interrupted" if head else "complete")
    assert problems(tmp_path / "db") == []


def test_last_lines_are_read_after_a_signal(tmp_path: Path) -> None:
    """Ctrl-C at a terminal goes to all processes of a pipeline, so the writer prints its last counts."""
    pipe = Pipe(tmp_path / "db")
    pipe.write(as_bytes(HEAD, fork(100, 0)))
    wait_until(lambda: pipe.processes() == 1, "the first process")
    pipe.process.send_signal(signal.SIGINT)
    pipe.write(as_bytes(counts((1, 0, 0, 0))))
    assert pipe.end()[0] == 0
    assert [row["status"] for row in rows(tmp_path / "db", "SELECT status FROM recordings")] == ["complete"]


def test_a_signal_before_the_first_line(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path / "db")
    wait_until(lambda: catches(pipe, signal.SIGQUIT), "its handlers")
    pipe.process.send_signal(signal.SIGINT)
    wait_until(lambda: pipe.process.poll() is not None, "its end")
    code, errors = pipe.end()
    assert code == 130
    assert errors == "webpf: no event has come, so nothing is recorded\n"
    assert not (tmp_path / "db").exists()


def catches(pipe: Pipe, number: int) -> bool:
    return bool(int(status_of(pipe.process.pid).get("SigCgt", "0"), 16) >> (number - 1) & 1)


def peak_kib(processes: int, db: Path) -> int:
    """Returns the peak memory of a replay of this number of processes with different pids, which are never freed."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stdin, os.fdopen(writer, "wb") as out:
        replaying = subprocess.Popen([*webpf_command(), "replay", "-q", "--db", str(db)], stdin=stdin)
        stdin.close()

        def write() -> None:
            for first in range(0, processes, 1000):
                lives: list[Event] = []
                for pid in range(first + 1, first + 1001):
                    lives += [fork(pid, 10 * pid), exit_(pid, 10 * pid, 10 * pid + 1)]
                out.write(as_bytes(lives))
            out.close()

        feeding = threading.Thread(target=write)
        feeding.start()
        _, code, usage = os.wait4(replaying.pid, 0)
        replaying.returncode = code
        feeding.join()
    assert code == 0
    return usage.ru_maxrss


def test_memory_is_limited(tmp_path: Path) -> None:
    """A process takes some KiB while it can still change: 40,000 processes would take more than 30 MiB."""
    few, many = peak_kib(4_000, tmp_path / "few"), peak_kib(44_000, tmp_path / "many")
    assert many - few < 12 * 1024
    assert len(rows(tmp_path / "many", "SELECT id FROM processes WHERE state = 'exited'")) == 44_000


HERE = "here-where-it-is-replayed"
BCC = Path("/usr/lib/python3/dist-packages/bcc")


@pytest.fixture
def nobodys() -> Iterator[Path]:
    """A folder that the user nobody owns and can reach. Its name must not get into the file."""
    with tempfile.TemporaryDirectory(suffix=HERE) as name:
        os.chown(name, NOBODY, NOBODY)
        yield Path(name)


@pytest.mark.skipif(
    os.geteuid() != 0 or not can_others_run_webpf(),
    reason="needs root to become another user, in other namespaces, and webpf where others can run it",
)
@pytest.mark.parametrize(
    "stream", [as_bytes(HEAD, A_MIXED_LOT, COUNTED), as_bytes(PLAIN)], ids=["a whole stream", "a plain stream"]
)
def test_nothing_of_the_replaying_machine_is_in_the_file(nobodys: Path, tmp_path: Path, stream: bytes) -> None:
    """With another host name and time zone, without BCC, as the user nobody: the same rows as here as root."""
    script = (
        f"hostname {HERE} && if [ -d {BCC} ]; then mount -t tmpfs none {BCC}; fi && [ ! -e {BCC}/__init__.py ] &&"
        f' exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups -- "$@"'
    )
    db = nobodys / "webpf.db"
    done = subprocess.run(
        ["unshare", "--uts", "--mount", "sh", "-c", script, "sh", *webpf_command(), "replay", "--db", str(db)],
        input=stream,
        capture_output=True,
        env=os.environ | {"TZ": "Pacific/Chatham", "HOME": str(nobodys), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=PROJECT,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert db.stat().st_uid == NOBODY
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    raw = db.read_bytes()
    for secret in (HERE, "Chatham", str(NOBODY), boot_id, os.uname().release, str(PROJECT)):
        assert secret.encode() not in raw, secret
    assert replay(stream, tmp_path / "webpf.db").returncode == 0
    assert dump(db) == dump(tmp_path / "webpf.db")


def dump(db: Path) -> list[Any]:
    """Returns the rows of all tables of a file."""
    with closing(sqlite3.connect(db)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_sqlite%' ESCAPE '\\' ORDER BY 1"
        )
        return [(name, connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()) for (name,) in tables]


def test_a_file_whose_schema_has_no_unknown_machine_is_upgraded(tmp_path: Path) -> None:
    db = old_files.copy("schema-4-known-machine", tmp_path / "webpf.db")
    before = rows(db, "SELECT * FROM recordings")
    assert all(row["host"] for row in before)
    done = replay(as_bytes(PLAIN), db)
    assert done.returncode == 0
    assert "is upgraded from schema 4" in done.stderr
    after = rows(db, "SELECT * FROM recordings")[:-1]
    kept = [name for name in before[0] if name != "bcc_version"]
    assert [[row[name] for name in kept] for row in after] == [[row[name] for name in kept] for row in before]
    assert [row["compiler"] for row in after] == [f"BCC {row['bcc_version']}" for row in before]
    assert [row["host"] for row in rows(db, "SELECT host FROM recordings")][-1] is None
    assert problems(db) == []
