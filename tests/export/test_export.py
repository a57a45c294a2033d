"""webpf export: exports hold the same data as the file. Perfetto's own engine checks traces, in a real browser."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import perfetto_ui
import pytest
from sites import Site
from small_disks import small_disk
from story import BUILD
from support import MS, PROCESSES, exec_, exit_, fork, free, make_recording

from webpf.cli import export
from webpf.export import exporter, formats, stacks
from webpf.model.environment import Variable
from webpf.storage import reader

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A recording of the story BUILD."""
    make_recording(tmp_path / "webpf.db", BUILD)
    return tmp_path / "webpf.db"


def exported(db: Path, format: str, weight: str = "wall") -> bytes:
    """Returns the latest recording in a format."""
    out = io.BytesIO()
    exporter.export(db, None, format, weight, out)
    return out.getvalue()


def test_the_weights_of_the_command() -> None:
    assert [each.value for each in export.Weight] == list(stacks.WEIGHTS)


def test_rows(db: Path) -> None:
    with closing(sqlite3.connect(db)) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute(f"SELECT * FROM {PROCESSES} ORDER BY id")]
    assert [row.pop("command_id") for row in rows].count(None) < len(rows)
    lines = [json.loads(line) for line in exported(db, "ndjson").splitlines()]
    assert [line | {"argv": None} for line in lines] == [row | {"argv": None} for row in rows]
    table = list(csv.DictReader(io.StringIO(exported(db, "csv").decode())))
    assert [row["pid"] for row in table] == [str(row["pid"]) for row in rows]


def test_chrome_events(db: Path) -> None:
    """Events in a lane don't overlap; names, times and results are those of the table."""
    events = json.loads(exported(db, "chrome"))["traceEvents"]
    shown = [event for event in events if event["ph"] in "BX"]
    assert len(shown) == 15
    make = next(event for event in shown if event["args"]["pid"] == 101)
    assert (make["name"], make["ts"], make["dur"], make["args"]["exit_code"]) == ("make ✗ exit 2", 5010000, 110000, 2)
    ends: dict[tuple[int, int], float] = {}
    for event in shown:
        lane = (event["pid"], event["tid"])
        assert event["ts"] >= ends.get(lane, 0)
        ends[lane] = event["ts"] + event.get("dur", 1e18)
    assert {event["args"]["pid"] for event in shown if event["ph"] == "B"} == {1, 31, 110}


VARIABLES = (
    Variable("A", "set", b"\xff\n"),
    Variable("B", "set", ""),
    Variable("C", "unset"),
    Variable("D", "unknown"),
    Variable("E", "unknown"),
)


