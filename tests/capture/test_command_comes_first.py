"""Whatever happens to a recording, the command runs as it would without webpf, and webpf exits with its exit code."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import DEADLINE_SECONDS, PROJECT, children_of, wait_until, webpf_command

from webpf.host import cgroups

pytestmark = pytest.mark.kernel

Query = Callable[..., list[dict[str, Any]]]
RECORD = (*webpf_command(), "record")


def shell(script: str, folder: Path, **how: Any) -> subprocess.CompletedProcess[str]:
    """Runs a script in which $WEBPF is the command webpf."""
    environment = os.environ | {"WEBPF": shlex.join(webpf_command())}
    return subprocess.run(
        ["/bin/bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False,
        timeout=4 * DEADLINE_SECONDS, **how,
    )  # fmt: skip


@pytest.fixture(scope="module")
def handed_down(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Compiles handed_down.c; returns the path of the program."""
    program = tmp_path_factory.mktemp("bin") / "handed-down"
    source = PROJECT / "tests" / "truth" / "handed_down.c"
    try:
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source], check=True)
    except FileNotFoundError:
        pytest.skip("no gcc")
    return str(program)


@pytest.mark.parametrize(
    ("destroys", "says"),
    [
        ("rm -f webpf.db*", "was removed"),
        ("mv webpf.db elsewhere.db", "was moved to"),
        ("mv webpf.db elsewhere.db; echo mine > webpf.db", "was moved to"),
        ("rm -f webpf.db*; mkdir webpf.db", "was removed"),
        ("> webpf.db", "was overwritten"),
        ("head -c 300000 /dev/urandom > webpf.db", "was overwritten"),
        ("chmod 000 .", None),
        ("git init -q . && git clean -fdxq", "was removed"),
    ],
)
def test_a_command_that_removes_its_recording(destroys: str, says: str | None, tmp_path: Path) -> None:
    ended = shell(f"$WEBPF record -- sh -c '{destroys}; exit 4'", tmp_path)
    tmp_path.chmod(0o700)
    assert ended.returncode == 4, ended.stderr
    assert "Traceback" not in ended.stderr
    if says:
        assert says in ended.stderr
        assert "complete" not in ended.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "<&- 2>&-"])
def test_closed_descriptors(closed: str, handed_down: str, tmp_path: Path, query: Query) -> None:
    """They are closed in the command too, and nothing that is written to them gets into the recording file."""
    if ">&-" not in closed.replace("2>&-", ""):
        alone = shell(f"{handed_down} {closed}", tmp_path).stdout
        under = shell(f"$WEBPF record -- {handed_down} {closed}", tmp_path).stdout
        assert [line for line in under.splitlines() if line.startswith("descriptor")] == [
            line for line in alone.splitlines() if line.startswith("descriptor")
        ]
    ended = shell(f"$WEBPF record -- sh -c 'exit 6' {closed}", tmp_path)
    assert ended.returncode == 6, ended.stderr
    assert {row["status"] for row in query("SELECT status FROM recordings")} == {"complete"}
    assert query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_environment_signals_and_descriptors_are_as_they_were(handed_down: str, tmp_path: Path) -> None:
    """Variables without a value, duplicates, bytes that are not text; ignored and blocked signals; closed files."""
    webpf = str(Path(sys.executable).parent / "webpf")
    under = [handed_down, "run", webpf, "record", "-q", "--db", str(tmp_path / "x.db"), "--", handed_down, "show"]
    outputs = []
    for command in ([handed_down, "run", handed_down, "show"], under):
        ended = subprocess.run(command, capture_output=True, check=False)
        assert ended.returncode == 5, ended.stderr
        outputs.append(ended.stdout)
    alone, under_webpf = outputs
    assert alone.count(b"environment") == 7
    assert under_webpf == alone


@pytest.mark.parametrize("limit", ["-n 20", "-n 6", "-v 300000", "-v 60000", "-d 100000"])
def test_limits_that_are_too_small(limit: str, tmp_path: Path) -> None:
    """Either the command is recorded, or one line says why not and the command isn't started."""
    ended = shell(f"ulimit {limit}; $WEBPF record -- sh -c 'echo started; exit 7'", tmp_path)
    assert "Traceback" not in ended.stderr
    if ended.returncode != 7:
        assert (ended.stdout, len(ended.stderr.splitlines())) == ("", 1), ended.stderr
        assert "try: ulimit" in ended.stderr


