"""Paths that are not UTF-8: the file keeps their exact bytes, and all commands and exports accept them."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support import PROCESSES, exec_, exit_, fork, free, make_recording, seen, with_commands

from webpf.export import exporter
from webpf.model import json_lines
from webpf.model.events import Event, decode_exact, escape_bytes
from webpf.storage.merge import merge
from webpf.storage.rebuild import rebuild
from webpf.storage.verify import verify
from webpf.web import cell_format

Webpf = Callable[..., Any]

ODD = b"/tmp/\xff\xfe\n\x1b[1m'/prog"
SHOWN = "/tmp/\\xff\\xfe\n\x1b[1m'/prog"
QUOTED = r"$'/tmp/\xff\xfe\n\x1b[1m\'/prog'"
WIDE = "/tmp/\U0001f980é/prog"
EVENTS: list[Event] = [
    seen(1, -1000)._replace(filename=ODD),
    fork(100, 1),
    exec_(100, 1, 2)._replace(filename=ODD),
    fork(101, 3),
    exec_(101, 3, 4)._replace(filename=WIDE),
    exec_(101, 3, 5)._replace(filename=ODD),
    exec_(101, 3, 6)._replace(filename=WIDE),
    exit_(100, 1, 7),
    free(100, 1, 8),
]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A recording of EVENTS."""
    make_recording(tmp_path / "webpf.db", EVENTS)
    return tmp_path / "webpf.db"


def rows(path: Path, sql: str) -> list[Any]:
    """Returns the rows of a query, read by SQLite alone."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def test_the_file_has_the_exact_bytes(db: Path) -> None:
    assert rows(db, f"SELECT pid, typeof(filename), filename FROM {PROCESSES} ORDER BY pid") == [
        (1, "blob", ODD), (100, "blob", ODD), (101, "text", WIDE),
    ]  # fmt: skip
    executed = rows(db, f"SELECT filename FROM {with_commands('programs')} ORDER BY id")
    assert executed == [(ODD,), (WIDE,), (ODD,), (WIDE,)]
    assert rows(db, f"SELECT typeof(filename), filename FROM {with_commands('snapshot')}") == [("blob", ODD)]


@pytest.mark.parametrize(
    "raw", [b"/bin/sh\0more", b"/\xc3\xa9", b"\xff", b"/\xed\xa0\x80", b"\xc0\x80", b"", b"\xff\0\xfe"]
)
def test_what_is_text_and_what_is_not(raw: bytes) -> None:
    path = raw.partition(b"\0")[0]
    known = decode_exact(raw)
    assert known == path if isinstance(known, bytes) else known.encode() == path
    assert escape_bytes(known) == path.decode("utf-8", "backslashreplace")


def test_a_path_is_stored_once(tmp_path: Path) -> None:
    """The event and the process share it; no escapes make it larger."""
    count, size = 500, 3800
    events: list[Event] = []
    for pid in range(1000, 1000 + count):
        name = b"/%d" % pid + b"\xff" * (size - 5)
        events += [fork(pid, pid), exec_(pid, pid, pid)._replace(filename=name), exit_(pid, pid, pid + 1)]
    make_recording(tmp_path / "webpf.db", events, batch=1)
    assert (tmp_path / "webpf.db").stat().st_size < 1.3 * count * size


def test_verify_rebuild_and_merge(db: Path, tmp_path: Path) -> None:
    sql = f"SELECT pid, typeof(filename), filename, args, argv FROM {PROCESSES} ORDER BY pid"
    before = rows(db, sql)
    assert [finding.problems for finding in verify(db)] == [(), ()]
    rebuild(db)
    assert rows(db, sql) == before
    merge([db], tmp_path / "all.db")
    assert rows(tmp_path / "all.db", sql) == before
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def exported(db: Path, format: str) -> bytes:
    """Returns the recording in an export format."""
    out = io.BytesIO()
    exporter.export(db, None, format, "count", out)
    return out.getvalue()


def test_formats_of_text(db: Path) -> None:
    table = csv.DictReader(io.StringIO(exported(db, "csv").decode()))
    assert {row["pid"]: row["filename"] for row in table} == {"1": QUOTED, "100": QUOTED, "101": WIDE}
    lines = [json.loads(line) for line in exported(db, "ndjson").splitlines()]
    assert {line["pid"]: line["filename"] for line in lines} == {1: QUOTED, 100: QUOTED, 101: WIDE}
    trace = json.loads(exported(db, "chrome"))
    named = {each["args"]["pid"]: each["args"]["filename"] for each in trace["traceEvents"] if each["ph"] in "XB"}
    assert named == {1: SHOWN, 100: SHOWN, 101: WIDE}
    spans = [span for line in exported(db, "otlp").splitlines() for span in spans_of(json.loads(line))]
    assert [span for span in spans if span == SHOWN] == [SHOWN] * 3, "two processes and an event"


def spans_of(request: dict[str, Any]) -> list[str]:
    """Returns all paths of programs in an OTLP request."""
    found = []
    for span in request["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for each in (span, *span.get("events", ())):
            found += [a["value"]["stringValue"] for a in each["attributes"] if a["key"] == "process.executable.path"]
    return found


def test_parquet(db: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="no pyarrow")
    from webpf.fleet import tree_export

    tree_export.export(db, tmp_path / "tree")
    [path] = (tmp_path / "tree" / "commands").rglob("*.parquet")
    table = parquet.ParquetFile(path).read()
    found = set(zip(table["filename"].to_pylist(), table["filename_bytes"].to_pylist(), strict=True))
    assert found == {(SHOWN, ODD), (WIDE, None)}


def test_perfetto(db: Path) -> None:
    protos = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2", reason="no perfetto")
    trace = protos.Trace()
    trace.ParseFromString(exported(db, "perfetto"))
    texts = [
        annotation.string_value
        for packet in trace.packet
        for annotation in packet.track_event.debug_annotations
        if annotation.string_value.endswith("/prog")
    ]
    assert sorted(texts) == sorted([SHOWN, SHOWN, WIDE])


@pytest.mark.parametrize("format", ["table", "csv", "json", "ndjson"])
@pytest.mark.parametrize("query", [["lifetimes"], ["execs", "-p", "pid=101"]], ids=lambda words: words[0])
def test_queries(db: Path, webpf: Webpf, query: list[str], format: str) -> None:
    answer = webpf("query", *query, "--format", format, "--db", db)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert not re.search("[\x00-\x09\x0b-\x1f]", answer.stdout)
    assert "xff" in answer.stdout


def test_a_cell_of_datasette() -> None:
    for column in ("filename", "path", "cgroup"):
        assert cell_format.format_value(column, b"/\xff<") == "$&#x27;/\\xff&lt;&#x27;"


def test_a_json_line_has_the_readable_and_the_exact_path() -> None:
    event = exec_(100, 1, 2)._replace(filename=ODD)
    line = json_lines.encode(event)
    assert line["filename"] == SHOWN
    assert json_lines.parse(json.dumps(line).encode()) == event
    plain = json_lines.encode(exec_(100, 1, 2))
    assert "filename_base64" not in plain


def test_a_path_is_text_or_bytes_and_nothing_else(db: Path) -> None:
    """The column accepts a number, but verify reports it."""
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("UPDATE commands SET filename = 7 WHERE args NOTNULL")
        connection.commit()
    problems = [problem for finding in verify(db) for problem in finding.problems]
    assert any("commands.filename" in problem for problem in problems), problems
