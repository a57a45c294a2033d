"""The edges of a recording: processes from before it, processes that outlive it, and no process twice."""

from __future__ import annotations

import os
import subprocess
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fates import Fate, Query, now, reap
from support import MS, PROCESSES, SLOWNESS, Recorder, wait_until

from webpf.host import clock
from webpf.kernel.probe import Probe
from webpf.model.events import Event, Exit, Free

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]


def test_before_during_and_after(start_recorder: Start, query: Query, webpf: Any) -> None:
    """Processes that start, end, or do neither within the recording have true starts, and one row each."""
    born = now()
    dies = subprocess.Popen(["/bin/sh", "-c", "read line; exit 5"], stdin=subprocess.PIPE)
    stays = subprocess.Popen(["/bin/sleep", "600"])
    threads = threading.active_count()
    try:
        wait_until(lambda: Path(f"/proc/{dies.pid}/comm").read_text() == "sh\n", "sh has not begun")
        wait_until(lambda: Path(f"/proc/{stays.pid}/comm").read_text() == "sleep\n", "sleep has not begun")
        begun = now()
        recorder = start_recorder()
        assert dies.stdin is not None
        dies.stdin.close()
        dies.wait()
        new = subprocess.Popen(["/bin/sleep", "601"])
        wait_until(lambda: Path(f"/proc/{new.pid}/comm").read_text() == "sleep\n", "sleep has not begun")
        recorder.end()
    finally:
        for child in (stays, new):
            child.kill()
            child.wait()
    rows = {}
    for name, child in (("dies", dies), ("stays", stays), ("new", new)):
        found = query(f"SELECT * FROM {PROCESSES} WHERE pid = ? AND start_ns > ?", child.pid, born - 20 * MS)
        assert len(found) == 1, name
        rows[name] = found[0]
    assert (rows["dies"]["state"], rows["dies"]["exit_code"]) == ("exited", 5)
    assert born <= rows["dies"]["start_ns"] <= begun
    assert rows["dies"]["args"] == "/bin/sh -c 'read line; exit 5'"
    assert rows["stays"]["state"] == "running"
    assert born - 10 * MS <= rows["stays"]["start_ns"] <= begun
    assert (rows["stays"]["end_ns"], rows["stays"]["status"]) == (None, None)
    assert (rows["stays"]["args"], rows["stays"]["ppid"], rows["stays"]["uid"]) == ("/bin/sleep 600", os.getpid(), 0)
    assert rows["new"]["state"] == "running"
    assert rows["new"]["execs"] == 1
    parents = query("SELECT id FROM processes WHERE pid = ? AND start_ns < ?", os.getpid(), born)
    assert {row["parent_id"] for row in rows.values()} == {parents[0]["id"]}
    assert threads == threading.active_count()


def test_no_gap_and_no_double_at_the_start(start_recorder: Start, query: Query, tmp_path: Path) -> None:
    """Recordings start while processes start and end all the time. Each process is in them once, or ended before."""
    stop = threading.Event()
    fates: list[Fate] = []

    def storm() -> None:
        while not stop.is_set():
            before = now()
            child = subprocess.Popen(["/bin/sh", "-c", "exec /bin/sleep 0.01"])
            fates.append(reap(child.pid, before))
            child.returncode = 0

    threads = [threading.Thread(target=storm) for _ in range(4 if SLOWNESS == 1 else 2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            recorder = start_recorder()
            enough = len(fates) + 40
            wait_until(lambda: len(fates) >= enough, "the storm stands still")  # noqa: B023
            recorder.end()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    by_pid = defaultdict(list)  # of ours: while another storm goes on, another process can have the same pid soon
    for row in query(f"SELECT * FROM {PROCESSES} WHERE ppid = ?", os.getpid()):
        by_pid[row["pid"]].append(row)
    for recording in query("SELECT * FROM recordings"):
        started, ended = recording["started_ns"], recording["ended_ns"]
        for fate in fates:
            rows = [row for row in by_pid[fate.pid] if row["recording_id"] == recording["id"]]
            rows = [row for row in rows if fate.before_ns - MS <= row["start_ns"] <= fate.after_ns + MS]
            if fate.before_ns > started and fate.after_ns < ended:
                assert [(row["status"], row["execs"]) for row in rows] == [(fate.status, 2)]
                assert fate.before_ns - MS < rows[0]["start_ns"] < rows[0]["end_ns"] < fate.after_ns + MS
            elif fate.after_ns < started or fate.before_ns > ended:
                assert rows == [], (recording, fate)
            else:
                assert len(rows) <= 1


def test_what_ends_while_the_gate_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, time passes between the opening of the gate and the reading of the clock."""
    ended: list[int] = []
    look = clock.boot_ns

    def slowly() -> int:
        child = subprocess.Popen(["/bin/true"])
        child.wait()
        ended.append(child.pid)
        return look()

    offset = clock.measure_offset()
    monkeypatch.setattr(clock, "boot_ns", slowly)
    source = Probe(offset)
    monkeypatch.undo()
    events: list[Event] = []

    def has_reported(pid: int) -> bool:
        events.extend(source.drain())
        return any(type(event) is Exit and event.pid == pid for event in events)

    try:
        (first,) = ended
        child = subprocess.Popen(["/bin/true"])
        child.wait()
        wait_until(lambda: has_reported(child.pid), "the child that came later isn't reported")
        source.detach()
        events += source.drain()
        assert not [event for event in events if event.pid == first and type(event) is not Free]
        assert all(event.time_ns >= source.started_ns for event in events)
        assert sum(source.counts().arrived) == len(events)
    finally:
        source.close()
