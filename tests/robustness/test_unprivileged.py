"""Under sudo, the process that records stops being root: what it may still do, and that nothing is missing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support import (
    DEADLINE_SECONDS,
    NOBODY,
    PROCESSES,
    PROJECT,
    Recorder,
    children_of,
    status_of,
    wait_until,
    webpf_command,
)

from webpf.capture import privileges
from webpf.host import cgroups
from webpf.kernel import preflight

Query = Callable[..., list[dict[str, Any]]]

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can stop being root"),
]

SUDO = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY), "SUDO_USER": "nobody"}
OTHER = 12345


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Recorder]]:
    """Starts `webpf record` under sudo, unless other values are given; ends what a test leaves running."""
    started: list[Recorder] = []

    def begin(*arguments: str, db: Path = folder / "webpf.db", **environment: str) -> Recorder:
        recorder = Recorder(db, arguments, environment or SUDO)
        started.append(recorder)
        recorder.wait_until_recording()
        return recorder

    yield begin
    for recorder in started:
        recorder.end()


def writer_and_helpers(recorder: Recorder) -> tuple[int, list[int]]:
    """Returns the pid of the process that has the file open, and those of the others below the supervisor."""
    pids = children_of(recorder.process.pid)

    def writes(pid: int) -> bool:
        return any(os.path.realpath(each) == str(recorder.db) for each in Path(f"/proc/{pid}/fd").iterdir())

    [writer] = filter(writes, pids)
    return writer, [pid for pid in pids if pid != writer]


def run_as_user(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as the user behind sudo, in /."""
    ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return subprocess.run(["setpriv", *ids, *command], capture_output=True, text=True, check=False, cwd="/")


def test_what_records_is_the_user_without_any_capability(start: Callable[..., Recorder]) -> None:
    """In each of its threads; the helpers and the supervisor are root."""
    recorder = start("--verbose")
    writer, helpers = writer_and_helpers(recorder)
    threads = list(Path(f"/proc/{writer}/task").iterdir())
    assert len(threads) >= 3, "the display, the log and the queue have threads of their own"
    for thread in threads:
        fields = status_of(int(thread.name))
        assert fields["Uid"].split() == fields["Gid"].split() == [str(NOBODY)] * 4
        assert fields["Groups"].split() == [str(NOBODY)]
        assert [int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [0] * 4
        assert fields["NoNewPrivs"] == "1"
    assert len(helpers) == 1
    for pid in (recorder.process.pid, *helpers):
        fields = status_of(pid)
        assert (fields["Uid"].split(), fields["NoNewPrivs"]) == (["0"] * 4, "0")
    code, errors = recorder.end()
    assert (code, "complete, no event was lost" in errors) == (0, True), errors
    assert f"this process is uid {NOBODY} from now on, with no capability" in errors


def test_no_bpf_program_is_open_in_it(start: Callable[..., Recorder]) -> None:
    """With one, BPF_PROG_TEST_RUN would read the memory of the kernel. A helper has the programs open."""
    recorder = start("--verbose")
    writer, [helper] = writer_and_helpers(recorder)

    open_in = {pid: [str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()] for pid in (writer, helper)}
    assert open_in[writer].count("anon_inode:bpf-prog") == 0
    assert open_in[helper].count("anon_inode:bpf-prog") == open_in[writer].count("anon_inode:bpf_link") >= 4
    read = {str(Path(path).parent) for path in open_in[writer] if "fdinfo" in path}
    assert read == {f"/proc/{helper}/fdinfo"}, "it sees there how often the kernel skipped a program"
    os.kill(helper, signal.SIGKILL)
    code, errors = recorder.end()
    assert (code, "complete, no event was lost" in errors) == (0, True), errors


def test_the_user_cant_look_into_it(start: Callable[..., Recorder]) -> None:
    writer, _ = writer_and_helpers(start())
    trace = f"import ctypes; libc = ctypes.CDLL(None, use_errno=True); print(libc.ptrace(16, {writer}, 0, 0))"
    assert run_as_user("/usr/bin/python3", "-c", trace).stdout == "-1\n"  # 16: PTRACE_ATTACH
    own = "import os; open(f'/proc/{os.getpid()}/mem'); open(f'/proc/{os.getpid()}/environ')"
    assert run_as_user("/usr/bin/python3", "-c", own).returncode == 0, "it may do that with its own processes"
    for name in ("environ", "mem", "maps", "fd", "io"):
        shown = run_as_user("ls" if name == "fd" else "cat", f"/proc/{writer}/{name}")
        assert (shown.returncode, shown.stdout) == (1 if name != "fd" else 2, ""), name
        assert "Permission denied" in shown.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_signals_end_it(start: Callable[..., Recorder], number: int, query: Query) -> None:
    recorder = start("--quiet")
    assert recorder.end(number) == (0, "")
    assert query("SELECT status FROM recordings", db=recorder.db) == [{"status": "complete"}]
    assert [(path.name, path.stat().st_uid, path.stat().st_gid) for path in recorder.db.parent.iterdir()] == [
        ("webpf.db", NOBODY, NOBODY)
    ]


@pytest.mark.parametrize("killed", ["supervisor", "recorder"])
def test_nothing_outlives_it(start: Callable[..., Recorder], killed: str) -> None:
    """After kill -9 of the supervisor or of the recorder, all other processes of webpf end."""
    recorder = start("--quiet")
    writer, helpers = writer_and_helpers(recorder)
    os.kill(recorder.process.pid if killed == "supervisor" else writer, signal.SIGKILL)
    recorder.process.wait(DEADLINE_SECONDS)
    for pid in (writer, *helpers):
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), f"process {pid} is left")  # noqa: B023


