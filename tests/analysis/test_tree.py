"""webpf tree: which process started which, with repeated siblings on one line."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import exec_, exit_, fork, free, make_recording, seen

from webpf.analysis.process_tree import Node
from webpf.analysis.tree_view import Tree
from webpf.model.events import Event
from webpf.output.command_label import cut
from webpf.render import tree_text

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A server from before the recording, an idle one, and a make with three compilers that each run an assembler."""
    events: list[Event] = [
        seen(1, -5000, ppid=0, comm="init", argv=b"init\0"),
        seen(9, -4000, ppid=1, comm="idle", argv=b"idle\0"),
        fork(100, 0, ppid=1, parent_ms=-5000),
        exec_(100, 0, 1, b"/usr/bin/make\0-j2\0", "make"),
    ]
    for number, status in enumerate((0, 0, 256)):
        pid, start = 110 + number * 10, 10 + number * 100
        events += [
            fork(pid, start, ppid=100, parent_ms=0),
            exec_(pid, start, start + 1, b"/usr/bin/gcc\0%d.c\0" % number, "gcc"),
            fork(pid + 1, start + 10, ppid=pid, parent_ms=start),
            exec_(pid + 1, start + 10, start + 11, b"as\0", "as"),
            exit_(pid + 1, start + 10, start + 20, ppid=pid),
            free(pid + 1, start + 10, start + 30, cpu_ms=4),
            exit_(pid, start, start + 50, status, ppid=100),
            free(pid, start, start + 60, cpu_ms=2, status=status),
        ]
    events += [
        fork(140, 500, ppid=100, parent_ms=0),
        exit_(100, 0, 600, 512, ppid=1),
        free(100, 0, 610, cpu_ms=1, status=512),
    ]
    make_recording(tmp_path / "webpf.db", events)
    return tmp_path / "webpf.db"


def test_what_did_the_same_is_one_line(db: Path, webpf: Webpf) -> None:
    assert webpf("tree").stdout.splitlines() == [
        "init  [running]",
        "└─ make -j2  [600.00 ms, CPU 1.00 ms, exit 2]",
        "   ├─ 2 x gcc  [100.00 ms in all, longest 50.00 ms, CPU 4.00 ms]",
        "   │  └─ 2 x as  [20.00 ms in all, longest 10.00 ms, CPU 8.00 ms]",
        "   ├─ gcc 2.c  [50.00 ms, CPU 2.00 ms, exit 1]",
        "   │  └─ as  [10.00 ms, CPU 4.00 ms]",
        "   └─ sh  [running]",
    ]


def test_each_by_itself(db: Path, webpf: Webpf) -> None:
    lines = webpf("tree", "webpf.db", "--no-fold", "--pid", "100").stdout.splitlines()
    assert [line.partition("  [")[0] for line in lines] == [
        "make -j2", "├─ gcc 0.c", "│  └─ as", "├─ gcc 1.c", "│  └─ as", "├─ gcc 2.c", "│  └─ as", "└─ sh",
    ]  # fmt: skip
    assert len(webpf("tree", "--depth", "1").stdout.splitlines()) == 2


def test_bad_input(db: Path, webpf: Webpf) -> None:
    for arguments, code in (
        (["--pid", "7"], 66),
        (["--recording", "2"], 66),
        (["nothing.db"], 66),
        (["--depth", "-1"], 64),
    ):
        ended = webpf("tree", *arguments)
        assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (code, "", 1)


def test_an_empty_recording(tmp_path: Path, webpf: Webpf) -> None:
    make_recording(tmp_path / "webpf.db", [])
    ended = webpf("tree")
    assert (ended.returncode, ended.stdout) == (0, "")


def test_lines_fit_a_width() -> None:
    tree = Tree([Node(1, None, 1, "x" * 100, 0, 5, None, "exited", 0)])
    (line,) = tree_text.lines(tree.branches(), width=40)
    assert len(line) <= 40
    assert line.endswith("...  [0 us]")
    assert cut("cc /usr/x", None) == "cc /usr/x"


@given(st.lists(st.tuples(st.integers(-1, 30), st.sampled_from("ab"), st.integers(0, 1)), max_size=31))
def test_no_process_is_left_out(made: list[tuple[int, str, int]]) -> None:
    """made: for each process its parent (an earlier one, or none), name and exit code. All lines add up."""
    nodes = [
        Node(id, parent if 0 <= parent < id else None, id, name, 0, 1, 1, "exited", exit_code)
        for id, (parent, name, exit_code) in enumerate(made)
    ]
    counts = []
    for line in tree_text.lines(Tree(nodes).branches()):
        text = line.lstrip("├─└│ ")
        counts.append(int(text.split(" x ")[0]) if " x " in text else 1)
    assert sum(counts) == len(made)
    assert len(list(Tree(nodes, folds=False).branches())) == len(made)


def test_a_deep_chain() -> None:
    """The chain is deeper than Python's stack."""
    nodes = [Node(id, id - 1 if id else None, id, "sh", 0, 1, None, "exited", 0) for id in range(5000)]
    assert len(list(tree_text.lines(Tree(nodes).branches()))) == 5000
