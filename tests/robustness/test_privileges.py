"""Which capabilities are enough for `webpf record` as another user than root, and what is missing without each."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import (
    DEADLINE_SECONDS,
    NOBODY,
    PROCESSES,
    PROJECT,
    Recorder,
    can_others_run_webpf,
    status_of,
    wait_until,
    webpf_command,
)

from webpf.host import cgroups

Query = Callable[..., list[dict[str, Any]]]

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become a user with capabilities"),
]

DOCUMENTED = re.findall(r"--ambient-caps -all,(\S+)", (PROJECT / "docs" / "security.md").read_text(encoding="utf-8"))
ALL = frozenset(DOCUMENTED[0].split(",")) if DOCUMENTED else frozenset[str]()


def command(capabilities: frozenset[str], *arguments: str) -> list[str]:
    """Returns a command line that runs webpf as nobody, with only these capabilities."""
    wanted = ",".join(["-all", *sorted(capabilities)])
    sets = [f"--{name}={wanted}" for name in ("inh-caps", "ambient-caps", "bounding-set")]
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *sets, *webpf_command(), *arguments]


@pytest.fixture
def root_process() -> Iterator[int]:
    """A process of root from before the recording."""
    child = subprocess.Popen(["/bin/sleep", "600"])
    wait_until(lambda: Path(f"/proc/{child.pid}/comm").read_text() == "sleep\n", "it doesn't run")
    yield child.pid
    child.kill()
    child.wait()


@pytest.fixture
def in_cgroup() -> Iterator[Callable[[], int]]:
    """A function that runs a program of root in a new cgroup; without cgroup v2, in the current one."""
    mount = cgroups.mount_point()
    path = mount / f"webpf-test-{os.getpid()}" if mount else None
    script = (
        "exec /bin/sh -c ':' of root" if path is None else f"echo $$ > {path}/cgroup.procs; exec /bin/sh -c ':' of root"
    )

    def run() -> int:
        if path:
            path.mkdir()
        child = subprocess.Popen(["/bin/sh", "-c", script])
        assert child.wait() == 0
        return child.pid

    yield run
    if path and path.exists():  # not if the test was skipped
        path.rmdir()


def record(
    capabilities: frozenset[str], folder: Path, query: Query, act: Callable[[], int]
) -> tuple[list[dict[str, Any]], int]:
    """Records as nobody while act() runs a process. Returns the rows of all processes, with paths, and act()'s pid."""
    db = folder / "webpf.db"
    recorder = Recorder.__new__(Recorder)
    recorder.db = db
    recorder.latest_before = 0
    recorder.process = subprocess.Popen(
        command(capabilities, "record", "--db", str(db)), cwd=folder, stderr=subprocess.PIPE, text=True
    )
    try:
        recorder.wait_until_recording()
        status = status_of(recorder.process.pid)
        pid = act()
        sql = "SELECT 1 FROM processes WHERE pid = ? AND ppid = ? AND state = 'exited'"
        wait_until(lambda: query(sql, pid, os.getpid(), db=db), "the row didn't come")
    finally:
        code, errors = recorder.end()
    assert (code, "complete, no event was lost" in errors) == (0, True), errors
    assert status["Uid"].split()[:2] == [str(NOBODY)] * 2
    assert int(status["CapEff"], 16).bit_count() == len(capabilities)
    sql = f"SELECT p.*, c.path FROM {PROCESSES} AS p LEFT JOIN cgroup_paths AS c USING (recording_id, cgroup_id)"
    return query(sql, db=db), pid


def test_the_documented_line_records_completely(
    folder: Path, root_process: int, in_cgroup: Callable[[], int], query: Query
) -> None:
    rows, pid = record(ALL, folder, query, in_cgroup)
    [before] = [row for row in rows if row["pid"] == root_process]
    [during] = [row for row in rows if row["pid"] == pid and row["ppid"] == os.getpid()]
    assert before["filename"] == os.path.realpath("/bin/sleep")
    assert (before["args"], before["uid"], before["state"]) == ("/bin/sleep 600", 0, "running")
    assert (during["args"], during["filename"], during["uid"]) == ("/bin/sh -c : of root", "/bin/sh", 0)
    assert (during["execs"], during["status"], during["max_rss_kib"] > 0) == (2, 0, True)
    if cgroups.mount_point():
        assert during["path"] == f"/webpf-test-{os.getpid()}"
        assert before["path"] is not None
    status = (folder / "webpf.db").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (NOBODY, 0o600)


