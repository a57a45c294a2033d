"""webpf report: concurrency, serial sections and the critical path, compared with a slow but obvious computation."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import BUILD, MIB, costly, make_costly_recording
from support import MS, make_recording

from webpf.analysis.costs import Costs
from webpf.analysis.critical_path import Schedule
from webpf.analysis.process_tree import Node
from webpf.analysis.report import ActivityCost

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


def node(id: int, parent: int | None, start: int, end: int | None, line: str = "x") -> Node:
    """Makes a process with only the fields that matter here."""
    state, exit_code = ("running", None) if end is None else ("exited", 0)
    return Node(id, parent, id, line, start, end, None, state, exit_code)


MAKE = [
    node(1, None, 0, 100, "make"),
    node(2, 1, 10, 40, "cc a.c"),
    node(3, 1, 10, 60, "cc b.c"),
    node(4, 3, 20, 30, "as"),
    node(5, 1, 70, 95, "ld"),
]


def test_serial_sections() -> None:
    """make before its compilers, the second of them after the first, make again, ld, and make at the end."""
    sections = Schedule(MAKE, 0, 100).serial_sections()
    assert [(each.node.line, each.start_ns, each.end_ns) for each in sections] == [
        ("ld", 70, 95),
        ("cc b.c", 40, 60),
        ("make", 0, 10),
        ("make", 60, 70),
        ("make", 95, 100),
    ]


def test_the_critical_path() -> None:
    """make waited for ld, and before it for cc b.c, which waited for as; cc a.c was done before."""
    path = Schedule(MAKE, 0, 100).critical_path()
    assert [(each.node.line, each.start_ns, each.end_ns) for each in path] == [
        ("make", 0, 10),
        ("cc b.c", 10, 20),
        ("as", 20, 30),
        ("cc b.c", 30, 60),
        ("make", 60, 70),
        ("ld", 70, 95),
        ("make", 95, 100),
    ]


def test_a_process_left_behind_is_not_on_the_critical_path() -> None:
    nodes = [node(1, None, 0, 50, "sh"), node(2, 1, 10, 90, "daemon"), node(3, 1, 20, 40, "cat")]
    path = Schedule(nodes, 0, 50).critical_path()
    assert [(each.node.line, each.start_ns, each.end_ns) for each in path] == [
        ("sh", 0, 20),
        ("cat", 20, 40),
        ("sh", 40, 50),
    ]


def test_concurrency() -> None:
    assert Schedule(MAKE, 0, 100).concurrency(10) == [1, 2, 2, 2, 1, 1, 1, 1, 1, 1]
    assert Schedule(MAKE, 0, 100).concurrency(1) == [1.3]
    assert Schedule([], 0, 100).concurrency(2) == [0, 0]


def test_only_the_window_counts() -> None:
    """A process that started before the window, or ended after it, is cut at its edges."""
    schedule = Schedule([node(1, None, -50, None, "sh"), node(2, 1, 20, 900, "sleep")], 0, 100)
    assert schedule.concurrency(2) == [1, 1]
    assert [(each.node.line, each.duration_ns) for each in schedule.serial_sections()] == [("sleep", 80), ("sh", 20)]


@given(st.lists(st.tuples(st.integers(-1, 15), st.integers(0, 30), st.integers(0, 20)), max_size=16))
def test_every_moment(made: list[tuple[int, int, int]]) -> None:
    """made: for each process its parent (an earlier one, or none), start and length. Each ns is computed alone."""
    nodes: list[Node] = []
    for id, (parent, start, length) in enumerate(made):
        above = parent if 0 <= parent < id else None
        begin = max(start, nodes[above].start_ns) if above is not None else start
        nodes.append(node(id, above, begin, begin + length))
    schedule = Schedule(nodes, 0, 60)
    sizes = schedule.concurrency(60)
    lonely: dict[int, int] = {}
    for moment in range(60):
        alive = {each.id for each in nodes if each.start_ns <= moment < (each.end_ns or 0)}
        front = alive - {each.parent_id for each in nodes if each.id in alive}
        assert sizes[moment] == pytest.approx(len(front))
        if len(front) == 1:
            lonely[min(front)] = lonely.get(min(front), 0) + 1
    found: dict[int, int] = {}
    for section in schedule.serial_sections():
        found[section.node.id] = found.get(section.node.id, 0) + section.duration_ns
    assert found == lonely
    path = schedule.critical_path()
    assert all(one.end_ns <= other.start_ns for one, other in itertools.pairwise(path))
    lives = {each.id: (each.start_ns, each.end_ns or 0) for each in nodes}
    assert all(lives[each.node.id][0] <= each.start_ns < each.end_ns <= lives[each.node.id][1] for each in path)


def test_a_critical_path_through_all_generations() -> None:
    nodes = [node(id, id - 1 if id else None, id, 20_000 - id, "x") for id in range(9_000)]
    path = Schedule(nodes, 0, 20_000).critical_path()
    assert sum(each.duration_ns for each in path) == 20_000


def test_a_report_of_the_machine(tmp_path: Path, webpf: Webpf) -> None:
    make_recording(tmp_path / "webpf.db", BUILD)
    ended = webpf("report")
    lines = ended.stdout.splitlines()
    assert ended.returncode == 0
    assert lines[0] == "12 processes started in 1.00 s"
    assert lines[1].startswith("costs (lower bound, without 2 processes): user 49.50 ms, system 16.50 ms; read 5 KiB")
    assert lines[2].startswith("concurrency: |")
    assert "   490.00 ms  from 510.00 ms on: tail -f '/var/log/a b'" in lines
    assert "    25.00 ms  2 x gcc -c a.c  in a directory whose path is not known" in lines
    assert any(line.endswith("2 x gcc a.c") for line in lines)


def test_what_the_waiting_was_for(tmp_path: Path, webpf: Webpf) -> None:
    """By hand, from COSTLY: 201 waits for 60 ms, 20 of them for a processor; 202 for 95 (55), 205 for 99 (150)."""
    make_costly_recording(tmp_path / "webpf.db")
    lines = webpf("report").stdout.splitlines()
    assert lines[1] == (
        "costs: user 57.00 ms, system 20.00 ms; read 8.00 MiB, wrote 3.01 MiB; waited 225.00 ms for a processor"
    )
    (working,) = (number for number, line in enumerate(lines) if line.startswith("working: "))
    assert lines[working].startswith("working: 77.00 ms of CPU time; waiting: 425.00 ms (")
    assert lines[working + 1] == (
        "of the waiting: 174.00 ms for a processor; 251.00 ms asleep, or waiting for the disk or the network"
    )


def waits(waiting_ms: int, processor_ms: int | None, **costs: int) -> str | None:
    """Returns what an activity waited for that had these costs."""
    processor_ns = None if processor_ms is None else processor_ms * MS
    return ActivityCost("x", 1, 0, waiting_ms * MS, 1, processor_ns, Costs(**costs)).waits_for


def test_reasons_for_waiting() -> None:
    """A disk that is slow takes 21 ms for a MiB, and 10 ms for a page fault: the numbers of 50 MB/s and of a seek."""
    assert waits(100, 50) == "processor"
    assert waits(100, 49) == "sleep"
    assert waits(0, 0) is None
    assert waits(100, None, read_bytes=9 * MIB) is None
    assert waits(40, 0, read_bytes=MIB) == "storage"
    assert waits(43, 0, read_bytes=MIB) == "sleep"
    assert waits(40, 0, write_bytes=MIB) == "storage"
    assert waits(60, 0, major_faults=3) == "storage"
    assert waits(61, 0, major_faults=3) == "sleep"
    assert waits(5000, 0, major_faults=3, read_bytes=MIB) == "sleep"


@pytest.mark.parametrize(
    ("costs", "shown"),
    [
        ({"run_delay_ns": 99 * MS}, "waiting for a processor  1 x job"),
        ({"run_delay_ns": 0, "read_bytes": 82 * MIB}, "waiting (read 82.0 MiB)  1 x job"),
        ({"run_delay_ns": 0, "read_bytes": 9, "write_bytes": 9 * MIB}, "waiting (read 9 B, wrote 9.00 MiB)  1 x job"),
        ({"run_delay_ns": 0, "major_faults": 99}, "waiting (99 major page faults)  1 x job"),
        ({"run_delay_ns": 0}, "asleep  1 x job"),
        ({"run_delay_ns": None}, "waiting  1 x job"),
    ],
)  # fmt: skip
def test_words_for_waiting(costs: dict[str, Any], shown: str, tmp_path: Path, webpf: Webpf) -> None:
    make_recording(tmp_path / "webpf.db", costly(200, 0, 1, cpu_ns=MS, **costs))
    assert webpf("report").stdout.splitlines()[-1].split(" ms ", 2)[2].strip() == shown


@pytest.mark.kernel
def test_a_report_of_a_command(webpf: Webpf) -> None:
    script = "/bin/sleep 0.6 & /bin/sleep 0.6; wait; /bin/sleep 1.4"
    assert webpf("record", "-q", "--", "/bin/sh", "-c", script).returncode == 0
    lines = webpf("report").stdout.splitlines()
    assert ": exit 0 after " in lines[0]
    alone = lines[lines.index("serial sections, in which only one process was active:") + 1].split()
    assert alone[1] == "s" or float(alone[0]) >= 1400
    assert alone[-2:] == ["sleep", "1.4"]
    spent = lines[lines.index("critical path, which decided the wall time, by activity:") + 1]
    assert spent.endswith("2 x sleep")
    assert (
        int(spent.split("%")[0].split()[-1]) > 75
    )  # the rest is the start of programs, which takes long on a busy machine


def test_an_empty_report(tmp_path: Path, webpf: Webpf) -> None:
    make_recording(tmp_path / "webpf.db", [])
    assert webpf("report").stdout == "0 processes started in 1.00 s\n"
    for arguments in (["nothing.db"], ["--recording", "5"]):
        ended: Any = webpf("report", *arguments)
        assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (66, "", 1)
