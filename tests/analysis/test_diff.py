"""webpf diff: what is new, gone, slower, needs more, fails more often, and what is only noise."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from story import MIB, costly
from support import MS, exec_, exit_, fork, free, make_recording

from webpf.analysis.conditions import Condition
from webpf.analysis.diff import compare_recordings, is_noise
from webpf.analysis.recording_costs import Cost, RecordingCosts
from webpf.errors import UsageError
from webpf.model.events import Event
from webpf.render import diff_text
from webpf.render.diff_text import NOISE
from webpf.storage import reader

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


def run_of(*processes: tuple[str, int, int, int]) -> list[Event]:
    """Makes a recording of processes, each given as name, lifetime and CPU time in ms, and status."""
    events: list[Event] = []
    for number, (name, life, cpu, status) in enumerate(processes):
        pid, start = 100 + number, number * 10
        events += [
            fork(pid, start),
            exec_(pid, start, start + 1, name.encode() + b"\0", name),
            exit_(pid, start, start + life, status, comm=name),
            free(pid, start, start + life + 5, cpu_ms=cpu, status=status),
        ]
    return events


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two recordings: one program is new, one gone, one slower, one fails now, and one differs by noise."""
    db = tmp_path / "webpf.db"
    make_recording(db, run_of(("gone", 50, 1, 0), ("slow", 100, 10, 0), ("ok", 20, 1, 0), ("same", 300, 90, 0)))
    after = run_of(("new", 70, 2, 0), ("slow", 190, 80, 0), ("ok", 20, 1, 256), ("same", 310, 91, 0))
    make_recording(db, after, end_ms=1500, name="changed")
    return db