def reachable(capabilities: frozenset[str]) -> None:
    """Skips the test if nobody can't start webpf without the right to read everything, as in a home of root."""
    answer = subprocess.run(command(capabilities, "--version"), capture_output=True, check=False, cwd="/")
    if answer.returncode != 0:
        pytest.skip("other users can't read this copy of webpf")


@pytest.mark.parametrize("missing", ["+bpf", "+perfmon"])
def test_without_these_nothing_is_recorded(missing: str, folder: Path) -> None:
    assert missing in ALL
    reachable(ALL - {missing})
    answer = subprocess.run(
        command(ALL - {missing}, "record", "--duration", "1"), cwd=folder, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 77
    assert "CAP_BPF and CAP_PERFMON" in answer.stderr and len(answer.stderr.splitlines()) == 1
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("missing", ["+sys_ptrace", "+dac_read_search"])
def test_what_is_missing_without_these(
    missing: str, folder: Path, root_process: int, in_cgroup: Callable[[], int], query: Query
) -> None:
    """Exactly what the table says, and doctor says it too."""
    capabilities = ALL - {missing}
    assert missing in ALL
    reachable(capabilities)
    rows, pid = record(capabilities, folder, query, in_cgroup)
    [before] = [row for row in rows if row["pid"] == root_process]
    [during] = [row for row in rows if row["pid"] == pid and row["ppid"] == os.getpid()]
    assert (before["filename"] is None) == (missing == "+sys_ptrace")
    assert (before["args"], during["args"]) == ("/bin/sleep 600", "/bin/sh -c : of root")
    if cgroups.mount_point():
        assert during["cgroup_id"] is not None
        assert (during["path"] is None) == (missing == "+dac_read_search")
    doctor = subprocess.run(command(capabilities, "doctor"), cwd=folder, capture_output=True, text=True, check=False)
    assert doctor.returncode == 0, doctor.stdout
    assert f"without CAP_{missing[1:].upper()}: no " in doctor.stdout


@pytest.mark.parametrize("hidepid", ["1", "2"])
def test_where_proc_hides_processes(hidepid: str, folder: Path) -> None:
    """In a mount namespace with its own /proc: without CAP_SYS_PTRACE, all processes of others would seem lost."""
    mount = f"mount --make-rprivate / && mount -t proc -o hidepid={hidepid} proc /proc"
    if subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True, check=False).returncode != 0:
        pytest.skip("no mount namespace to be had here")
    if not can_others_run_webpf():
        pytest.skip("other users can't read this copy of webpf")

    def call(capabilities: frozenset[str], *arguments: str) -> subprocess.CompletedProcess[str]:
        script = f"{mount} && exec {shlex.join(command(capabilities, *arguments))}"
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", script],
            cwd=folder, capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS * 3,
        )  # fmt: skip

    hidden = call(ALL - {"+sys_ptrace"}, "record", "--duration", "1")
    assert (hidden.returncode, len(hidden.stderr.splitlines())) == (77, 1), hidden.stderr
    assert "hidepid" in hidden.stderr and "CAP_SYS_PTRACE" in hidden.stderr
    assert call(ALL - {"+sys_ptrace"}, "doctor").returncode == 77
    seen = call(ALL, "record", "--duration", "0.5")
    assert (seen.returncode, "complete" in seen.stderr) == (0, True), seen.stderr
    listed = call(frozenset(), "recordings")
    assert (listed.returncode, "complete" in listed.stdout) == (0, True), listed.stderr


@pytest.mark.parametrize(
    ("namespace", "code", "words"),
    [
        (["--user", "--map-root-user"], 77, "in a user namespace of its own"),
        (["--mount", "sh", "-c", 'mount -t proc -o subset=pid proc /proc && exec "$@"', "sh"], 69, "subset=pid"),
    ],
    ids=["PrivateUsers", "ProcSubset"],
)
def test_settings_of_a_service_that_forbid_recording(
    namespace: list[str], code: int, words: str, tmp_path: Path
) -> None:
    """One line, where there was a traceback, or a message about something else."""
    if subprocess.run(["unshare", *namespace, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine can't make such a namespace")
    command = ["unshare", *namespace, *webpf_command(), "record", "--duration", "1"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == code, answer.stderr
    [line] = answer.stderr.splitlines()
    assert words in line
    assert list(tmp_path.iterdir()) == []


def test_a_service_that_will_not_see_the_paths_of_cgroups(tmp_path: Path) -> None:
    """As with ProtectControlGroups=strict: it records, and says what will be missing."""
    command = ["unshare", "--cgroup", *webpf_command(), "record", "--duration", "0.1"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    warnings = [line for line in answer.stderr.splitlines() if "will have no paths of cgroups" in line]
    assert len(warnings) == 1 and answer.stderr.startswith(warnings[0])
