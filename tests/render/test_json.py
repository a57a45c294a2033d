"""The output of --format json: every key is documented, and the values agree with SQLite and wait4()."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cut_chains import make_chain
from damage import DAMAGES
from fates import NotFreed, repeated_if_not_freed
from json_page import ROW, SECTIONS, documented, keys_of
from story import BUILD
from support import exit_, fork, make_recording, seen

from webpf.analysis.process_tree import Node
from webpf.analysis.tree_view import Tree
from webpf.render import json_document, tree_json
from webpf.storage import reader

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

TAIL: dict[str, Any] = {"ppid": 110, "parent_ms": 300, "comm": "tail"}


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A file with recordings of the machine, of a command, and of an idle machine."""
    same = [
        event for pid in (120, 121) for event in (fork(pid, 600, **TAIL), exit_(pid, 600, 610, comm="tail", ppid=110))
    ]
    make_recording(tmp_path / "webpf.db", [*BUILD[:-1], *same, BUILD[-1]], name="first")
    make_recording(tmp_path / "webpf.db", [*BUILD[:4], seen(200, -900, comm="idle"), *BUILD[4:]], name="second")
    with closing(sqlite3.connect(tmp_path / "webpf.db")) as connection, connection:
        connection.execute('UPDATE recordings SET options = \'{"of": "command"}\' WHERE id = 2')
    return tmp_path / "webpf.db"


def make_groups(db: Path) -> None:
    """Makes three runs of the names a and b, of which one each was interrupted."""
    for name in "aaabbb":
        make_recording(db, BUILD, name=name)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE recordings SET status = 'interrupted' WHERE id IN (2, 6)")


@pytest.mark.parametrize(
    ("command", "calls"),
    [
        ("report", [["--recording", "1"], ["--recording", "2"], ["failed.db:2"]]),
        ("diff", [["1", "2", "--fail-if", "wall>10%"], ["2", "1"], ["groups.db:a", "groups.db:b"]]),
        ("tree", [[], ["--recording", "1", "--depth", "1"]]),
        ("verify", [[], ["broken.db"], ["chain.db"]]),
        ("doctor", [[]]),
    ],
)
def test_each_key_is_documented_and_each_documented_key_is_there(
    command: str, calls: list[list[str]], db: Path, webpf: Webpf
) -> None:
    for name in ("broken.db", "failed.db"):
        (db.parent / name).write_bytes(db.read_bytes())
    with closing(sqlite3.connect(db.parent / "failed.db")) as connection, connection:
        connection.execute("UPDATE recordings SET recorder_pid = 100 WHERE id = 2")  # of make, which failed
    make_chain(db.parent / "chain.db", BUILD, [50])
    make_groups(db.parent / "groups.db")
    with closing(sqlite3.connect(db.parent / "broken.db")) as connection, connection:
        connection.execute("UPDATE processes SET comm = 'other' WHERE id = 5")
    found: set[str] = set()
    for arguments in calls:
        document = json.loads(webpf(command, *arguments, "--format", "json").stdout)
        assert (document["webpf"], document["format"]) == (command, 1)
        found |= set(keys_of(document))
    nulls = {key.removesuffix("[]") for key in found if key.endswith("[]")}  # a list that is null in other places
    keys, objects = documented(command)
    assert found - nulls - objects == keys


def test_units_are_those_of_the_names() -> None:
    """Exactly the keys that end in _ns and _kib have these units in the page."""
    units = {name: {(key, unit) for key, unit, _ in ROW.findall(text)} for name, text in SECTIONS.items()}
    assert all(units.values())
    for key, unit in (each for rows in units.values() for each in rows):
        if "is_noise." in key:
            assert unit == "boolean"
            continue
        moment = key.rpartition(".")[2] in ("start_ns", "end_ns", "started_ns", "ended_ns")
        expected = "Unix ns" if moment else "ns" if key.endswith("_ns") else "KiB" if key.endswith("_kib") else None
        assert (unit if unit in ("Unix ns", "ns", "KiB") else None) == expected, key


def rows(db: Path, sql: str, **values: object) -> list[tuple[Any, ...]]:
    """Returns the rows of an SQL statement."""
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql, values).fetchall()