PROCESSES_AT_THE_END = """
import ctypes, os, sys
with open('written', 'wb') as file:
    file.write(b'x' * 1_000_000)
    file.flush()
    os.fsync(file.fileno())
ctypes.CDLL(None).prctl(15, b'renamed', 0, 0, 0)  # PR_SET_NAME: no event says that
print('ready', flush=True)
sys.stdin.read()
"""


def other_users_process(stack: ExitStack, folder: Path, uid: int) -> int:
    """Starts a process of another user in a private folder, which has written a megabyte and changed its name."""
    folder.mkdir()
    os.chown(folder, uid, uid)
    folder.chmod(0o700)
    command = ["/usr/bin/python3", "-c", PROCESSES_AT_THE_END, ""]
    pipe = subprocess.PIPE
    process = stack.enter_context(subprocess.Popen(command, cwd=folder, user=uid, stdin=pipe, stdout=pipe, text=True))
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process.pid


def test_the_rows_are_those_of_root(start: Callable[..., Recorder], query: Query, tmp_path: Path) -> None:
    """A recorder that stays root records at the same time: programs, directories, cgroups, costs of other users."""
    mount = cgroups.mount_point()
    cgroup = mount / f"webpf-test-{os.getpid()}" if mount else None
    with ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        pids = [other_users_process(stack, Path(name, "before"), OTHER)]
        as_user = start("--events", "all")
        as_root = start(db=tmp_path / "webpf.db", SUDO_UID="")
        pids += [other_users_process(stack, Path(name, f"of {uid}"), uid) for uid in (0, OTHER, NOBODY)]
        if cgroup:
            cgroup.mkdir()
            stack.callback(cgroup.rmdir)
            subprocess.run(["sh", "-c", f"echo $$ > {cgroup}/cgroup.procs; exec /bin/true"], check=True)
        assert as_user.end()[0] == as_root.end()[0] == 0
    marks = ", ".join("?" * len(pids))
    programs = f"""SELECT pid, comm, filename, args, uid, minor_faults, read_bytes, write_bytes, cpu_ns > 0
        FROM {PROCESSES} WHERE pid IN ({marks}) ORDER BY pid"""
    rows = query(programs, *pids, db=as_root.db)
    assert query(programs, *pids, db=as_user.db) == rows
    assert [row["comm"] for row in rows] == ["renamed"] * len(pids)
    assert all(row["write_bytes"] >= 1_000_000 for row in rows)
    assert {row["filename"] for row in rows} == {os.path.realpath("/usr/bin/python3")} | {"/usr/bin/python3"}
    directories = f"""SELECT DISTINCT d.path FROM programs AS p JOIN working_directories AS d
        ON (d.recording_id, d.device, d.inode) = (p.recording_id, p.cwd_device, p.cwd_inode)
        WHERE p.pid IN ({marks}) ORDER BY 1"""
    expected = [{"path": f"{name}/of {uid}"} for uid in (0, OTHER, NOBODY)]
    assert query(directories, *pids, db=as_user.db) == query(directories, *pids, db=as_root.db) == expected
    if cgroup:
        assert {"path": f"/{cgroup.name}"} in query("SELECT path FROM cgroup_paths", db=as_user.db)


