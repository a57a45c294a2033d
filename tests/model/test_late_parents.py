"""Parents that become known after their children, as with filters, are still linked.

Tested in memory, in the file, after a rebuild, and with a real filter, where the parent prints its children's pids.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest
from fates import Query
from support import PROCESSES, Machine, Recorder, at, exec_, exit_, fork, free, recording_values, seen

from webpf.analysis import process_tree
from webpf.analysis.tree_view import Tree
from webpf.capture import recording_end
from webpf.capture.recording_session import Session
from webpf.export import otlp, stacks
from webpf.model import ordering
from webpf.model.event_source import MemorySource
from webpf.model.events import Event
from webpf.model.late_parents import MAX_ENDED_PARENTS, MAX_WAITING_CHILDREN
from webpf.model.pairing import Pairing
from webpf.render import tree_text
from webpf.storage import reader
from webpf.storage.rebuild import rebuild
from webpf.storage.recording_file import RecordingFile
from webpf.storage.verify import verify

CHILD: list[Event] = [fork(101, 10, ppid=100, parent_ms=0), exit_(101, 10, 20)]
FREED: list[Event] = [*CHILD, free(101, 10, 30)]
WAYS: dict[str, list[Event]] = {
    "its fork": [fork(100, 0)],
    "an exec": [exec_(100, 0, 40)],
    "its exit": [exit_(100, 0, 40)],
    "/proc": [seen(100, 0, argv=None)],
}


def written(db: Path, events: Iterable[Event], batch: int, is_filtered: bool = True) -> dict[int, int | None]:
    """Records these events; returns the pid of each process's parent, by its pid."""
    file = RecordingFile(db)
    options = {"users": [], "names": ["x"] if is_filtered else [], "cgroup": False}
    source = MemorySource(events, batch)
    session = Session(source, file.begin(recording_values() | {"options": options}), Machine(), is_filtered=is_filtered)
    while not source.exhausted:
        session.add_events(source.drain())
    recording_end.finish(session)
    file.close()
    return parents(db)


def parents(db: Path) -> dict[int, int | None]:
    """The pid of each process's parent, by its pid."""
    connection = sqlite3.connect(db)
    rows = connection.execute("SELECT p.pid, q.pid FROM processes AS p LEFT JOIN processes AS q ON q.id = p.parent_id")
    found = dict(rows.fetchall())
    connection.close()
    return found


@pytest.mark.parametrize("batch", [1, 2, 100])
@pytest.mark.parametrize("child", [CHILD, FREED], ids=["held", "freed"])
@pytest.mark.parametrize("way", WAYS)
def test_a_parent_that_comes_after_its_child(way: str, child: list[Event], batch: int, tmp_path: Path) -> None:
    """The link doesn't depend on how the parent becomes known and on the child's state. A rebuild has it too."""
    db = tmp_path / "webpf.db"
    assert written(db, [*child, *WAYS[way]], batch) == {101: 100, 100: None}
    assert [finding.problems for finding in verify(db)] == [(), ()]
    rebuild(db)
    assert parents(db) == {101: 100, 100: None}
    assert [finding.problems for finding in verify(db)] == [(), ()]


def test_without_a_filter_if_events_were_lost(tmp_path: Path) -> None:
    """The parent's fork was lost, but its exit was not."""
    assert written(tmp_path / "db", [*FREED, exit_(100, 0, 40)], 1, is_filtered=False) == {101: 100, 100: None}
    assert [finding.problems for finding in verify(tmp_path / "db")] == [(), ()]


