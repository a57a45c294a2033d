"""webpf diff of groups of runs: which recordings are a group, which of them are compared, and what is decided."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from support import exec_, exit_, fork, free, make_recording

from webpf.analysis import diff, run_groups
from webpf.analysis.conditions import Condition, Verdict
from webpf.model.events import Event

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

EVEN = (1000, 1010, 990, 1005, 995)
"""Wall times in ms of runs that differ by less than 1 %."""
WIDE = (1000, 1300, 800, 1150, 900)


def build(ms: int, status: int = 0, argv: bytes = b"make\0") -> list[Event]:
    """Makes a run of one command that lives for ms; the rest is the same in all of them."""
    return [
        fork(100, 0, ppid=1),
        exec_(100, 0, 1, argv, "make"),
        exit_(100, 0, ms, status, comm="make"),
        free(100, 0, ms + 5, cpu_ms=50, status=status),
    ]


def record(db: Path, name: str, times: Sequence[int], group: str | None = None, **build_options: bytes) -> None:
    """Writes runs of a command under a name, each with the number of its run if they are of a group."""
    for number, ms in enumerate(times, start=1):
        id = make_recording(db, build(ms, **build_options), name=name)  # type: ignore[arg-type]
        change(db, 'options = \'{"of": "command"}\'', id)
        if group:
            change(db, f"run_group = '{group}', run = {number}", id)


def change(db: Path, what: str, id: int) -> None:
    """Changes the row of a recording."""
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(f"UPDATE recordings SET {what} WHERE id = ?", [id])


def fail(db: Path, id: int) -> None:
    """Lets the command of a recording have failed."""
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE processes SET status = 512 WHERE recording_id = ?", [id])


def compared(webpf: Webpf, *arguments: str) -> tuple[list[int], list[int], str, bool]:
    """Returns the recordings of both sides, the method, and whether they are pairs."""
    found = json.loads(webpf("diff", *arguments, "--format", "json").stdout)
    return found["before"]["recordings"], found["after"]["recordings"], found["method"], found["is_paired"]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "webpf.db"


def test_a_name_is_its_group(db: Path, webpf: Webpf) -> None:
    record(db, "base", EVEN[:3])
    record(db, "pr", EVEN)
    assert compared(webpf, "base", "pr") == ([1, 2, 3], [4, 5, 6, 7, 8], "Welch's t", False)
    assert compared(webpf, "webpf.db:base", "webpf.db:pr") == ([1, 2, 3], [4, 5, 6, 7, 8], "Welch's t", False)
    assert compared(webpf, "base", "5") == ([1, 2, 3], [5], "Student's t", False)
    assert compared(webpf, "1", "2")[:2] == ([1], [2])
    assert compared(webpf)[:2] == ([7], [8])  # they are of no series


def test_a_series_is_a_group_of_its_own(db: Path, webpf: Webpf, tmp_path: Path) -> None:
    record(db, "base", EVEN[:3], "monday")
    record(db, "base", EVEN[:4], "tuesday")
    record(tmp_path / "pr.db", "pr", EVEN, "wednesday")
    assert compared(webpf, "base", "pr.db:pr")[:2] == ([4, 5, 6, 7], [1, 2, 3, 4, 5])
    assert compared(webpf, "webpf.db", "pr.db")[:2] == ([4, 5, 6, 7], [1, 2, 3, 4, 5])
    record(db, "pr", EVEN, "wednesday")
    assert compared(webpf)[:2] == ([4, 5, 6, 7], [8, 9, 10, 11, 12])


def test_pairs(db: Path, webpf: Webpf) -> None:
    record(db, "pr", EVEN, "same")
    record(db, "base", EVEN[:4], "same")
    assert compared(webpf, "base", "pr") == ([6, 7, 8, 9], [1, 2, 3, 4], "paired t", True)
    shown = webpf("diff", "base", "pr").stdout
    assert "not compared: recording 5 of pr, which has no partner that succeeded" in shown
    assert compared(webpf)[:2] == ([1, 2, 3, 4], [6, 7, 8, 9])
    change(db, 'options = \'{"of": "command", "against": true}\'', 5)
    assert compared(webpf)[:2] == ([1, 2, 3, 4], [6, 7, 8, 9])
    change(db, 'options = \'{"of": "command", "against": true}\'', 9)
    change(db, 'options = \'{"of": "command"}\'', 5)
    assert compared(webpf)[:2] == ([6, 7, 8, 9], [1, 2, 3, 4])


def test_runs_that_failed_are_told_and_not_averaged_in(db: Path, webpf: Webpf) -> None:
    record(db, "base", EVEN)
    record(db, "pr", EVEN)
    fail(db, 2)
    change(db, "status = 'interrupted'", 9)
    shown = webpf("diff", "base", "pr").stdout
    assert "before: webpf.db:base (4 runs); after: webpf.db:pr (4 runs)" in shown
    assert "not compared: recording 2 of base, which ended with exit 2\n" in shown
    assert "not compared: recording 9 of pr, which was interrupted\n" in shown
    for id in (1, 3, 4, 5):
        fail(db, id)
    ended = webpf("diff", "base", "pr")
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (66, "", 1)
    assert "no complete run of base that succeeded: recording 1 ended with exit 2, recording 2" in ended.stderr
    # Two single recordings are compared, however they ended.
    assert webpf("diff", "1", "6").returncode == 0


def test_commands_that_differ(db: Path, webpf: Webpf) -> None:
    record(db, "base", EVEN[:2])
    record(db, "pr", EVEN[:2], argv=b"make\0-j8\0")
    assert "the commands differ: make; make -j8\n" in webpf("diff", "base", "pr").stdout
    assert "the commands differ" not in webpf("diff", "1", "2").stdout


@pytest.mark.parametrize(
    ("times", "condition", "code"),
    [
        ([round(1.2 * each) for each in EVEN], "wall>10%", 1),
        ([round(1.2 * each) for each in EVEN], "wall>150ms", 1),
        ([round(1.2 * each) for each in EVEN], "wall>30%", 0),
        ([round(1.2 * each) for each in EVEN], "wall>20%", 75),
        ([round(1.2 * each) for each in EVEN], "wall>0.2s", 75),
        ([round(1.2 * each) for each in WIDE], "wall>10%", 75),
        (EVEN, "wall>0%", 75),
        (EVEN, "wall>2%", 0),
        (EVEN, "processes>0", 0),
        (EVEN, "failures>0", 0),
        (EVEN, "rss>1MiB", 0),
    ],
)
def test_conditions_are_decided_on_the_interval(times: Sequence[int], condition: str, code: int, db: Path) -> None:
    record(db, "base", EVEN)
    record(db, "pr", times)
    comparison = diff.compare(run_groups.read(db, "base"), run_groups.read(db, "pr"))
    (judgement,) = comparison.judge([Condition.parse(condition)])
    assert judgement.verdict is {0: Verdict.NOT_MET, 1: Verdict.MET, 75: Verdict.UNDECIDED}[code]


def test_exit_codes(db: Path, webpf: Webpf) -> None:
    record(db, "base", EVEN)
    record(db, "pr", [round(1.2 * each) for each in EVEN], argv=b"make\0-j8\0")
    for condition, code in (("wall>10%", 1), ("wall>20%", 75), ("wall>30%", 0)):
        ended = webpf("diff", "base", "pr", "--fail-if", condition)
        assert ended.returncode == code, ended.stdout
        assert ("can't tell" in ended.stderr, "more than allowed" in ended.stderr) == (code == 75, code == 1)
        assert len(ended.stderr.splitlines()) == bool(code)
        again = f" record --db webpf.db --runs auto --to-decide '{condition}' --name pr -- make -j8\n"
        assert ended.stderr.endswith(again) == (code == 75)
        assert max(map(len, ended.stdout.splitlines())) <= 80


def test_a_failing_condition_comes_before_one_that_cant_be_told(db: Path, webpf: Webpf) -> None:
    record(db, "base", EVEN)
    record(db, "pr", [round(1.2 * each) for each in EVEN])
    ended = webpf("diff", "base", "pr", "--fail-if", "wall>20%", "--fail-if", "wall>10%")
    assert ended.returncode == 1
    assert ended.stderr.startswith("webpf: more than allowed: wall>10% (+1")
    assert "; can't tell: wall>20% (+1" in ended.stderr


def test_markdown_says_that_it_cant_tell(db: Path, webpf: Webpf) -> None:
    record(db, "base", EVEN)
    record(db, "pr", WIDE)
    ended = webpf("diff", "base", "pr", "--fail-if", "wall>5%", "--format", "markdown")
    lines = ended.stdout.splitlines()
    assert ended.returncode == 75
    assert any(line.startswith("**Can't tell, more runs are needed:** `wall>5% (") for line in lines)
    assert "|  | before | after | change | 95 % interval |" in lines
    assert lines[-1].startswith("Separate groups: median ±")


def test_an_activity_counts_only_if_its_interval_does(db: Path, webpf: Webpf) -> None:
    record(db, "base", WIDE)
    record(db, "pr", [round(1.2 * each) for each in WIDE])
    assert "slower" not in webpf("diff", "base", "pr").stdout
    record(db, "slow", [round(1.2 * each) for each in EVEN])
    record(db, "before", EVEN)
    assert "\nslower  make" in webpf("diff", "before", "slow").stdout
    assert "\nfaster  make" in webpf("diff", "slow", "before").stdout


def test_a_group_with_itself(db: Path, webpf: Webpf) -> None:
    record(db, "base", WIDE)
    ended = webpf("diff", "base", "base", "--fail-if", "wall>0%")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[1] == "both sides are the same recordings, so nothing differs"


def test_a_name_without_runs(db: Path, webpf: Webpf) -> None:
    record(db, "base", EVEN[:2])
    ended = webpf("diff", "base", "pr")
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (66, "", 1)
    assert "has no recording pr" in ended.stderr


def test_the_middle_of_costs(db: Path) -> None:
    record(db, "base", WIDE)
    group = run_groups.read(db, "base")
    assert group.whole.wall_ns == 1000 * 1_000_000
    assert group.activities["make"].wall_ns == 1000 * 1_000_000