def test_processes_that_match_a_filter_are_read_as_root(start: Callable[..., Recorder], query: Query) -> None:
    """Also those that match only later: a new user or name has no event."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        recorder = start("--user", str(OTHER))
        pid = other_users_process(stack, Path(name, "private"), OTHER)
        assert recorder.end()[0] == 0
    [row] = query(f"SELECT comm, filename, uid FROM {PROCESSES} WHERE pid = ?", pid, db=recorder.db)
    assert (row["comm"], row["uid"]) == ("renamed", OTHER)
    assert row["filename"] in ("/usr/bin/python3", os.path.realpath("/usr/bin/python3"))


@pytest.mark.parametrize("reason", ["folder", "file", "writable file", "no user", "user is root"])
def test_where_it_stays_root(reason: str, start: Callable[..., Recorder], folder: Path, query: Query) -> None:
    """The file then belongs to the user at the end, as far as that is possible, and --verbose says why."""
    environment = dict(SUDO)
    if reason == "folder":
        os.chown(folder, 0, 0)
    elif "file" in reason:
        start("--quiet", SUDO_UID="").end()  # makes a file of root
        assert (folder / "webpf.db").stat().st_uid == 0
        (folder / "webpf.db").chmod(0o666 if reason == "writable file" else 0o600)
    elif reason == "no user":
        environment = {"SUDO_UID": ""}
    else:
        environment |= {"SUDO_UID": "0", "SUDO_GID": "0"}
    recorder = start("--verbose", **environment)
    writer, _ = writer_and_helpers(recorder)
    fields = status_of(writer)
    assert fields["Uid"].split() == ["0"] * 4 and int(fields["CapEff"], 16) >> preflight.CAP_BPF & 1
    code, errors = recorder.end()
    assert code == 0
    says = {
        "folder": "can't write the recording file or its folder",
        "file": "the recording file doesn't belong to the user",
        "writable file": "the recording file doesn't belong to the user",
        "no user": "there is no user behind sudo",
        "user is root": "the user behind sudo is root",
    }
    assert re.search(rf"this process keeps uid 0 and its capabilities: .*{says[reason]}", errors), errors
    owner = 0 if "user" in reason else NOBODY
    assert (folder / "webpf.db").stat().st_uid == owner
    assert query("SELECT DISTINCT status FROM recordings", db=recorder.db) == [{"status": "complete"}]


@pytest.mark.parametrize("first_is_root", [False, True])
def test_several_recorders_on_one_file(
    start: Callable[..., Recorder], folder: Path, query: Query, first_is_root: bool
) -> None:
    """They find each other alive. In the file of a recorder that is root without sudo, the second one stays root."""
    first = start("--quiet", **({"SUDO_UID": ""} if first_is_root else {}))
    second = start("--verbose")
    assert status_of(writer_and_helpers(second)[0])["Uid"].split()[0] == ("0" if first_is_root else str(NOBODY))
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    owner = 0 if first_is_root else NOBODY
    assert {(path.stat().st_uid, path.stat().st_mode & 0o777) for path in folder.iterdir()} == {(owner, 0o600)}
    code, errors = second.end()
    assert (code, "1 other recordings go to this file" in errors) == (0, True), errors
    assert first.end()[0] == 0
    rows = query("SELECT recording_id FROM processes WHERE pid = ? ORDER BY 1", child.pid, db=first.db)
    assert [row["recording_id"] for row in rows] == [1, 2]
    assert query("SELECT DISTINCT status FROM recordings", db=first.db) == [{"status": "complete"}]
    assert [path.name for path in folder.iterdir()] == ["webpf.db"]


def record(folder: Path, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Runs `webpf record` to its end under sudo, with `before` in front of its command line."""
    return subprocess.run(
        [*before, *webpf_command(), "record", *arguments],
        cwd=folder, env=dict(os.environ) | SUDO, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=3 * DEADLINE_SECONDS,
    )  # fmt: skip


def test_a_command_with_its_own_cgroup_leaves_nothing_behind(folder: Path, query: Query) -> None:
    mount = cgroups.mount_point()
    if mount is None:
        pytest.skip("no cgroup v2")
    before = sorted(mount.rglob("webpf-*/"))
    ended = record(folder, "--own-cgroup", "--", "/bin/sh", "-c", "grep ^0:: /proc/self/cgroup; /bin/true; exit 7")
    assert ended.returncode == 7, ended.stderr
    [path] = re.findall(r"^0::(.*/webpf-\d+-\d+)$", ended.stdout, re.MULTILINE)
    assert {"path": path} in query("SELECT path FROM cgroup_paths", db=folder / "webpf.db")
    assert sorted(mount.rglob("webpf-*/")) == before


def test_it_needs_no_module_that_the_user_cant_read(folder: Path) -> None:
    """In a mount namespace where only root can read webpf: the summary and the errors are printed all the same."""
    copy = f"""mount --make-rprivate / && mkdir {folder}/copy && cp -a {PROJECT}/recorder/. {folder}/copy &&
        mount -t tmpfs -o mode=0700 tmpfs {PROJECT}/recorder && cp -a {folder}/copy/. {PROJECT}/recorder &&
        rm -r {folder}/copy && chmod 0700 {PROJECT}/recorder &&"""
    if subprocess.run(["unshare", "--mount", "mount", "--make-rprivate", "/"], check=False).returncode:
        pytest.skip("no mount namespace to be had here")
    before = ("unshare", "--mount", "sh", "-c", f'{copy} exec "$@"', "sh")
    ended = record(folder, "--verbose", "--", "/bin/sh", "-c", "/bin/true; exit 3", before=before)
    assert ended.returncode == 3, ended.stderr
    assert f"this process is uid {NOBODY} from now on" in ended.stderr
    assert "slowest (time without a living child)" in ended.stderr
    removed = record(folder, "--", "/bin/sh", "-c", "rm webpf.db*; sleep 3; exit 4", before=before)
    assert removed.returncode == 4
    assert "webpf.db was removed while it was recorded" in removed.stderr
    assert len(removed.stderr.splitlines()) == 1, removed.stderr