STARTED = """processes AS p JOIN recordings AS r ON r.id = p.recording_id
    WHERE r.id = 1 AND p.kernel IS NOT 1 AND p.start_ns >= r.started_ns"""


def most_active(db: Path) -> list[tuple[int, int]]:
    """Returns the processes that ended, with the time in ns in which none of their children lived: by moments."""
    lives = rows(db, f"SELECT p.id, p.start_ns, p.end_ns FROM {STARTED}")
    family = rows(db, "SELECT parent_id, start_ns, coalesce(end_ns, 9e18) FROM processes")
    moments = sorted({moment for _, start, end in lives for moment in (start, end) if moment})
    found = []
    for id, start, end in lives:
        children = [(begin, until) for parent, begin, until in family if parent == id]
        between = [each for each in pairwise(moments) if end is not None and start <= each[0] and each[1] <= end]
        free = (b - a for a, b in between if not any(begin <= a and b <= until for begin, until in children))
        found.append((id, sum(free)))
    return sorted((each for each in found if each[1] > 0), key=lambda each: (-each[1], each[0]))


def test_a_report_has_sqlites_numbers(db: Path, webpf: Webpf) -> None:
    report = json.loads(webpf("report", "--recording", "1", "--format", "json").stdout)
    lost = " + ".join(f"{kind}s_lost" for kind in ("fork", "exec", "exit", "free"))
    sql = f"SELECT id, name, host, started_ns, ended_ns, {lost} FROM recordings WHERE id = 1"
    (recording,) = rows(db, sql)
    names = ("id", "name", "host", "started_ns", "ended_ns", "lost")
    assert tuple(report["recording"][name] for name in names) == recording
    assert (report["recording"]["status"], report["recording"]["caveat"]) == ("complete", None)
    totals = f"SELECT count(*), sum(p.cpu_ns), sum(p.status <> 0), sum(state = 'running') FROM {STARTED}"
    assert rows(db, totals) == [tuple(report[each] for each in ("processes", "cpu_ns", "failures", "still_running"))]
    assert [(each["id"], each["active_ns"]) for each in report["slowest"]] == most_active(db)[:10]
    ids = {name: [each["id"] for each in report[name]] for name in ("most_cpu", "failed", "running")}
    for name, which in (
        ("most_cpu", "p.cpu_ns > 0 ORDER BY p.cpu_ns DESC, p.id"),
        ("failed", "p.status <> 0 ORDER BY coalesce(p.end_ns, 9e18), p.id"),
        ("running", "p.state = 'running' ORDER BY p.start_ns, p.id"),
    ):
        assert [id for (id,) in rows(db, f"SELECT p.id FROM {STARTED} AND {which} LIMIT 10")] == ids[name], name
    for process in (each for name in ids for each in report[name]):
        columns = [name for name in process if name != "title"]
        (values,) = rows(db, f"SELECT {', '.join(columns)} FROM processes WHERE id = :id", id=process["id"])
        assert tuple(process[name] for name in columns) == values
    in_order = f"(SELECT p.* FROM {STARTED} AND execs > 0 ORDER BY p.id)"
    same = f"SELECT group_concat(id), sum(lifetime_ns) FROM {in_order} GROUP BY command_id HAVING count(*) > 1"
    repeated = rows(db, same)
    found = [(",".join(map(str, each["process_ids"])), each["total_ns"]) for each in report["repeated"]]
    assert found == repeated and len(found) == 1
    assert report["repeated"][0]["directory"] == "8:42"


def test_times_in_a_report_add_up(db: Path, webpf: Webpf) -> None:
    """Sections lie within the lives of their processes, and the critical path adds up to the wall time."""
    report = json.loads(webpf("report", "--format", "json").stdout)
    lives = {id: (start, end or 2**63) for id, start, end in rows(db, "SELECT id, start_ns, end_ns FROM processes")}
    for section in report["serial_sections"] + report["critical_path"]:
        start, end = lives[section["process_id"]]
        assert start <= section["start_ns"] < section["end_ns"] <= end
        assert section["duration_ns"] == section["end_ns"] - section["start_ns"]
    path = report["critical_path"]
    assert path[0]["start_ns"] == report["start_ns"] == lives[report["command"]["id"]][0]
    assert path[-1]["end_ns"] == report["end_ns"]
    assert sum(each["duration_ns"] for each in path) == report["wall_ns"] == report["command"]["lifetime_ns"]
    assert sum(each["time_ns"] for each in report["critical_path_by_activity"]) == report["wall_ns"]
    assert sum(each["processes"] for each in report["activities"]) == report["processes"]
    concurrency = report["concurrency"]
    assert sum(concurrency["steps"]) / 60 == pytest.approx(concurrency["average"])
    assert max(concurrency["steps"]) <= concurrency["most"] == int(concurrency["most"])