def squeezed(text: str) -> list[str]:
    """Returns the lines of a table with single spaces between the cells."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_last_two(two: Path, webpf: Webpf) -> None:
    ended = webpf("diff")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert max(map(len, ended.stdout.splitlines()[2:])) <= 80
    assert squeezed(ended.stdout) == [
        "before: webpf.db:1; after: webpf.db:2 (changed)",
        f"one run a side, so noise isn't measured: {NOISE}",
        "",
        "before after change",
        "wall 1.00 s 1.50 s +50.0%",
        "CPU 102.00 ms 174.00 ms +70.6%",
        "peak memory 1.95 MiB 1.95 MiB the same",
        "processes 4 4 the same",
        "failures 0 1 from nothing",
        "user 76.50 ms 130.50 ms +70.6%",
        "system 25.50 ms 43.50 ms +70.6%, noise",
        "read 2 KiB 2 KiB the same",
        "written 16 KiB 16 KiB the same",
        "waiting for a CPU 0 us 0 us the same",
        "page faults 20 20 the same",
        "",
        "change activity before after",
        "failing more ok 0 1 from nothing",
        "new new - 70.00 ms 1 x",
        "slower slow 100.00 ms 190.00 ms +90.0%",
        "more CPU slow 10.00 ms 80.00 ms +700.0%",
        "gone gone 50.00 ms - 1 x",
    ]


def test_what_got_better_is_told_too(two: Path, webpf: Webpf) -> None:
    """The same changes the other way round."""
    shown = squeezed(webpf("diff", "2", "1").stdout)
    assert shown[shown.index("change activity before after") + 1 :] == [
        "new gone - 50.00 ms 1 x",
        "gone new 70.00 ms - 1 x",
        "faster slow 190.00 ms 100.00 ms -47.4%",
        "less CPU slow 80.00 ms 10.00 ms -87.5%",
        "failing less ok 1 0 -100.0%",
    ]


def test_ways_to_name_a_recording(two: Path, webpf: Webpf, tmp_path: Path) -> None:
    two.rename(tmp_path / "a b.db")
    make_recording(tmp_path / "other.db", run_of(("slow", 5, 1, 0)))
    for references, first in (
        (["1", "2", "--db", "a b.db"], "before: a b.db:1; after: a b.db:2"),
        (["a b.db:1", "a b.db"], "before: a b.db:1; after: a b.db:2"),
        (["other.db", "a b.db:1"], "before: other.db:1; after: a b.db:1"),
    ):
        ended = webpf("diff", *references)
        assert (ended.returncode, ended.stdout.startswith(first)) == (0, True), ended


def test_with_itself(two: Path, webpf: Webpf) -> None:
    ended = webpf("diff", "2", "2", "--fail-if", "wall>0%", "--fail-if", "failures>0")
    assert (ended.returncode, ended.stderr) == (0, "")
    shown = ended.stdout.splitlines()
    assert shown[1] == "both sides are the same recordings, so nothing differs"
    assert (ended.stdout.count(" the same\n"), len(shown)) == (11, 15)


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("wall>40%", 1),
        ("wall>50%", 0),
        ("cpu > 70.5%", 1),
        ("failures>0", 1),
        ("failures>1", 0),
        ("processes>0", 0),
        ("rss>0%", 0),
        ("user>70.5%", 1),
        ("user>71%", 0),
        ("system > 70%", 1),
        ("faults>0", 0),
        ("read>0%", 0),
        ("wall>0.4s", 1),
        ("wall>500ms", 0),
        ("rss>0MiB", 0),
        ("failures>50%", 1),
    ],
)
def test_conditions(condition: str, code: int, two: Path, webpf: Webpf) -> None:
    ended = webpf("diff", "--fail-if", condition)
    assert ended.returncode == code
    assert (condition in ended.stderr) == bool(code)


@pytest.mark.parametrize(
    "text",
    ["wall", "wall>x%", "wall>5", "time>5%", "wall<5%", "read>5", "rss>5s", "wall>5MiB", "failures>1s", "wall>-5%", ""],
)
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(UsageError):
        Condition.parse(text)


def test_costs(tmp_path: Path, webpf: Webpf) -> None:
    """By hand: reads double, writes grow by less than 2 MiB, and the other numbers are not known once."""
    db = tmp_path / "webpf.db"
    make_recording(db, costly(100, 0, 1, read_bytes=8 * MIB, write_bytes=MIB, run_delay_ns=None, major_faults=1000))
    make_recording(db, costly(100, 0, 1, read_bytes=16 * MIB, write_bytes=2 * MIB, minor_faults=900, run_delay_ns=MS))
    conditions = ["read>99%", "read>100%", "write>50%", "run_delay>0%", "faults>0"]
    ended = webpf("diff", *(word for each in conditions for word in ("--fail-if", each)))
    assert squeezed(ended.stdout)[9:15] == [
        "user 0 us 0 us the same",
        "system 0 us 0 us the same",
        "read 8.00 MiB 16.0 MiB +100.0%",
        "written 1.00 MiB 2.00 MiB +100.0%, noise",
        "waiting for a CPU not known 1.00 ms",
        "page faults 1,000 900 -10.0%, noise",
    ]
    one_run, met = ended.stderr.splitlines()
    assert (ended.returncode, met) == (1, "webpf: more than allowed: read>99%, write>50%")
    assert "one run a side" in one_run


def test_bad_input(two: Path, webpf: Webpf) -> None:
    for arguments, code in (
        (["1"], 64),
        (["1", "7"], 66),
        (["nothing.db", "1"], 66),
        (["--fail-if", "odd"], 64),
        (["1", "webpf.db:x"], 66),
    ):
        ended = webpf("diff", *arguments)
        assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (code, "", 1), ended


def test_one_recording_is_not_two(tmp_path: Path, webpf: Webpf) -> None:
    make_recording(tmp_path / "webpf.db", run_of(("slow", 5, 1, 0)))
    ended = webpf("diff")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (66, 1)


def test_noise() -> None:
    assert is_noise(1000 * MS, 1099 * MS, 20 * MS)
    assert not is_noise(1000 * MS, 1101 * MS, 20 * MS)
    assert is_noise(10 * MS, 29 * MS, 20 * MS)
    assert not is_noise(0, 20 * MS, 20 * MS)


@pytest.mark.parametrize(
    ("before_kib", "carried_kib", "shown"),
    [(4500, 500, None), (4500, 4500, None), (9000, 9000, None), (2000, 500, "1.95 MiB 4.88 MiB +150.0%")],
)
def test_unknown_memory_is_not_none(
    before_kib: int, carried_kib: int, shown: str | None, tmp_path: Path, webpf: Webpf
) -> None:
    """If the program before had the higher peak, the own peak isn't known, and no growth is reported."""

    def run(peak_kib: int, carried: int) -> list[Event]:
        return [
            fork(100, 0),
            exec_(100, 0, 1, b"ls\0", "ls")._replace(carried_rss_kib=carried),
            exit_(100, 0, 9, comm="ls")._replace(max_rss_kib=peak_kib),
            free(100, 0, 12),
        ]

    make_recording(tmp_path / "webpf.db", run(before_kib, carried_kib))
    make_recording(tmp_path / "webpf.db", run(5000, 500))
    ended = webpf("diff", "--fail-if", "rss>50%")
    found = [line for line in squeezed(ended.stdout) if line.startswith("more memory ")]
    assert found == ([f"more memory ls {shown}"] if shown else [])
    assert ended.returncode == (1 if shown else 0)
    assert ("peak memory not known 4.88 MiB" in squeezed(ended.stdout)) == (carried_kib >= before_kib)


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    make_recording(tmp_path / "webpf.db", [])
    with reader.reading(tmp_path / "webpf.db") as connection:
        recording = reader.find(connection, tmp_path / "webpf.db")
    programs = {f"p{number:02}": Cost(wall_ns=number, processes=1) for number in range(30)}
    one, other = (RecordingCosts(tmp_path, recording, Cost(), costs) for costs in ({}, programs))
    shown = squeezed("\n".join(diff_text.lines(compare_recordings(one, other))))
    assert shown[-9:-7] == ["new p29 - 0 us 1 x", "new p28 - 0 us 1 x"]
    assert shown[-1] == "new and 22 more"


@pytest.mark.kernel
def test_two_runs_of_one_command(webpf: Webpf) -> None:
    """Two equal runs differ only by noise. A third run with a longer sleep is slower."""
    for seconds in ("0.5", "0.5", "1"):
        assert webpf("record", "-q", "--", "/bin/sh", "-c", f"/bin/sleep {seconds}; /bin/true").returncode == 0
    assert webpf("diff", "1", "2", "--fail-if", "processes>0", "--fail-if", "failures>0").returncode == 0
    ended = webpf("diff", "2", "3", "--fail-if", "wall>40%")
    assert ended.returncode == 1
    (slower,) = (line for line in squeezed(ended.stdout) if line.startswith("slower sleep"))
    assert re.search(r"sleep 5\d\d\.\d\d ms 1\.", slower)
