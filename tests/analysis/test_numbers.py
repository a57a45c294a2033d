"""The numbers in summary, report, tree and diff equal those of the saved queries; lists say what they leave out."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from story import BUILD, run
from support import make_recording, seen

from webpf.model.events import Event

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


def lines(text: str, begin: str) -> list[str]:
    """Returns the lines that begin with a text, without the program's name before it."""
    return [line for line in text.splitlines() if line.removeprefix("webpf: ").startswith(begin)]


@pytest.mark.kernel
@pytest.mark.parametrize("option", [None, "--own-cgroup"])
def test_a_command_that_fails_is_counted(option: str | None, tmp_path: Path, webpf: Webpf) -> None:
    """wait4() reports three failures to the shell, and the shell's failure to this test. SQLite counts four."""
    script = "/bin/sh -c 'exit 3'; echo $?; /bin/false; echo $?; /bin/sh -c 'kill -9 $$'; echo $?; exit 5"
    recorded = webpf("record", *([option] if option else []), "--", "/bin/sh", "-c", script)
    assert (recorded.returncode, recorded.stdout.split()) == (5, ["3", "1", "137"])
    db = tmp_path / "webpf.db"
    with closing(sqlite3.connect(db)) as connection:
        (failed,) = connection.execute("SELECT count(*) FROM processes WHERE status <> 0").fetchone()
    assert failed == 4
    assert len(run(db, "failures")) == 4
    report = webpf("report").stdout
    for text in (recorded.stderr, report):
        (line,) = lines(text, "failed: ")
        assert line.removeprefix("webpf: ").startswith("failed: 4, first: ")
    assert "(exit 3)" in report
    assert webpf("record", "-q", "--", "/bin/true").returncode == 0
    assert re.search(r"^failures +4 +0 ", webpf("diff").stdout, re.MULTILINE)


@pytest.mark.kernel
def test_the_costs_are_those_of_all_processes(tmp_path: Path, webpf: Webpf) -> None:
    """dd writes 10 MiB, and the shell that waits for it nothing. SQLite adds up the rows."""
    dd = f"dd if=/dev/zero of={tmp_path / 'file'} bs=64k count=160 conv=fsync status=none; exit 0"
    recorded = webpf("record", "--", "/bin/sh", "-c", dd)
    with closing(sqlite3.connect(tmp_path / "webpf.db")) as connection:
        sums = connection.execute(
            "SELECT sum(user_ns), sum(system_ns), sum(read_bytes), sum(write_bytes), sum(run_delay_ns) FROM processes"
        ).fetchone()
    (line,) = lines(recorded.stderr, "costs")
    assert line.removeprefix("webpf: ") == lines(webpf("report").stdout, "costs")[0]
    report = json.loads(webpf("report", "--format", "json").stdout)
    names = "user_ns", "system_ns", "read_bytes", "write_bytes", "run_delay_ns"
    assert tuple(report[name] for name in names) == sums
    if os.statvfs(tmp_path).f_fsid and not report["costs_unknown"]:
        assert re.search(r"wrote 10\.\d MiB", line)


@pytest.mark.kernel
def test_lists_say_what_they_leave_out(webpf: Webpf) -> None:
    """The inner shell lives longest, but waits for its children until it becomes a sleep itself."""
    script = "sh -c '/bin/sleep 0.2; exec /bin/sleep 0.4'; /bin/sleep 0.1"
    recorded = webpf("record", "--", "/bin/sh", "-c", script)
    (line,) = lines(recorded.stderr, "slowest")
    found = re.fullmatch(
        r"webpf: slowest \(time without a living child\): sleep 0\.4 ([\d.]+) ms; sleep 0\.2 [^;]*; sleep 0\.1 [^;]*",
        line,
    )
    assert found is not None and 400 <= float(found[1]) < 600, line
    for line in lines(recorded.stderr, "most memory"):
        assert "(processes whose own peak is known)" in line


def test_the_tree_says_how_many_it_leaves_out(tmp_path: Path, webpf: Webpf) -> None:
    """The processes in the lines and those said to be left out add up to all rows except kernel threads."""
    idle: list[Event] = [seen(200 + number, -900, comm="idle") for number in range(3)]
    make_recording(tmp_path / "webpf.db", [*BUILD[:4], *idle, *BUILD[4:]])
    ended = webpf("tree", "--no-fold")
    with closing(sqlite3.connect(tmp_path / "webpf.db")) as connection:
        (number,) = connection.execute("SELECT count(*) FROM processes WHERE kernel IS NOT 1").fetchone()
    assert ended.stderr == "webpf: left out: 4 processes that ran all the time and started nothing\n"
    assert len(ended.stdout.splitlines()) == number - 4
    assert webpf("tree", "--pid", "101").stderr == ""
