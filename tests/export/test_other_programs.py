"""Exports read by other programs: an OpenTelemetry receiver, speedscope."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import io
import json
import logging
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from story import BUILD
from support import DEADLINE_SECONDS, PROCESSES, fork, make_recording, wait_until

from webpf.export import exporter, stacks

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A recording of the story BUILD."""
    make_recording(tmp_path / "webpf.db", BUILD)
    return tmp_path / "webpf.db"


def rows(db: Path, sql: str) -> list[dict[str, Any]]:
    """Returns the result of a query, read by SQLite itself."""
    with closing(sqlite3.connect(db)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


# OpenTelemetry.


class Received:
    """The spans and resources that a receiver has got."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[Any] = []

    def handle_trace(self, request: Any, headers: object) -> None:
        """Called by the receiver with each request."""
        for resource in request.resource_spans:
            self.resources.append(resource.resource)
            for scope in resource.scope_spans:
                self.spans += scope.spans


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, Received]]:
    """Runs the receiver from OpenTelemetry's own tests; yields its URL and what it receives."""
    from oteltest.sink import HttpSink

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    received = Received()
    sink = HttpSink(received, logging.getLogger("sink"), port)
    sink.start()
    wait_until(lambda: sink.httpd is not None, "the receiver doesn't start")
    try:
        yield f"http://127.0.0.1:{port}/v1/traces", received
    finally:
        sink.stop()


def sent(db: Path) -> Received:
    """Exports a file, sends each line to a receiver, and returns what it has received."""
    out = io.BytesIO()
    exporter.export(db, None, "otlp", "wall", out)
    with receiver() as (address, received):
        for line in out.getvalue().splitlines():
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(address, line, headers)
            with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:
                assert answer.status == 200
    return received


def hex_id(raw: bytes) -> str:
    """Returns an id as it was sent. OTLP's JSON has ids in hex, but this receiver decodes them as base64."""
    return base64.b64encode(raw).decode()


def attributes(of: Any) -> dict[str, Any]:
    """Returns the attributes of a span or resource as a dict."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


METRICS = {
    "read_bytes": "process.disk.io.read",
    "write_bytes": "process.disk.io.write",
    "minor_faults": "process.paging.faults.minor",
    "major_faults": "process.paging.faults.major",
    "voluntary_switches": "process.context_switches.voluntary",
    "involuntary_switches": "process.context_switches.involuntary",
    "run_delay_ns": "webpf.run_delay_ns",
}
"""Names made of OpenTelemetry's metrics of processes and the values of their attributes, version 1.45."""


def test_a_receiver_gets_the_spans_of_all_processes(db: Path) -> None:
    received = sent(db)
    own = rows(db, f"SELECT * FROM {PROCESSES} WHERE kernel IS NOT 1")
    (recording,) = rows(db, "SELECT * FROM recordings")
    assert len(received.spans) == len(own)
    by_row = {attributes(span)["webpf.id"]: span for span in received.spans}
    for row in own:
        span = by_row[row["id"]]
        end = row["end_ns"] or (recording["ended_ns"] if row["state"] == "running" else row["start_ns"])
        assert (span.start_time_unix_nano, span.end_time_unix_nano) == (row["start_ns"], end)
        sent_values = attributes(span)
        for name, column in (
            ("process.pid", "pid"), ("process.exit.code", "exit_code"), ("webpf.signal", "signal"),
            ("webpf.cpu_ns", "cpu_ns"), ("process.executable.path", "filename"), ("webpf.state", "state"),
        ):  # fmt: skip
            assert sent_values.get(name) == row[column]
        assert [sent_values.get(name) for name in METRICS.values()] == [row[column] for column in METRICS]
        for name, column in (("process.cpu.time.user", "user_ns"), ("process.cpu.time.system", "system_ns")):
            known = row[column] is not None
            assert sent_values.get(name) == (pytest.approx(row[column] / 1e9) if known else None)
        assert span.status.code == (2 if row["status"] else 0)
    assert attributes(received.resources[0])["host.name"] == recording["host"]
    ended = [span for span in received.spans if attributes(span)["webpf.state"] == "exited"]
    total = sum(span.end_time_unix_nano - span.start_time_unix_nano for span in ended)
    assert total == sum(row["lifetime_ns"] or 0 for row in own)


def test_traces_and_parents(db: Path) -> None:
    """Parents are those of the table if they started during the recording; all other processes begin a trace."""
    received = sent(db)
    (recording,) = rows(db, "SELECT * FROM recordings")
    own = {row["id"]: row for row in rows(db, "SELECT * FROM processes WHERE kernel IS NOT 1")}
    new = {id for id, row in own.items() if row["start_ns"] >= recording["started_ns"]}
    ids = {hex_id(span.span_id): attributes(span)["webpf.id"] for span in received.spans}
    assert len(ids) == len(own), "span ids aren't unique"
    traces: dict[str, set[int]] = {}
    for span in received.spans:
        row = own[attributes(span)["webpf.id"]]
        above = ids.get(hex_id(span.parent_span_id)) if span.parent_span_id else None
        assert above == (row["parent_id"] if row["id"] in new and row["parent_id"] in new else None)
        traces.setdefault(hex_id(span.trace_id), set()).add(above or 0)
        assert len(hex_id(span.trace_id)) == 32
        assert len(hex_id(span.span_id)) == 16
    assert all(0 in parents for parents in traces.values())
    assert len(traces) < len(own)


def test_execs_are_span_events(db: Path) -> None:
    """For processes with more than one exec."""
    chains = rows(db, "SELECT id, execs FROM processes WHERE execs > 1")
    assert chains
    events = {attributes(span)["webpf.id"]: [event.name for event in span.events] for span in sent(db).spans}
    written = {
        row["id"]: row["n"] for row in rows(db, "SELECT process_id AS id, count(*) AS n FROM programs GROUP BY 1")
    }
    for chain in chains:
        assert events[chain["id"]] == ["exec"] * written[chain["id"]]


def test_many_spans_are_many_requests(tmp_path: Path) -> None:
    make_recording(tmp_path / "webpf.db", [fork(100 + n, n / 10) for n in range(1200)])
    out = io.BytesIO()
    exporter.export(tmp_path / "webpf.db", None, "otlp", "wall", out)
    assert len(out.getvalue().splitlines()) == 3
    assert len(sent(tmp_path / "webpf.db").spans) == 1200


# speedscope.


@pytest.fixture(scope="module")
def speedscope() -> Path:
    """The folder of speedscope's npm package, which `make test` installs."""
    folder = Path(sys.prefix) / "speedscope/package/dist/release"
    if not folder.is_dir():
        pytest.skip("speedscope isn't installed; try: make .venv/speedscope")
    return folder


@pytest.mark.parametrize("weight", list(stacks.WEIGHTS))
def test_speedscope_schema(weight: str, db: Path, speedscope: Path) -> None:
    import jsonschema

    out = io.BytesIO()
    exporter.export(db, None, "speedscope", weight, out)
    schema = json.loads((speedscope / "file-format-schema.json").read_text())
    jsonschema.validate(json.loads(out.getvalue()), schema)


def test_speedscope_shows_the_profile(db: Path, speedscope: Path, webpf: Webpf, tmp_path: Path, chromium: Any) -> None:
    """speedscope itself, in a browser, lists all names of processes in its table."""
    assert webpf("export", "--to", "speedscope", "--weight", "count", "-o", "profile.json").returncode == 0
    (tmp_path / "app").symlink_to(speedscope)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        with closing(chromium.new_context()) as context:
            page = context.new_page()
            page.goto(f"{address}/app/index.html#profileURL={address}/profile.json")
            page.wait_for_function("() => document.title.includes('speedscope') && document.querySelector('canvas')")
            page.keyboard.press("3")  # the sandwich view is a table
            page.wait_for_function("() => document.querySelectorAll('tr').length > 3")
            shown = page.evaluate("() => [...document.querySelectorAll('tr')].map(row => row.innerText)")
        server.shutdown()
    names = {row["comm"] for row in rows(db, "SELECT comm FROM processes WHERE kernel IS NOT 1")}
    assert all(any(name in row for row in shown) for name in names if name)