SCRIPT = """
import json, os, subprocess, sys
told = []
for words in (["/bin/sh", "-c", "exit 3"], ["/bin/sleep", "0.2"], ["/bin/sh", "-c", "kill -9 $$"]):
    pid = os.posix_spawn(words[0], words, os.environ)
    _, status, usage = os.wait4(pid, 0)
    told.append([pid, status, round((usage.ru_utime + usage.ru_stime) * 1e6), usage.ru_maxrss])
print(json.dumps(told))
"""


@pytest.mark.kernel
@repeated_if_not_freed
def test_a_report_has_the_numbers_of_wait4(webpf: Webpf) -> None:
    recorded = webpf("record", "-q", "--name", "wait4", "--", sys.executable, "-S", "-c", SCRIPT)
    told = json.loads(recorded.stdout)
    report = json.loads(webpf("report", "--format", "json").stdout)
    assert (report["recording"]["name"], report["recording"]["lost"]) == ("wait4", 0)
    assert (report["processes"], report["failures"], report["command"]["exit_code"]) == (4, 2, 0)
    by_pid = {each["pid"]: each for each in report["most_cpu"]}
    if len(by_pid) < report["processes"]:
        raise NotFreed
    for pid, status, cpu_us, rss_kib in told:
        process = by_pid[pid]
        assert (process["exit_code"] or 0) << 8 | (process["signal"] or 0) == status
        assert process["cpu_ns"] / 1000 == pytest.approx(cpu_us, abs=2)
        assert process["max_rss_kib"] == rss_kib
    assert [each["pid"] for each in report["failed"]] == [told[0][0], told[2][0]]
    assert report["slowest"][0]["pid"] == told[1][0] and report["slowest"][0]["active_ns"] >= 2e8
    tree = json.loads(webpf("tree", "--format", "json").stdout)
    (top, *below) = tree["branches"]
    assert (top["id"], top["parent_id"]) == (report["command"]["id"], None)
    assert {each["parent_id"] for each in below} == {top["id"]}
    verified = json.loads(webpf("verify", "webpf.db", "--format", "json").stdout)
    assert [each["processes"] for each in verified["findings"]] == [None, 4]


def test_a_diff_has_sqlites_numbers(db: Path, webpf: Webpf) -> None:
    ended = webpf("diff", "1", "2", "--fail-if", "failures>0", "--fail-if", "processes>100", "--format", "json")
    diff = json.loads(ended.stdout)
    assert ended.returncode == 0
    assert [each["is_met"] for each in diff["conditions"]] == [False, False]
    totals = "sum(lifetime_ns), sum(cpu_ns), max(max_rss_kib), count(*), sum(p.status <> 0)"
    (gcc,) = (each for each in diff["activities"] if each["activity"].startswith("gcc"))
    names = ("wall_ns", "cpu_ns", "rss_at_most_kib", "processes", "failures")
    of_gcc = f"FROM {STARTED} AND comm = 'gcc'"
    assert rows(db, f"SELECT {totals} {of_gcc}") == [tuple(gcc["before"][name] for name in names)]
    longest = f"SELECT p.id {of_gcc} ORDER BY lifetime_ns DESC LIMIT 1"
    assert rows(db, longest) == [(gcc["before"]["longest_id"],)]
    for side in ("before", "after"):
        assert diff[side]["processes"] == sum(
            (each[side] or {"processes": 0})["processes"] for each in diff["activities"]
        )
    assert {each["activity"] for each in diff["activities"] if each["after"] is None} == {
        each["activity"] for each in diff["activities"] if each["changes"] == ["gone"]
    }