@pytest.mark.parametrize("full", [False, True])
def test_a_stream(folder: Path, full: bool) -> None:
    """The process that prints it is the user. It has a helper and a process that forks helpers; none is left."""
    command = [*webpf_command(), "stream", *(["--full"] if full else [])]
    with (folder / "lines").open("w") as lines, (folder / "messages").open("w+") as messages:
        stream = subprocess.Popen(command, cwd=folder, env=dict(os.environ) | SUDO, stdout=lines, stderr=messages)
        wait_until(lambda: "streaming" in (folder / "messages").read_text(), "it didn't begin")
        fields = status_of(stream.pid)
        assert fields["Uid"].split() == fields["Gid"].split() == [str(NOBODY)] * 4
        assert int(fields["CapPrm"], 16) == int(fields["CapEff"], 16) == 0
        others = [each for child in children_of(stream.pid) for each in (child, *children_of(child))]
        assert len(others) == 2
        child = subprocess.Popen(["/bin/true"], cwd="/")
        child.wait()
        wait_until(lambda: f'"pid": {child.pid},' in (folder / "lines").read_text(), "the process didn't come")
        stream.terminate()
        assert stream.wait(DEADLINE_SECONDS) == 0, (folder / "messages").read_text()
    for pid in others:
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), f"process {pid} is left")  # noqa: B023


def traced(folder: Path, *faults: str) -> subprocess.CompletedProcess[str]:
    """Records for a moment while strace lets system calls fail, which it logs."""
    log = [f"--output={folder}/trace", "--trace=bpf,setgroups,setresgid,setresuid,capset"]
    ended = record(folder, "--verbose", "--duration", "0.1", before=("strace", "-ff", *log, *faults))
    assert ended.returncode != 0 or "complete, no event was lost" in ended.stderr, ended.stderr
    return ended


def test_the_child_that_looks_has_no_descriptor(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """With fs.suid_dumpable=1, the user could trace it, and command the supervisor through its channel."""

    def look(db: Path | None) -> int:
        return int(any(map(is_open, range(3, 1024))))

    monkeypatch.setattr(privileges, "_look", look)
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    monkeypatch.setenv("SUDO_GID", str(NOBODY))
    with (folder / "file").open("w"):
        plan = privileges.find_plan(folder / "webpf.db")
    assert plan.user is not None and plan.user.uid == NOBODY


def is_open(descriptor: int) -> bool:
    """Returns whether this process has a descriptor with this number."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")


@needs_strace
@pytest.mark.parametrize("call", ["setgroups", "setresuid", "setresgid"])
def test_where_it_cant_become_the_user_it_stays_root(folder: Path, call: str) -> None:
    ended = traced(folder, f"--inject={call}:error=EPERM")
    assert (ended.returncode, "a process can't become the user behind sudo" in ended.stderr) == (0, True), ended.stderr


@needs_strace
def test_a_change_that_fails_halfway_ends_it(folder: Path) -> None:
    """The user is changed already, and the capabilities can't be: nothing is recorded."""
    ended = traced(folder, "--inject=capset:error=EINVAL")
    lines = [line for line in ended.stderr.splitlines() if not re.match(r"\d{4}-", line)]
    assert ended.returncode == 69
    assert len(lines) == 1 and "the recorder can't become uid" in lines[0] and "; try: " in lines[0]
    assert not (folder / "webpf.db").exists()


@needs_strace
def test_before_linux_5_19_it_keeps_one_capability(folder: Path, query: Query) -> None:
    """There bpf(2) needs CAP_BPF. strace refuses the first call after the change of the user, as these kernels do."""
    ended = traced(folder)
    assert "with no capability" in ended.stderr
    [trace] = [text for path in folder.glob("trace.*") if "capset" in (text := path.read_text())]
    before = trace.partition("capset")[0].count("bpf(")
    for path in folder.glob("trace.*"):
        path.unlink()
    ended = traced(folder, f"--inject=bpf:error=EPERM:when={before + 1}")
    assert f"this process is uid {NOBODY} from now on, with CAP_BPF" in ended.stderr
    last = [line for path in folder.glob("trace.*") for line in path.read_text().splitlines() if "capset" in line][-1]
    assert "effective=1<<CAP_BPF, permitted=1<<CAP_BPF, inheritable=0" in last