def test_environment_variables_in_traces_and_spans(tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    earlier = exec_(100, 0, 1)._replace(environment=(Variable("A", "set", "earlier"),))
    make_recording(db, [fork(100, 0), earlier, exec_(100, 0, 2)._replace(environment=VARIABLES), fork(101, 3)])
    [first, second] = [each for each in json.loads(exported(db, "chrome"))["traceEvents"] if each["ph"] == "B"]
    shown = {name: value for name, value in first["args"].items() if name.startswith("env")}
    assert shown == {"env.A": "\\xff\n", "env.B": "", "env_unknown": "D, E"}
    assert not [name for name in second["args"] if name.startswith("env")]
    spans = json.loads(exported(db, "otlp"))["resourceSpans"][0]["scopeSpans"][0]["spans"]
    attributes = {each["key"]: each["value"] for each in spans[0]["attributes"] if "environment" in each["key"]}
    assert attributes == {
        "process.environment_variable.A": {"stringValue": "\\xff\n"},
        "process.environment_variable.B": {"stringValue": ""},
        "webpf.environment_unknown": {"arrayValue": {"values": [{"stringValue": "D"}, {"stringValue": "E"}]}},
    }
    assert not [each for each in spans[1]["attributes"] if "environment" in each["key"]]


def test_long_environments_are_cut(tmp_path: Path) -> None:
    """So a span stays shorter than a line may be."""
    db = tmp_path / "webpf.db"
    variables = tuple(Variable(f"V{number:02}", "set", "é" * 60_000) for number in range(40))
    make_recording(db, [fork(100, 0), exec_(100, 0, 1, b"x" * 400_000)._replace(environment=variables)])
    written = exported(db, "otlp")
    assert len(written) < 1_000_000
    spans = json.loads(written)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    found = {each["key"]: each["value"]["stringValue"] for each in spans[0]["attributes"] if ".V" in each["key"]}
    assert len(found) == 40
    assert found["process.environment_variable.V00"].startswith("é" * 1000)
    assert all(value.endswith(("...", "cut]")) for value in found.values())


@pytest.mark.parametrize("format", [name for name, each in formats.FORMATS.items() if each.load_writer])
def test_a_recording_without_processes(format: str, tmp_path: Path) -> None:
    make_recording(tmp_path / "webpf.db", [])
    written = exported(tmp_path / "webpf.db", format)
    if format in ("chrome", "speedscope"):
        json.loads(written)


def test_stacks(tmp_path: Path) -> None:
    """A process's own time excludes the time in which at least one of its children lived."""
    db = tmp_path / "webpf.db"
    make_recording(
        db,
        [
            fork(100, 0, comm="a;b"),
            fork(101, 10, ppid=100, parent_ms=0, comm="c"),
            fork(102, 20, ppid=100, parent_ms=0, comm="c"),
            exit_(101, 10, 40, comm="c", ppid=100),
            exit_(102, 20, 60, comm="c", ppid=100),
            exit_(100, 0, 100, comm="a;b"),
            free(101, 10, 110, cpu_ms=5),
            free(102, 20, 110, cpu_ms=6),
            free(100, 0, 110, cpu_ms=7),
        ],
    )
    assert exported(db, "folded") == b"a_b %d\na_b;c %d\n" % (50 * MS, 70 * MS)
    assert exported(db, "folded", "cpu") == b"a_b %d\na_b;c %d\n" % (7 * MS, 11 * MS)
    assert exported(db, "folded", "count") == b"a_b 1\na_b;c 2\n"


def test_stacks_add_up(db: Path) -> None:
    """The sums of CPU time and of processes are those of the table."""
    with closing(sqlite3.connect(db)) as connection:
        cpu_ns, number = connection.execute(
            "SELECT sum(cpu_ns), count(*) FROM processes WHERE kernel IS NOT 1"
        ).fetchone()
    for weight, total in (("cpu", cpu_ns), ("count", number)):
        (profile,) = json.loads(exported(db, "speedscope", weight))["profiles"]
        assert sum(profile["weights"]) == profile["endValue"] == total
        assert len(profile["weights"]) == len(profile["samples"])


def test_names_with_special_characters(tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    make_recording(db, [fork(100, 0, comm='\x1b[31m\n";🙂'), exit_(100, 0, 5, comm='\x1b[31m\n";🙂')])
    assert len(exported(db, "folded").splitlines()) == 1
    assert b"\x1b" not in exported(db, "csv") + exported(db, "chrome") + exported(db, "folded")
    frames = json.loads(exported(db, "speedscope"))["shared"]["frames"]
    assert frames == [{"name": '\x1b[31m\n";🙂'}]


# Files.


def test_the_output_file(db: Path, webpf: Webpf, tmp_path: Path) -> None:
    """It is complete, and only its owner can read it; it is only replaced with --force."""
    result = webpf("export", "--to", "folded", "-o", "out")
    assert (result.returncode, result.stdout) == (0, "")
    assert (tmp_path / "out").read_bytes() == exported(db, "folded")
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    (tmp_path / "out").write_text("mine")
    result = webpf("export", "-o", "out")
    assert (result.returncode, len(result.stderr.splitlines())) == (64, 1)
    assert (tmp_path / "out").read_text() == "mine"
    assert webpf("export", "--force", "-o", "out").returncode == 0
    assert json.loads((tmp_path / "out").read_text())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "webpf.db"]


def test_standard_output(db: Path, webpf: Webpf) -> None:
    result = webpf("export", "--to", "ndjson")
    assert (result.returncode, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == 17


def test_bad_input(db: Path, webpf: Webpf) -> None:
    for arguments, code in (
        (["nothing.db"], 66),
        (["--recording", "7"], 66),
        (["--to", "odd"], 64),
        (["-o", "."], 73),
        (["-o", "no/where"], 73),
    ):
        result = webpf("export", *arguments)
        assert (result.returncode, result.stdout, len(result.stderr.splitlines())) == (code, "", 1), arguments


def test_a_closed_pipe(db: Path, webpf: Webpf, tmp_path: Path) -> None:
    from support import webpf_command

    line = [*webpf_command(), "export", str(db), "--to", "chrome"]
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(line, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert result.stderr == b""


def test_a_full_disk(db: Path, tmp_path: Path) -> None:
    """No file is left."""
    from support import webpf_command

    with small_disk(tmp_path / "small", "4k") as folder:
        line = [*webpf_command(), "export", str(db), "--to", "ndjson", "-o", str(folder / "out")]
        result = subprocess.run(line, capture_output=True, text=True, check=False)
        assert (result.returncode, len(result.stderr.splitlines())) == (74, 1)
        assert "No space left" in result.stderr
        assert list(folder.iterdir()) == []


# Perfetto's engine.


COUNT = """async () => {
    const answer = await app.trace.engine.query(
        "SELECT count(*) AS n, sum(max(dur, 0)) AS ns, sum(dur < 0) AS running FROM slice");
    const row = answer.firstRow({ n: 0n, ns: 0n, running: 0n });
    return [Number(row.n), String(row.ns), Number(row.running)];
}"""


@pytest.mark.parametrize("format", ["chrome", "perfetto"])
def test_perfetto_counts_what_sqlite_counts(format: str, site: Site, chromium: Any, db: Path) -> None:
    """Number of processes, sum of lifetimes in ns, and number of running processes are the same."""
    with reader.reading(db) as connection:
        expected = connection.execute(
            "SELECT count(*), sum(lifetime_ns), sum(state = 'running') FROM processes WHERE kernel IS NOT 1"
        ).fetchone()
    with perfetto_ui.opened(chromium, site, exported(db, format)) as page:
        number, ns, running = page.evaluate(COUNT)
    assert (number, int(ns), running) == tuple(expected)
