"""Users and cgroups, and a process that is killed because its cgroup uses too much memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fates import Fate, Query, check, now, reap, row_of, run_child
from support import Recorder, wait_until

from webpf.host import cgroups

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]


@pytest.fixture
def cgroup2() -> Iterator[Path]:
    """A new cgroup in the v2 hierarchy."""
    root = cgroups.mount_point()
    if root is None:
        pytest.skip("no cgroup v2 here")
    yield from _new_cgroup(Path(root))


@pytest.fixture
def memory_cgroup() -> Iterator[Path]:
    """A new cgroup that may use 20 MiB of memory, and no swap."""
    first = Path("/sys/fs/cgroup/memory")
    root = cgroups.mount_point()
    if first.is_dir():
        for folder in _new_cgroup(first):
            (folder / "memory.limit_in_bytes").write_text(LIMIT)
            yield folder
    elif root is not None and "memory" in Path(root, "cgroup.controllers").read_text().split():
        Path(root, "cgroup.subtree_control").write_text("+memory")
        for folder in _new_cgroup(Path(root)):
            (folder / "memory.max").write_text(LIMIT)
            (folder / "memory.swap.max").write_text("0")
            yield folder
    else:
        pytest.skip("no cgroup here can limit memory")


LIMIT = str(20 << 20)


def _new_cgroup(root: Path) -> Iterator[Path]:
    folder = root / f"webpf-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    try:
        yield folder
    finally:
        wait_until(lambda: not (folder / "cgroup.procs").read_text(), "the cgroup is not empty")
        folder.rmdir()


def test_user_and_cgroup(start_recorder: Start, query: Query) -> None:
    recorder = start_recorder()
    child = subprocess.Popen(["/bin/sleep", "600"], user=65534, group=65534)
    cgroup = next(
        (line[3:] for line in Path(f"/proc/{child.pid}/cgroup").read_text().splitlines() if line.startswith("0::")),
        None,
    )
    child.kill()
    child.wait()
    recorder.end()
    sql = (
        "SELECT p.*, c.path FROM processes AS p LEFT JOIN cgroup_paths AS c USING (recording_id, cgroup_id)"
        " WHERE p.pid = ? AND p.ppid = ?"
    )
    [row] = query(sql, child.pid, os.getpid())
    assert row["uid"] == 65534
    assert row["path"] == cgroup


def test_a_child_in_another_cgroup(start_recorder: Start, query: Query, cgroup2: Path) -> None:
    """A process moves to another cgroup and starts a child there. Each row has the right cgroup."""
    own = Path("/proc/self/cgroup").read_text()
    recorder = start_recorder()
    reading, writing = os.pipe()

    def move() -> None:
        (cgroup2 / "cgroup.procs").write_text("0")
        before = now()
        pid = os.posix_spawn("/bin/true", ["true"], {})
        os.write(writing, json.dumps(vars(reap(pid, before))).encode())

    mover = run_child(move)
    child = Fate(**json.loads(os.read(reading, 4096)))
    recorder.end()
    row = row_of(query, child)
    check(row, child, mover.pid)
    assert row["cgroup_id"] == cgroup2.stat().st_ino
    [place] = query("SELECT path FROM cgroup_paths WHERE cgroup_id = ?", row["cgroup_id"])
    assert place["path"] == "/" + cgroup2.name
    [birth] = query("SELECT c.path FROM forks JOIN cgroup_paths AS c USING (cgroup_id) WHERE pid = ?", mover.pid)
    assert f"0::{birth['path']}\n" in own


def test_killed_by_the_oom_killer(act: str, start_recorder: Start, query: Query, memory_cgroup: Path) -> None:
    recorder = start_recorder()

    def eat() -> None:
        (memory_cgroup / "cgroup.procs").write_text("0")
        os.execv(act, [act, "eat", "200"])

    fate = run_child(eat)
    recorder.end()
    row = row_of(query, fate)
    check(row, fate)
    assert (row["signal"], row["exit_code"]) == (signal.SIGKILL, None)
    assert row["max_rss_kib"] > 5_000