@pytest.mark.parametrize("limit", ["-f 150", "-n 40", "-c 0", "-s 256"])
def test_limits_that_are_large_enough(limit: str, tmp_path: Path) -> None:
    """The command has the same limits."""
    option = limit.partition(" ")[0]
    ended = shell(f"ulimit {limit}; $WEBPF record -q -- bash -c 'ulimit {option}; exit 7'", tmp_path)
    assert (ended.returncode, ended.stdout.strip()) == (7, limit.split()[1]), ended.stderr


def test_a_recorder_that_is_killed(tmp_path: Path) -> None:
    """The command is not a child of the recorder, so it continues."""
    command = [*RECORD, "--db", str(tmp_path / "webpf.db"), "--", "sh", "-c", "echo ready; read word; exit 8"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for pid in children_of(process.pid):
            if b"webpf" in Path(f"/proc/{pid}/cmdline").read_bytes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        _, errors = process.communicate("go\n", timeout=DEADLINE_SECONDS)
    assert process.returncode == 8
    message = "webpf: the recorder was killed by signal 9; the command continues, but is not recorded\n"
    assert errors == message


def test_its_peak_memory_is_its_own(tmp_path: Path, query: Query) -> None:
    """The peak is as small as for a start by a small program: it doesn't include the memory of webpf."""
    shell("$WEBPF record -q -- /bin/true", tmp_path)
    (row,) = query("SELECT max_rss_kib, ppid FROM processes WHERE comm = 'true'")
    assert row["max_rss_kib"] < 20_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 30_000  # this process, which is as large as webpf


def test_its_parent_is_webpf(tmp_path: Path, query: Query) -> None:
    command = [*RECORD, "-q", "--db", str(tmp_path / "webpf.db"), "--", "sh", "-c", "echo $PPID"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        out, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert int(out) == process.pid
    assert query("SELECT recorder_pid FROM recordings") == [{"recorder_pid": process.pid}]
    assert query("SELECT ppid FROM processes") == [{"ppid": process.pid}]


FORWARDED = [
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGIO, signal.SIGCONT, signal.SIGVTALRM, signal.SIGPROF),
    *(signal.SIGWINCH, signal.SIGURG, signal.SIGPWR, signal.SIGXCPU, signal.SIGRTMIN + 3, signal.SIGRTMAX),
]
REPORTS = """
import signal, sys
numbers = [int(each) for each in sys.argv[1:]]
signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
print("ready", flush=True)
for _ in numbers:
    print(signal.sigwaitinfo(numbers).si_signo, flush=True)
sys.exit(9)
"""


def test_signals_are_forwarded(tmp_path: Path) -> None:
    """The command gets each signal that can be meant for it, and none of them ends the recording."""
    numbers = [str(int(number)) for number in FORWARDED]
    command = [*RECORD, "--db", str(tmp_path / "webpf.db"), "--", sys.executable, "-c", REPORTS, *numbers]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for number in numbers:
            process.send_signal(int(number))
            assert process.stdout.readline() == f"{number}\n"
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 9
    assert "complete, no event was lost" in errors


def test_an_alarm_that_the_caller_has_set(tmp_path: Path) -> None:
    """An alarm survives an exec, so without webpf the command would get it."""
    code = (
        "import os, signal, sys; signal.signal(signal.SIGALRM, signal.SIG_DFL); signal.alarm(4);"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, *RECORD, "-q", "--db", str(tmp_path / "x.db"), "--", "sleep", "600"]
    begun = time.monotonic()
    assert subprocess.run(command, check=False).returncode == 128 + signal.SIGALRM
    assert time.monotonic() - begun < DEADLINE_SECONDS


def test_a_stopped_webpf_and_its_recorder(tmp_path: Path) -> None:
    """SIGSTOP can't be forwarded, so the recorder stops itself; after SIGCONT both continue."""
    command = [*RECORD, "-q", "--db", str(tmp_path / "webpf.db")]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        wait_until((tmp_path / "webpf.db-wal").exists, "it doesn't record")
        process.send_signal(signal.SIGSTOP)
        recorders = [pid for pid in children_of(process.pid) if "T" not in state(pid) and threads(pid) > 1]
        wait_until(lambda: all(state(pid) == "T" for pid in recorders), "the recorder goes on")
        process.send_signal(signal.SIGCONT)
        wait_until(lambda: not any(state(pid) == "T" for pid in recorders), "the recorder doesn't go on")
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 0


def state(pid: int) -> str:
    """Returns the state of a process, for example R, S or T: see proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def threads(pid: int) -> int:
    """Returns the number of threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


EVIL = "open({place!r}, 'a').write(__name__ + ' ')\nraise ImportError('not the one that was wanted')\n"


@pytest.fixture
def planted(tmp_path: Path) -> Iterator[Path]:
    """Yields a folder with modules that have the names of webpf's imports; then asserts that none of them was run."""
    folder = tmp_path / "project"
    folder.mkdir()
    mark = tmp_path / "ran"
    for name in ("typer", "rich", "sqlite_utils", "json", "sqlite3", "socket", "ctypes", "bcc", "click", "yaml", "csv"):
        (folder / f"{name}.py").write_text(EVIL.format(place=str(mark)))
    yield folder
    assert not mark.exists(), mark.read_text()


@pytest.mark.parametrize("path", ["project", ".", "", ":", "/nowhere:project"])
def test_the_projects_own_modules_are_not_webpfs(path: str, planted: Path) -> None:
    """webpf imports nothing from the current folder or PYTHONPATH. The command still gets PYTHONPATH."""
    script = str(Path(sys.executable).parent / "webpf")
    folder = planted if path in (".", "", ":") else planted.parent
    environment = os.environ | {"PYTHONPATH": path}
    for webpf in ([script], [sys.executable, "-m", "webpf"]):
        command = [*webpf, "record", "-q", "--", "sh", "-c", 'echo "$PYTHONPATH"; exit 3']
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout) == (3, f"{path}\n"), ended.stderr
        for reading in (["query", "lifetimes"], ["recordings"], ["--version"]):
            command = [*webpf, *reading]
            assert (
                subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False).returncode == 0
            )