@pytest.mark.parametrize("arguments", [["--no-fold"], []])
def test_a_tree_has_every_process_once(arguments: list[str], db: Path, webpf: Webpf) -> None:
    tree = json.loads(webpf("tree", "--recording", "1", "--format", "json", *arguments).stdout)
    found = [id for branch in tree["branches"] for id in branch["process_ids"]]
    known = rows(db, "SELECT id FROM processes WHERE recording_id = 1 AND kernel IS NOT 1")
    assert len(found) + tree["left_out"] == len(known) and set(found) <= {id for (id,) in known}
    assert len(set(found)) == len(found)
    parents = dict(rows(db, "SELECT id, parent_id FROM processes"))
    levels: dict[int | None, int] = {None: -1}
    owner = {id: branch["id"] for branch in tree["branches"] for id in branch["process_ids"]}
    for branch in tree["branches"]:
        assert branch["level"] == levels[branch["parent_id"]] + 1, "its parent comes earlier"
        levels[branch["id"]] = branch["level"]
        assert {owner.get(parents[id]) for id in branch["process_ids"]} == {branch["parent_id"]}
    assert max(len(branch["process_ids"]) for branch in tree["branches"]) == (1 if arguments else 3)


def test_a_deep_tree_is_flat(tmp_path: Path) -> None:
    """A chain of 100,000 processes is read by a parser that allows only four levels."""
    number = 100_000
    make_recording(tmp_path / "webpf.db", [])
    with reader.reading(tmp_path / "webpf.db") as connection:
        recording = reader.find(connection, tmp_path / "webpf.db")
    nodes = [Node(id, id - 1 if id else None, id, "sh", 0, 1, None, "exited", 0) for id in range(number)]
    output = io.StringIO()
    json_document.write(tree_json.tree_document(tmp_path, recording, Tree(nodes).branches(), None, 0), output)
    depth = deepest = 0
    for bracket in re.findall(r"[][{}]", re.sub(r'"[^"]*"', "", output.getvalue())):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    assert deepest == 4
    branches = json.loads(output.getvalue())["branches"]
    assert [branch["parent_id"] for branch in branches] == [None, *range(number - 1)]


def test_checks(db: Path, webpf: Webpf) -> None:
    """A sound file, and one whose rows don't follow from its events, give the same exit codes as with text."""
    sound = webpf("verify", "webpf.db", "--format", "json")
    assert sound.returncode == 0
    assert [each["problems"] for each in json.loads(sound.stdout)["findings"]] == [[], [], []]
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE processes SET comm = 'other' WHERE id = 5")
    damaged, text = webpf("verify", "webpf.db", "--format", "json"), webpf("verify", "webpf.db")
    assert (damaged.returncode, damaged.stderr) == (text.returncode, text.stderr)
    assert damaged.returncode == 65
    (problem,) = json.loads(damaged.stdout)["findings"][1]["problems"]
    assert problem in text.stdout


def test_doctor(webpf: Webpf, tmp_path: Path) -> None:
    """The checks are the same as in the text. For a folder that doesn't exist, it says what helps."""
    document = json.loads(webpf("doctor", "--format", "json").stdout)
    lines = [line.split()[1] for line in webpf("doctor").stdout.splitlines() if "->" not in line]
    assert [each["name"].split()[0] for each in document["checks"]] == lines
    missing = webpf("doctor", "--db", tmp_path / "no folder" / "a.db", "--format", "json")
    document = json.loads(missing.stdout)
    assert (missing.returncode, document["can_record"]) == (69, False)
    (disk,) = (each for each in document["checks"] if each["name"] == "disk")
    assert (disk["ok"], disk["mend"]) == (False, f"mkdir -p '{tmp_path / 'no folder'}'")


def test_infinity_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_document.write({"webpf": float("inf")}, io.StringIO())


@pytest.mark.parametrize("command", ["report", "tree", "diff"])
def test_half_a_document_is_none(command: str, tmp_path: Path, webpf: Webpf) -> None:
    """A file with unreadable pages gives one line on stderr, and nothing on standard output."""
    make_recording(tmp_path / "webpf.db", BUILD)
    make_recording(tmp_path / "webpf.db", BUILD)
    DAMAGES["pages swapped"](tmp_path / "webpf.db")
    ended = webpf(command, "--format", "json")
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (65, "", 1)
