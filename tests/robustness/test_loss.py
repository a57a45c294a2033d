"""Lost events: none in a storm; and if losses are forced, every lost event is counted and reported."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fates import Query, run_program
from support import PROCESSES, PROJECT, Recorder, wait_until

from webpf.analysis import saved_queries
from webpf.host import cpus
from webpf.kernel.bpf_source import FIRST_PROGRAMS
from webpf.kernel.probe import Probe
from webpf.model.events import Exec, Exit, Fork, Free

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]


def test_event_counts_match(start_recorder: Start, query: Query) -> None:
    """attempted = written + lost for each kind, and the tables have as many rows as were written."""
    recorder = start_recorder()
    for _ in range(300):
        run_program("/bin/true")
    code, errors = recorder.end()
    assert code == 0
    assert "complete, no event was lost" in errors
    [recording] = query("SELECT * FROM recordings")
    for kind, table in (("forks", "forks"), ("execs", "programs"), ("exits", "exits"), ("frees", "frees")):
        assert recording[f"{kind}_attempted"] == recording[f"{kind}_written"] + recording[f"{kind}_lost"]
        assert recording[f"{kind}_written"] == query(f"SELECT count(*) AS n FROM {table}")[0]["n"]
    assert recording["lost"] == 0
    assert query("PRAGMA foreign_key_check") == []


def test_losses_are_counted(start_recorder: Start, query: Query, webpf: Any, tmp_path: Path) -> None:
    """With a buffer that is too small, and a stopped recorder: event counts still match, and rows say `lost`."""
    program = shutil.copy("/bin/true", tmp_path / "own-true")  # others start /bin/true, which may run at the end
    recorder = start_recorder("--buffer-mib", "1", "--max-args", "1000")
    recorder.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(3000):
            os.waitpid(os.posix_spawn(program, ["own-true"], {}), 0)
    finally:
        recorder.process.send_signal(signal.SIGCONT)
    code, errors = recorder.end()
    assert code == 0
    assert "LOST" in errors
    [recording] = query("SELECT * FROM recordings")
    assert recording["lost"] > 0
    for kind in ("forks", "execs", "exits", "frees"):
        assert recording[f"{kind}_attempted"] == recording[f"{kind}_written"] + recording[f"{kind}_lost"]
    assert query("SELECT count(*) AS n FROM processes WHERE state = 'exited' AND end_ns IS NULL")[0]["n"] == 0
    [own] = query("SELECT count(*) AS n, sum(state = 'running') AS running FROM processes WHERE comm = 'own-true'")
    assert own["n"] > 0 and own["running"] == 0
    for name in saved_queries.names():
        needed = ["-p", "pid=1"] if any(each.required for each in saved_queries.load(name).parameters) else []
        answer = webpf("query", name, *needed)
        assert "lower bound" in answer.stderr, name
    unknown = query("SELECT end_ns, lifetime_ns, exit_code FROM processes WHERE state = 'lost' AND status IS NULL")
    assert all(set(row.values()) == {None} for row in unknown)
    verified = webpf("verify")
    assert (verified.returncode, "events were lost, so counts are a lower bound" in verified.stdout) == (0, True)
    assert webpf("rebuild").returncode == 0
    assert webpf("verify").returncode == 0


def own_events(probe: Probe, pids: set[int]) -> list[tuple[type, int]]:
    """Returns kind and pid of the events of these processes until all have ended, without free events."""
    events: list[Any] = []

    def all_ended() -> bool:
        events.extend(probe.drain())
        return pids <= {event.pid for event in events if type(event) is Exit}

    wait_until(all_ended, "a process's end isn't reported")
    return [(type(event), event.pid) for event in events if event.pid in pids and type(event) is not Free]


@pytest.mark.parametrize("first_are_skipped", [False, True])
def test_second_programs(first_are_skipped: bool) -> None:
    """The second BPF programs report exactly the events that the kernel skipped in the first (as Linux 7 may do)."""
    probe = Probe(0, interruptible=True)
    try:
        if first_are_skipped:
            probe._programs.detach(FIRST_PROGRAMS)
            for kind in range(len(FIRST_PROGRAMS)):
                under_way = struct.pack("=I", 3 * len(FIRST_PROGRAMS) + kind)
                probe._programs.set_value("counts", under_way, struct.pack("=Q", 1) * cpus.possible())
        pids = [run_program("/bin/true").pid for _ in range(20)]
        assert own_events(probe, set(pids)) == [(kind, pid) for pid in pids for kind in (Fork, Exec, Exit)]
        assert probe.counts().lost == (0, 0, 0, 0)
    finally:
        probe.close()


@pytest.fixture(scope="session")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that starts processes as fast as it can."""
    program = tmp_path_factory.mktemp("storm") / "storm"
    try:
        subprocess.run(["gcc", "-O2", "-o", program, PROJECT / "tools" / "bench" / "storm.c"], check=True)
    except FileNotFoundError:
        pytest.skip("no gcc")
    return program


def test_a_storm_of_forks_on_all_cores_loses_nothing(start_recorder: Start, query: Query, storm: Path) -> None:
    cores = os.cpu_count() or 1
    recorder = start_recorder()
    subprocess.run([storm, "forks", "5000", str(cores)], check=True, stdout=subprocess.DEVNULL)
    code, errors = recorder.end()
    assert (code, "complete, no event was lost" in errors) == (0, True), errors
    [counted] = query("SELECT count(*) AS n FROM processes WHERE comm = 'storm' AND state = 'exited' AND execs = 0")
    assert counted["n"] == (5000 + 1) * cores


def test_a_storm_of_execs_on_all_cores_loses_nothing(start_recorder: Start, query: Query, storm: Path) -> None:
    recorder = start_recorder()
    storms = [
        subprocess.Popen([storm, "execs", "500"], stdout=subprocess.DEVNULL) for _ in range(2 * (os.cpu_count() or 1))
    ]
    assert [each.wait() for each in storms] == [0] * len(storms)
    code, errors = recorder.end()
    assert (code, "complete, no event was lost" in errors) == (0, True), errors
    for each in storms:
        [counted] = query(
            "SELECT count(*) AS n, count(DISTINCT pid) AS pids, min(execs) AS execs, min(state) AS state"
            f" FROM {PROCESSES} WHERE ppid = ? AND filename = '/bin/true' AND status = 0",
            each.pid,
        )
        assert counted == {"n": 500, "pids": 500, "execs": 1, "state": "exited"}
