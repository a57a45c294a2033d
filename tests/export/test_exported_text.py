"""Hostile names, long command lines and failures in exports, read by other programs."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import unicodedata
from contextlib import closing
from pathlib import Path
from typing import Any

import perfetto_ui
import pytest
from sites import Site
from story import BUILD
from support import exec_, exit_, fork, make_recording

from webpf.export import exporter
from webpf.model.events import Event

HOSTILE = "".join(chr(code) for code in (*range(1, 32), *range(127, 160), 0x061C, *range(0x200E, 0x2010)))
HOSTILE += "".join(chr(code) for code in (*range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF))
COLLECTORS_LIMIT = 1024 * 1024  # bytes of a line: max_log_size of the Collector's file receiver


def exported(db: Path, format: str, weight: str = "wall") -> str:
    """Returns the latest recording in a format."""
    out = io.BytesIO()
    exporter.export(db, None, format, weight, out)
    return out.getvalue().decode()


@pytest.mark.parametrize("format", ["chrome", "speedscope", "folded", "csv", "ndjson", "otlp"])
def test_no_terminal_control_characters(format: str, tmp_path: Path) -> None:
    """By Unicode's tables, there is no control character except the line feed, and no mark of text direction."""
    db = tmp_path / "webpf.db"
    events: list[Event] = []
    for number in range(0, len(HOSTILE), 5):
        name, start = f"a{HOSTILE[number : number + 5]}", number * 10
        argv = f"/x/{name}\0{name}\0".encode()
        events += [fork(100 + number, start, comm=name), exec_(100 + number, start, start + 1, argv, name)]
        events.append(exit_(100 + number, start, start + 5, comm=name))
    make_recording(db, events)
    for weight in ("wall", "count"):
        text = exported(db, format, weight)
        assert {character for character in text if unicodedata.category(character) == "Cc"} <= {"\n"}
        assert not {character for character in text if unicodedata.category(character) in ("Cf", "Zl", "Zp")}
        if format in ("chrome", "speedscope"):
            json.loads(text)


def test_names_in_stacks_are_escaped(tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    make_recording(db, [fork(100, 0, comm="a\x9b1m;\u202eb"), exit_(100, 0, 1, comm="a\x9b1m;\u202eb")])
    assert exported(db, "folded", "count") == "a\\x9b1m_\\u202eb 1\n"


# OTLP.


def spans(text: str) -> list[dict[str, Any]]:
    """Returns the spans of all lines."""
    requests = [json.loads(line) for line in text.splitlines()]
    return [
        span
        for request in requests
        for resource in request["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def attributes(of: dict[str, Any]) -> dict[str, Any]:
    """Returns the attributes of a span as a dict."""
    return {each["key"]: next(iter(each["value"].values())) for each in of["attributes"]}


def test_otlp_lines_fit_the_collectors_limit(tmp_path: Path) -> None:
    """Tries many long command lines, four that are longer than a line, and a process with 40,000 execs."""
    db = tmp_path / "webpf.db"
    long = [b"cc\0" + b"%06d" % n + b"x" * 32_000 + b"\0" for n in range(200)]
    smiles = "\U0001f642".encode() * 500_000
    long += [b"\x01" * 2_000_000 + b"\0", b"\0" * 2_000_000, b"\xff\0" * 1_000_000, b"a\0" + smiles]
    events: list[Event] = []
    for number, argv in enumerate(long):
        events += [fork(1000 + number, number), exec_(1000 + number, number, number + 0.1, argv, "cc")]
    events.append(fork(9000, 500))
    for number in range(40_000):
        path = b"/" + b"y" * 300 + b"/p%d\0" % number
        events.append(exec_(9000, 500, 501 + number / 1000, path, "p"))
    make_recording(db, events, batch=100)
    text = exported(db, "otlp")
    assert max(len(line) + 1 for line in text.encode().splitlines()) <= COLLECTORS_LIMIT
    assert len(text.splitlines()) < 40, "lines are filled"
    found = {attributes(span)["process.pid"]: span for span in spans(text)}
    assert len(found) == len(long) + 1
    # Arguments that fit are complete; others end with a note.
    words = {
        pid: [each["stringValue"] for each in attributes(span)["process.command_args"]["values"]]
        for pid, span in found.items()
    }
    assert words["1007"] == ["cc", "000007" + "x" * 32_000]
    assert [words[str(1200 + number)][-1][-5:] for number in range(4)] == [" cut]"] * 4
    missing = int(re.sub(r"\D", "", words["1201"][-1]))
    assert len(words["1201"]) - 1 + missing == 2_000_000
    chain = found["9000"]
    assert len(chain["events"]) + chain["droppedEventsCount"] == 40_000
    assert len(chain["events"]) > 500


def test_parents_with_a_higher_id_than_their_children(tmp_path: Path) -> None:
    """The child is still in its parent's trace, and its stack is below its parent's."""
    db = tmp_path / "webpf.db"
    events: list[Event] = [fork(100, 5, comm="child"), fork(101, 1, comm="parent"), exit_(100, 5, 6, comm="child")]
    make_recording(db, [*events, exit_(101, 1, 9, comm="parent")])
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE processes SET parent_id = 2 WHERE id = 1")
    child, parent = spans(exported(db, "otlp"))
    assert (child["name"], parent["name"]) == ("child", "parent")
    assert (child["traceId"], child["parentSpanId"]) == (parent["traceId"], parent["spanId"])
    assert exported(db, "folded", "count") == "parent 1\nparent;child 1\n"


# Perfetto.


NAMES = """async () => {
    const answer = await app.trace.engine.query("SELECT name, category FROM slice ORDER BY ts, id");
    const found = [];
    for (const row = answer.iter({ name: "str", category: "str" }); row.valid(); row.next())
        found.push([row.name, row.category]);
    return found;
}"""


@pytest.mark.parametrize("format", ["chrome", "perfetto"])
def test_perfetto_shows_labels_and_failures(format: str, site: Site, chromium: Any, tmp_path: Path) -> None:
    """Perfetto's engine and its UI have the names of the timeline, with marks for failures."""
    db = tmp_path / "webpf.db"
    make_recording(db, BUILD)
    out = io.BytesIO()
    exporter.export(db, None, format, "wall", out)
    with perfetto_ui.opened(chromium, site, out.getvalue()) as page:
        found = page.evaluate(NAMES)
    assert found == [
        ["init", "running"],
        ["daemon -v ✗ signal 15", "signalled"],
        ["server", "running"],
        ["sh -c make", "ok"],
        ["make ✗ exit 2", "failed"],
        ["gcc a.c", "ok"],
        ["gcc a.c ✗ exit 1", "failed"],
        ["python a.py ✗ signal 11", "signalled"],
        ["python b.py ✗ signal 6", "signalled"],
        ["make", "ok"],
        ["make ✗ signal 9", "signalled"],
        ["init ✗ exit 7", "failed"],
        ["init", "lost"],
        ["tail -f '/var/log/a b'", "running"],
        ["tail", "ok"],
    ]
