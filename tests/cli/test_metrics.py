"""`--metrics`: what Prometheus reads of a real recorder, with Prometheus's own parser."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from support import NOBODY, Recorder, exec_, exit_, fork, free, seen, wait_until

from webpf.capture.tally import ProcessTally
from webpf.errors import UsageError
from webpf.host import listen_address
from webpf.model.events import KERNEL_KINDS, Event
from webpf.model.pairing import Pairing

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
USER = 4321
KINDS = [kind.name for kind in KERNEL_KINDS]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def get(port: int, accept: str = "text/plain") -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(answer.read().decode())


def scrape(port: int) -> dict[str, float]:
    """Returns the samples by name, and by kind of event."""
    samples = (sample for family in text_string_to_metric_families(get(port)) for sample in family.samples)
    return {"/".join([sample.name, *sample.labels.values()]): sample.value for sample in samples}


def run_as_user(script: str) -> None:
    """Runs a shell as USER, whose processes only this test has. It is one process until it executes the shell."""
    command = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "sh", "-c", script]
    subprocess.run(command, check=False, cwd="/")


@pytest.mark.kernel
@needs_root
def test_the_numbers_are_those_of_the_file(port: int, tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    recorder = Recorder(db, ["--metrics", str(port), "--user", str(USER)])
    try:
        recorder.wait_until_recording()
        sleeper = subprocess.Popen(["setpriv", f"--reuid={USER}", "--clear-groups", "sleep", "600"])
        run_as_user("(exit 0); (exit 3); sh -c 'kill -9 $$'; (exit 4); true & wait; exit 0")
        names = [f"webpf_events_total/{kind}" for kind in KINDS]
        wait_until(lambda: scrape(port).get(names[3], 0) >= 5, "no free is counted")
        # Both only grow, so when they are equal, they were so at one time.
        wait_until(lambda: scrape(port).items() >= stored(db).items(), "the numbers differ")
        assert stored(db)["webpf_processes_failed_total"] >= 3
        wait_until(lambda: scrape(port)["webpf_processes_alive"] == 1, "only sleep is alive")
        numbers = scrape(port)
        assert [numbers[f"webpf_events_lost_total/{kind}"] for kind in KINDS] == [0, 0, 0, 0]
        assert numbers["webpf_pauses_total"] == 0
        assert 0 <= numbers["webpf_last_commit_age_seconds"] < 20
        assert numbers["webpf_file_size_bytes"] >= db.stat().st_size > 0
    finally:
        sleeper.kill()
        sleeper.wait()
        code, errors = recorder.end()
    assert (code, "complete, no event was lost" in errors) == (0, True), errors


def stored(db: Path) -> dict[str, float]:
    """Returns what the file says, under the names of the metrics."""
    sql = f"""SELECT {", ".join(f"{kind}s_written" for kind in KINDS)},
        (SELECT count(*) FROM processes WHERE state = 'exited' AND start_ns >= recordings.started_ns),
        (SELECT count(*) FROM processes WHERE status <> 0 AND start_ns >= recordings.started_ns) FROM recordings"""
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        *events, ended, failed = connection.execute(sql).fetchone()
    counts = {f"webpf_events_total/{kind}": float(count or 0) for kind, count in zip(KINDS, events, strict=True)}
    return counts | {"webpf_processes_ended_total": ended, "webpf_processes_failed_total": failed}


@pytest.mark.kernel
def test_it_is_valid_for_both_parsers(port: int, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "webpf.db", ["--metrics", f"127.0.0.1:{port}"])
    try:
        recorder.wait_until_recording()
        wait_until(lambda: "webpf_last_commit_age_seconds" in scrape(port), "nothing is committed")
        text = get(port, "application/openmetrics-text; version=1.0.0")
        parse: Any = openmetrics.text_string_to_metric_families  # it has no types
        families = {family.name: family for family in parse(text)}
    finally:
        recorder.end()
    assert all(name.startswith("webpf_") and family.documentation for name, family in families.items())
    assert {sample.labels["kind"] for sample in families["webpf_events"].samples} == set(KINDS)


@pytest.mark.kernel
@needs_root
def test_after_the_recorder_stopped_being_root(port: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, NOBODY, NOBODY)
        user = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY), "SUDO_USER": "nobody"}
        recorder = Recorder(Path(name, "webpf.db"), ["--metrics", str(port)], user)
        try:
            recorder.wait_until_recording()
            wait_until(lambda: scrape(port).get("webpf_processes_alive", 0) > 1, "no process is alive")
            assert "webpf_events_total" in get(port, "application/openmetrics-text; version=1.0.0")
            statuses = [Path(f"/proc/{pid}/status").read_text() for pid in listeners(port)]
            assert statuses and all(f"\nUid:\t{NOBODY}\t{NOBODY}\t" in each for each in statuses)
        finally:
            code, errors = recorder.end()
    assert (code, "complete, no event was lost" in errors) == (0, True), errors


def listeners(port: int) -> Iterator[int]:
    """Returns the processes that listen at a port: see proc_pid_net(5)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    inodes = {line.split()[9] for line in lines if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"}
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            links = {str(link.readlink()) for link in folder.iterdir()}
        except OSError:
            continue
        if links & {f"socket:[{inode}]" for inode in inodes}:
            yield int(folder.parent.name)


@pytest.mark.kernel
@pytest.mark.parametrize("arguments", [[], ["--", "true"]], ids=["machine", "command"])
def test_a_port_that_is_taken(arguments: list[str], webpf: Webpf, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answer = webpf("record", "--metrics", str(port), *arguments)
    assert answer.returncode == 69
    [line] = answer.stderr.splitlines()
    assert f"--metrics can't listen at 127.0.0.1, port {port}: Address already in use; try: " in line
    assert f"--metrics 127.0.0.1:{port + 1}" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9435", ("127.0.0.1", 9435)),
        ("0.0.0.0:9435", ("0.0.0.0", 9435)),
        ("[::1]:1", ("::1", 1)),
        ("localhost:65535", ("localhost", 65535)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert listen_address.parse(text) == address


@pytest.mark.parametrize("text", ["", "0", "65536", "port", "127.0.0.1:", ":9435", "::1:9435", "a b:1", "9435 ", "-1"])
def test_bad_addresses(text: str) -> None:
    with pytest.raises(UsageError, match="--metrics takes a port from 1 to 65535"):
        listen_address.parse(text)


@pytest.mark.kernel
def test_it_costs_nothing_unless_it_is_on(tmp_path: Path) -> None:
    """No module of it is imported, and the recorder has no thread more."""
    answer = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "webpf", "record", "--duration", "0.1"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "webpf.capture.recording_session" in answer.stderr
    assert not re.search(r"prometheus|http\.server|webpf\.capture\.tally", answer.stderr)


def test_a_tally_counts_each_process_once() -> None:
    tally, pairing = ProcessTally(), Pairing()
    batches: list[list[Event]] = [
        [seen(1, -5000), seen(2, -5000, kernel=1), fork(100, 0), fork(101, 1, kernel=1), exec_(100, 0, 2)],
        [exit_(100, 0, 3, status=256), exit_(100, 0, 3.5, status=0), exit_(101, 1, 4, status=9), exit_(77, -9, 5)],
        [free(100, 0, 6, status=256), fork(102, 7), exit_(102, 7, 8, status=9), free(102, 7, 9, status=9)],
        [fork(103, 10), fork(104, 11), exit_(104, 11, 12)],
    ]
    first = 1
    for events in batches:
        owners = pairing.feed(events, first)
        tally.add(events, owners, pairing.take_changed())
        first += len(events)
    tally.count_running(pairing.running)
    assert (tally.started, tally.ended, tally.failed, tally.alive) == (4 - 1 + 1, 4, 2, 2)


@pytest.mark.kernel
def test_a_pause_is_counted(port: int, tmp_path: Path) -> None:
    """Another program locks the file; the commit gets older meanwhile. It is reported after 5 s and at its end."""
    db = tmp_path / "webpf.db"
    recorder = Recorder(db, ["--metrics", str(port)])
    try:
        recorder.wait_until_recording()
        wait_until(lambda: "webpf_last_commit_age_seconds" in scrape(port), "nothing is committed")
        with closing(sqlite3.connect(db, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            wait_until(lambda: scrape(port)["webpf_last_commit_age_seconds"] > 2, "the commit doesn't get older")
            wait_until(lambda: scrape(port)["webpf_pauses_total"] == 1, "the pause is not counted")
        with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
            count = "SELECT count(*) FROM incidents"
            wait_until(lambda: connection.execute(count).fetchone() == (1,), "it is not in the file")
        wait_until(lambda: scrape(port)["webpf_last_commit_age_seconds"] < 2, "it doesn't go on")
        assert scrape(port)["webpf_pauses_total"] == 1
    finally:
        recorder.end(signal.SIGTERM)