@pytest.mark.parametrize("batch", [1, 100])
def test_a_child_that_is_reported_after_its_parent_ended(batch: int, tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    events: list[Event] = [fork(100, 0), exit_(100, 0, 15), free(100, 0, 16), *FREED]
    assert written(db, events, batch) == {101: 100, 100: None}
    assert [finding.problems for finding in verify(db)] == [(), ()]
    rebuild(db)
    assert parents(db) == {101: 100, 100: None}


def test_a_child_from_proc_and_a_parent_that_comes_later(tmp_path: Path) -> None:
    """/proc has only the parent's pid. A process with that pid that started after the child is not the parent."""
    events: list[Event] = [seen(101, 10, ppid=100), fork(100, 0), seen(201, 10, ppid=200), fork(200, 20)]
    assert written(tmp_path / "db", events, 1) == {101: 100, 100: None, 201: None, 200: None}


def test_a_child_that_was_given_up_and_changes_after_it_was_linked(tmp_path: Path) -> None:
    """Later events of the child keep the link, although its start became exact while it waited."""
    db = tmp_path / "db"
    found: list[Event] = [seen(5, 100), seen(5, 0, ppid=7)]  # the second's pid was reused, so it has ended
    later: list[Event] = [exec_(5, 3.5, 4), exit_(5, -20, -10), fork(7, -50), free(5, 3.5, 300, status=9)]
    written(db, [*found, *later], 1)
    sql = "SELECT p.id, q.pid FROM processes AS p JOIN processes AS q ON q.id = p.parent_id"
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute(sql).fetchall() == [(2, 7)]
    assert [finding.problems for finding in verify(db)] == [(), ()]


def test_another_owner_of_the_parents_pid_is_not_the_parent(tmp_path: Path) -> None:
    assert written(tmp_path / "db", [*CHILD, fork(100, 12)], 1) == {101: None, 100: None}


def test_a_child_tells_when_a_parent_from_proc_started() -> None:
    pairing = Pairing()
    pairing.feed([fork(101, 10, ppid=100, parent_ms=3.5), seen(100, 0)], 1)
    assert [(p.id, p.start_ns, p.parent_id) for p in pairing.take_changed()] == [(1, at(10), 2), (2, at(3.5), None)]


def damaged(db: Path, sql: str) -> tuple[str, ...]:
    """Runs SQL on the file; returns the problems that verify then finds."""
    with sqlite3.connect(db) as connection:
        connection.execute(sql)
    connection.close()
    return tuple(problem for finding in verify(db) for problem in finding.problems)


@pytest.mark.parametrize("parent", ["NULL", "1", "999"])
@pytest.mark.parametrize("child", [CHILD, FREED], ids=["held", "freed"])
def test_a_wrong_link_is_found(parent: str, child: list[Event], tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    written(db, [*child, exit_(100, 0, 40)], 1)
    problems = damaged(db, f"UPDATE processes SET parent_id = {parent} WHERE pid = 101")
    assert any("don't follow from the events" in problem for problem in problems)


def test_a_link_without_an_event_is_found(tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    written(db, FREED, 1)
    assert damaged(db, "UPDATE processes SET parent_id = 1")


def test_waiting_children_and_ended_parents_are_bounded() -> None:
    """Both number and bytes are bounded, with 100,000 children and parents in any order."""
    pairing = Pairing(is_filtered=True)
    tracemalloc.start()
    for number in range(100_000):
        child = fork(101, number, ppid=number + 1000, parent_ms=number - 0.5)
        pairing.feed([child, exit_(101, number, number + 0.1), free(101, number, number + 0.2)], 3 * number + 1)
        pairing.take_changed()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    late = pairing._late_parents
    assert len(late.by_pid) == MAX_WAITING_CHILDREN
    assert len(late._ended) == MAX_ENDED_PARENTS
    assert held < 250 * MAX_WAITING_CHILDREN + 400 * MAX_ENDED_PARENTS
    pairing.feed([fork(1000, -0.5), fork(100_999, 99_998.5)], 300_001)
    assert pairing.take_links() == [(299_998, 300_002)], "the last is linked, the first forgotten"


def test_children_of_one_parent_are_bounded_too() -> None:
    pairing = Pairing()
    for number in range(MAX_WAITING_CHILDREN + 10):
        pairing.feed([fork(101, number, ppid=50, parent_ms=-1), free(101, number, number + 0.2)], 2 * number + 1)
    pairing.take_changed()
    pairing.feed([fork(50, -1)], 10**9)
    assert len(pairing.take_links()) == MAX_WAITING_CHILDREN
    assert 50 not in pairing._late_parents.by_pid


def test_nothing_is_kept_if_parents_come_first() -> None:
    pairing = Pairing()
    pairing.feed([fork(100, 0, ppid=0), *FREED, exit_(100, 0, 40), free(100, 0, 50)], 1)
    assert (pairing._late_parents._ended, pairing.take_links()) == ({}, [])


# Readers of such a recording


@pytest.mark.parametrize(
    ("pairs", "order"),
    [
        ([(1, None), (2, 1)], [1, 2]),
        ([(1, 3), (2, 3), (3, None)], [3, 1, 2]),
        ([(1, 2), (2, 4), (3, None), (4, 3), (5, 4)], [3, 4, 2, 1, 5]),
        ([(1, 9), (2, 1), (3, 2), (4, 7)], [1, 2, 3, 4]),  # parents are missing
        ([(1, 1), (2, 4), (3, None), (4, 2), (5, 4)], [3, 1, 2, 4, 5]),  # cycles, in a damaged file
    ],
)
def test_parents_first(pairs: list[tuple[int, int | None]], order: list[int]) -> None:
    rows = ordering.parents_first(pairs, lambda pair: pair[0], lambda pair: pair[1])
    assert [id for id, _ in rows] == order


def test_reports_and_exports_of_such_a_recording(tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    written(db, [*FREED, fork(102, 40, ppid=101, parent_ms=10), exit_(102, 40, 50), exit_(100, 0, 60, comm="top")], 1)
    with reader.reading(db) as connection:
        drawn = tree_text.lines(Tree(process_tree.read(connection, 1)).branches())
        assert [line.count("─") for line in drawn] == [0, 1, 1]
        (row,) = reader.recordings(connection)
        assert ("top", "true", "true") in stacks.read_stacks(connection, row, "count")
        with (tmp_path / "spans").open("w+") as out:
            otlp.write(connection, row, out)
            out.seek(0)
            (line,) = out
    spans = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert len({span["traceId"] for span in spans}) == 1
    own = {span["spanId"] for span in spans}
    assert [span["name"] for span in spans if "parentSpanId" not in span] == ["top"]
    assert {span["parentSpanId"] for span in spans if "parentSpanId" in span} <= own


# With a real filter

MASTER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(15, b"gunimaster", 0, 0, 0)
for number in range(3):
    child = os.fork()
    if child == 0:
        os._exit(10 + number)
    os.waitpid(child, 0)
    print(child, flush=True)
if sys.argv[1] == "executes":
    child = os.posix_spawn("/bin/true", ["/bin/true"], {})
    os.waitpid(child, 0)
print(os.getpid(), flush=True)
sys.stdin.read()
os._exit(9)
"""


@pytest.mark.kernel
@pytest.mark.parametrize("ends", ["before", "after"])
def test_a_master_that_names_itself(
    ends: str,
    start_recorder: Callable[..., Recorder],
    webpf: Callable[..., subprocess.CompletedProcess[str]],
    query: Query,
) -> None:
    """Its children end before it, and it matches the filter only at its end or at the end of the recording."""
    recorder = start_recorder("--comm", "gunimaster")
    line = [sys.executable, "-c", MASTER, "executes"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as master:
        assert master.stdout is not None
        *children, pid = (int(master.stdout.readline()) for _ in range(4))
        if ends == "after":
            recorder.end()
        master.communicate()
    recorder.end()
    assert pid == master.pid
    (row,) = query(f"SELECT * FROM {PROCESSES} WHERE pid = ?", pid)
    below = query("SELECT pid, exit_code, execs FROM processes WHERE parent_id = ? ORDER BY id", row["id"])
    assert below == [{"pid": child, "exit_code": 10 + n, "execs": 0} for n, child in enumerate(children)]
    if ends == "before":
        assert (row["execs"], row["args"], row["exit_code"], row["ppid"]) == (1, None, 9, os.getpid())
    else:
        assert (row["execs"], row["state"]) == (1, "running")
        assert row["argv"] == b"".join(os.fsencode(part) + b"\0" for part in line)
    assert len(query("SELECT id FROM processes WHERE parent_id IS NULL")) == 1
    spawners = webpf("query", "spawners", "--format", "json")
    assert [(it["pid"], it["children"]) for it in json.loads(spawners.stdout)] == [(pid, 3)]
    before = query("SELECT * FROM processes ORDER BY id")
    assert webpf("verify").returncode == webpf("rebuild").returncode == webpf("verify").returncode == 0
    assert query("SELECT * FROM processes ORDER BY id") == before


@pytest.mark.kernel
def test_programs_from_before_the_process_matched_are_not_recorded(
    start_recorder: Callable[..., Recorder], query: Query, tmp_path: Path
) -> None:
    """The process runs sh, env and own-date. The fork is reported at the third, which is the first that counts.

    The name is its own: others on this machine run `date` too.
    """
    date = shutil.copy("/bin/date", tmp_path / "own-date")
    recorder = start_recorder("--comm", "own-date")
    child = subprocess.Popen(["/bin/sh", "-c", f"exec /usr/bin/env {date}"], stdout=subprocess.DEVNULL)
    child.wait()
    recorder.end()
    (row,) = query(f"SELECT * FROM {PROCESSES} WHERE pid = ?", child.pid)
    assert (row["execs"], row["comm"], row["args"]) == (1, "own-date", str(date))
    assert query("SELECT execs, begun, comm FROM forks") == [{"execs": 0, "begun": 2, "comm": "env"}]
