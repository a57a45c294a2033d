"""Following: a command or a process is recorded with all its descendants, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fates import Query
from support import DEADLINE_SECONDS, SLOWNESS, webpf_command

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.kernel

PROCESSES = "SELECT * FROM processes WHERE recording_id = (SELECT max(id) FROM recordings) ORDER BY id"


def test_all_that_it_starts_and_nothing_else(webpf: Webpf, query: Query, tmp_path: Path) -> None:
    """Descendants whose parent has ended are recorded; processes that others start meanwhile are not."""
    os.mkfifo(tmp_path / "done")
    script = (
        "(setsid sh -c '/bin/true; sleep 0.1; /bin/false; echo > done' &) ; /bin/ls / > /dev/null | cat; read x < done"
    )
    with subprocess.Popen(["/bin/sh", "-c", "while :; do /bin/date > /dev/null; done"]) as noise:
        ended = webpf("record", "--", "/bin/sh", "-c", script)
        noise.kill()
    assert ended.returncode == 0
    rows = query(PROCESSES)
    names = sorted(row["comm"] for row in rows)
    assert names == sorted(["sh", "sh", "sh", "true", "sleep", "false", "ls", "cat"])
    known = {row["id"] for row in rows}
    assert [row["id"] for row in rows if row["parent_id"] not in known] == [rows[0]["id"]]
    (recording,) = query("SELECT * FROM recordings")
    assert rows[0]["ppid"] == recording["recorder_pid"]
    assert recording["lost"] == 0
    assert webpf("verify").returncode == 0


def test_more_children_than_one_looks_at(webpf: Webpf, query: Query) -> None:
    many = 10_000 if SLOWNESS == 1 else 5_000
    script = f"i=0; while [ $i -lt {many} ]; do (:); i=$((i+1)); done"
    ended = webpf("record", "-q", "--", "/bin/sh", "-c", script)
    assert ended.returncode == 0
    (row,) = query(
        "SELECT count(*) AS n, sum(parent_id IS NULL) AS roots, sum(state = 'exited') AS exited FROM processes"
    )
    assert row == {"n": many + 1, "roots": 1, "exited": many + 1}


@pytest.mark.parametrize("what", ["give-away", "together", "threads"])
def test_threads_and_strange_parents(what: str, act: str, webpf: Webpf, query: Query) -> None:
    """A child made with CLONE_PARENT is followed. Short-lived threads are not processes."""
    script = f"{act} {what} 8 > /dev/null; /bin/true"
    assert webpf("record", "-q", "--", "/bin/sh", "-c", script).returncode == 0
    names = [row["comm"] for row in query(PROCESSES)]
    assert names == ["sh", "act", *(["act"] if what == "give-away" else []), "true"]


def test_a_thread_that_takes_on_a_program(webpf: Webpf, query: Query) -> None:
    """A thread that isn't the leader execs. It becomes the leader, and is still followed."""
    run = "os.execv, args=('/bin/sh', ['sh', '-c', '/bin/true; :'])"
    script = f"import os, threading; threading.Thread(target={run}).start()"
    assert webpf("record", "-q", "--", sys.executable, "-c", script).returncode == 0
    rows = query(PROCESSES)
    assert [row["comm"] for row in rows][-2:] == ["sh", "true"]
    assert all(row["state"] == "exited" for row in rows)


def test_a_process_that_is_there_already(webpf: Webpf, query: Query, tmp_path: Path) -> None:
    """The process, and all that it starts from then on, are recorded until all of them have ended."""
    script = "sleep 0.3 & read line; /bin/true; (sleep 0.2 &) ; exit 7"
    followed = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, text=True)
    line = [*webpf_command(), "record", "--db", str(tmp_path / "webpf.db"), "--pid", str(followed.pid)]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as recorder:
        assert recorder.stderr is not None
        assert "recording 1" in recorder.stderr.readline()
        assert followed.stdin is not None
        followed.stdin.write("go\n")
        followed.stdin.close()
        followed.wait()
        subprocess.run(["/bin/true"], check=True)
        recorder.communicate(timeout=DEADLINE_SECONDS)
    assert recorder.returncode == 0
    rows = query(PROCESSES)
    assert [(row["comm"], row["state"]) for row in rows] == [
        ("sh", "exited"),
        ("true", "exited"),
        ("sh", "exited"),
        ("sleep", "exited"),
    ]
    assert (rows[0]["pid"], rows[0]["exit_code"]) == (followed.pid, 7)
    assert webpf("verify").returncode == 0
