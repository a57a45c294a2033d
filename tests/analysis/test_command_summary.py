"""The summary that is printed at the end of a recorded command, computed from recorded events."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from support import at, exec_, exit_, fork, free, make_recording

from webpf.analysis import command_summary
from webpf.model.events import Event
from webpf.render import summary_text
from webpf.storage import reader

COMMAND = 100
PAGE = 100  # of SQLite's instructions


def family(children: int) -> list[Event]:
    """The events of a command that starts this many processes in turn. Each tenth fails, and one hasn't ended."""
    events: list[Event] = [fork(COMMAND, 0, ppid=1), exec_(COMMAND, 0, 0, b"make\0", "make")]
    for number in range(children):
        pid, begin = 1000 + number, 1 + number
        events += [
            fork(pid, begin, ppid=COMMAND, parent_ms=0),
            exec_(pid, begin, begin + 0.1, b"cc\0%d\0" % number, "cc"),
        ]
        if number != children // 2:
            status = 256 if number % 10 == 3 else 0
            ended = begin + 0.2 + number / 10
            events += [
                exit_(pid, begin, ended, status, comm="cc", ppid=COMMAND)._replace(max_rss_kib=2048 * (number + 1)),
                free(pid, begin, ended + 0.01, cpu_ms=children - number, status=status),
            ]
    events.sort(key=lambda event: event.time_ns)
    return [*events, exit_(COMMAND, 0, 2 * children, 512, comm="make", ppid=1)]


def recorded(db: Path, children: int) -> Path:
    """Makes a recording of that command."""
    make_recording(db, family(children), end_ms=2 * children, batch=1000)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(
            "UPDATE recordings SET options = ?, recorder_pid = 1, started_ns = ?",
            [json.dumps({"of": "command"}), at(0)],
        )
    return db


def lines_of(connection: sqlite3.Connection) -> list[str]:
    """Returns the summary of the first recording as text."""
    return list(summary_text.lines(command_summary.read(connection, reader.recordings(connection, 1)[0])))


def test_the_first_three_of_each(tmp_path: Path) -> None:
    with closing(sqlite3.connect(recorded(tmp_path / "a.db", 300))) as connection:
        lines = lines_of(connection)
    assert lines == [
        "make: exit 2 after 600.00 ms; 301 processes; CPU 45.00 s (75.0 cores busy)",
        "costs (lower bound, without 2 processes): user 33.75 s, system 11.25 s; read 150 KiB, wrote 1.17 MiB;"
        " waited 3 us for a processor",
        "slowest (time without a living child): cc 299 30.10 ms; cc 298 30.00 ms; cc 297 29.90 ms",
        "most CPU: cc 0 300.00 ms; cc 1 299.00 ms; cc 2 298.00 ms",
        "most memory (processes whose own peak is known): cc 299 600 MiB; cc 298 598 MiB; cc 297 596 MiB",
        "failed: 31, first: cc 3 (exit 1); cc 13 (exit 1); cc 23 (exit 1)",
        "likely cause: cc 293 (exit 1)",
        "STILL RUNNING: 1: cc 150 (pid 1150)",
    ]


def test_memory_that_may_be_of_the_image_before_is_not_told(tmp_path: Path) -> None:
    """The highest peaks were carried over an exec; the next three are peaks of the processes' own programs."""
    db = recorded(tmp_path / "a.db", 10)
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("UPDATE processes SET carried_rss_kib = max_rss_kib WHERE max_rss_kib > 7 * 2048")
        (line,) = (line for line in lines_of(connection) if line.startswith("most memory"))
    assert line == "most memory (processes whose own peak is known): cc 6 14.0 MiB; cc 4 10.0 MiB; cc 3 8.00 MiB"


def test_what_ended_after_its_parent_did_not_make_it_fail(tmp_path: Path) -> None:
    """A daemon that was killed later, and a child that the command's own child left behind."""
    events: list[Event] = [
        fork(COMMAND, 0, ppid=1),
        fork(200, 1, ppid=COMMAND, parent_ms=0),
        fork(300, 2, ppid=200, parent_ms=1),
        fork(301, 3, ppid=200, parent_ms=1),
        exit_(301, 3, 4, 256),
        exit_(200, 1, 5, 512),
        exit_(COMMAND, 0, 6, 768, ppid=1),
        exit_(300, 2, 9, 9, ppid=1),
    ]
    make_recording(tmp_path / "a.db", events, end_ms=10)
    db = tmp_path / "a.db"
    with closing(sqlite3.connect(db)) as connection, connection:
        options = json.dumps({"of": "command"})
        connection.execute("UPDATE recordings SET options = ?, recorder_pid = 1, started_ns = ?", [options, at(0)])
        summary = command_summary.read(connection, reader.recordings(connection, 1)[0])
    assert [process.pid for process in summary.last_failures] == [200, 301]


def test_it_takes_no_longer_for_each(tmp_path: Path) -> None:
    """With four times the processes, SQLite runs about four times the instructions, not sixteen times."""
    assert work(recorded(tmp_path / "b.db", 2000)) < 6 * work(recorded(tmp_path / "a.db", 500))


def work(db: Path) -> int:
    """Counts the instructions of SQLite's virtual machine, in pages."""
    pages = 0

    def count() -> int:
        nonlocal pages
        pages += 1
        return 0

    with closing(sqlite3.connect(db)) as connection:
        connection.set_progress_handler(count, PAGE)
        assert lines_of(connection)
    return pages