@pytest.mark.parametrize("parts", [2, 25])
def test_a_current_folder_with_a_long_path(parts: int, tmp_path: Path) -> None:
    """The path is too long for BCC, and then also for SQLite: in the second case, one line says so."""
    db = tmp_path / "webpf.db"
    script = f"for i in $(seq {parts}); do d=$(printf 'd%.0s' $(seq 150)); mkdir $d; cd $d; done; "
    ended = shell(f"{script} $WEBPF record -q --db {db} -- sh -c 'pwd | wc -c; exit 3'", tmp_path)
    assert ended.returncode == 3, ended.stderr
    assert int(ended.stdout) > parts * 150
    here = shell(f"{script.replace('mkdir', ':')} $WEBPF record -q -- sh -c 'exit 3'", tmp_path)
    if parts == 2:
        assert here.returncode == 3, here.stderr
    else:
        assert (here.returncode, len(here.stderr.splitlines())) == (73, 1)
        assert re.search(r"SQLite takes at most \d+; try: .*record --db ", here.stderr)


def test_a_current_folder_that_is_gone(tmp_path: Path, query: Query) -> None:
    script = "mkdir gone; cd gone; rmdir ../gone; "
    ended = shell(f"{script} $WEBPF record -q --db {tmp_path}/webpf.db -- sh -c 'exit 3' 2>&1", tmp_path)
    assert ended.returncode == 3, ended.stdout
    assert query("SELECT status FROM recordings") == [{"status": "complete"}]
    here = shell(f"{script} $WEBPF record -q -- sh -c 'exit 3'", tmp_path)
    assert here.returncode == 73
    assert "current folder was deleted" in here.stderr


def test_a_cgroup_that_a_killed_recorder_left(tmp_path: Path) -> None:
    """The next recorder that makes a cgroup removes it, but no cgroup that is in use."""
    command = [*RECORD, "--own-cgroup", "--db", str(tmp_path / "webpf.db"), "--", "sh", "-c", "echo ready; read word"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            pytest.skip("no cgroup can be made here")
        line = Path("/proc/self/cgroup").read_text().rpartition("0::")[2].strip()
        mount = cgroups.mount_point()
        (mine,) = Path(f"{mount}{line}").glob("webpf-*")
        assert shell("$WEBPF record -q --own-cgroup -- true", tmp_path).returncode == 0
        assert mine.exists(), "it is in use"
        for pid in [*children_of(process.pid), process.pid]:
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not (mine / "cgroup.procs").read_text(), "a process is still in it")
    assert mine.exists()
    assert shell("$WEBPF record -q --own-cgroup -- true", tmp_path).returncode == 0
    assert not mine.exists()
