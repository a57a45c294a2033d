"""Faults of real machines: one line, a command that helps, the right exit code, and no recorded event is lost."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import small_disks
from support import Recorder, disposition, fork, let_others_in, make_recording, wait_until, webpf_command

from webpf.errors import WebpfError
from webpf.kernel import bcc_loader, btf

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., Recorder]
Query = Callable[..., list[dict[str, Any]]]

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change users and to mount")


def one_line(answer: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Checks the exit code, an empty stdout, and one line on stderr with these words."""
    assert answer.returncode == code, answer.stderr
    assert answer.stdout == ""
    assert len(answer.stderr.splitlines()) == 1, answer.stderr
    for word in words:
        assert word in answer.stderr
    assert "Traceback" not in answer.stderr


# The command line


@pytest.mark.parametrize("duration", ["0", "-1", "nan", "inf"])
def test_impossible_durations(duration: str, webpf: Webpf) -> None:
    for command in ("record", "stream"):
        one_line(webpf(command, "--duration", duration), 64, "--duration ", f"webpf {command} --duration 90")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["record", "--duration", "soon"], "--duration"),
        (["record", "--wat"], "--wat"),
        (["recrod"], "recrod"),
        (["record", "--buffer-mib", "3"], "power of two"),
        (["record", "--buffer-mib", "0"], "power of two"),
        (["record", "--max-args", "-1"], "--max-args must be"),
        (["record", "--max-args", "1000000", "--buffer-mib", "2"], "larger buffer"),
        (["query", "lifetimes", "--format", "xml"], "xml"),
        (["query", "lifetimes", "--limit", "-1"], "--limit"),
        (["query", "lifetime"], "did you mean lifetimes?"),
        (["query", "zzz"], "there is no query 'zzz'"),
        (["query", "execs"], "-p pid=1"),
        (["query", "execs", "-p", "pid=abc"], "takes a whole number, not 'abc'; try: "),
        (["query", "execs", "-p", "pdi=1"], "did you mean pid?"),
        (["query", "execs", "-p", "pid"], "KEY=VALUE"),
    ],
)
def test_wrong_calls(arguments: list[str], words: str, webpf: Webpf, tmp_path: Path) -> None:
    make_recording(tmp_path / "webpf.db", [fork(100, 1)])
    one_line(webpf(*arguments), 64, words, "try: ")


def test_unknown_recordings(webpf: Webpf, tmp_path: Path) -> None:
    for command in (["query", "lifetimes"], ["recordings"], ["rebuild"]):
        one_line(webpf(*command), 66, "there is no recording file webpf.db", "webpf record")
    make_recording(tmp_path / "webpf.db", [fork(100, 1)])
    one_line(webpf("query", "lifetimes", "--recording", "7"), 66, "no recording 7", "webpf recordings")
    one_line(webpf("rebuild", "--recording", "7"), 66, "no recording 7")


# The file


def foreign(path: Path) -> None:
    """A database of another program."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (a)")
    connection.close()


def newer(path: Path) -> None:
    """A file of a newer webpf."""
    make_recording(path, [fork(100, 1)])
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (lambda path: path.mkdir(), 73, "is a directory"),
        (lambda path: path.write_text("# notes\n" * 50), 65, "is no SQLite database"),
        (foreign, 65, "another program's SQLite database"),
        (newer, 65, "newer webpf"),
        (os.mkfifo, 73, "is not a regular file"),
    ],
    ids=["directory", "text", "foreign", "newer", "fifo"],
)
def test_files_of_other_programs(
    make: Callable[[Path], None], code: int, words: str, webpf: Webpf, tmp_path: Path
) -> None:
    """They are refused before the recording starts, and not a byte of them changes."""
    path = tmp_path / "x.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    one_line(webpf("record", "--duration", "1", "--db", path), code, words, "try: ")
    assert (path.read_bytes() if path.is_file() else b"") == before
    if code == 65:
        one_line(webpf("query", "lifetimes", "--db", path), code, words)


@pytest.mark.kernel
def test_a_missing_folder(webpf: Webpf, tmp_path: Path) -> None:
    one_line(webpf("record", "--db", "no/where.db"), 73, "there is no folder no", "mkdir -p no")
    assert not (tmp_path / "no").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    with small_disks.small_disk(tmp_path / "disk", "3m") as folder:
        yield folder


@pytest.mark.kernel
def test_a_read_only_disk(small_disk: Path, webpf: Webpf) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    one_line(webpf("record", "--db", small_disk / "x.db"), 73, "read-only", "--db")


@pytest.mark.kernel
def test_a_disk_that_fills(small_disk: Path, start_recorder: Start, webpf: Webpf, query: Query, tmp_path: Path) -> None:
    """What was committed is kept, the last message says so, and the file can be read and written again later."""
    db = small_disk / "x.db"
    recorder = start_recorder(db=db)
    padding = "x" * 200
    deadline = time.monotonic() + 60
    while shutil.disk_usage(small_disk).free:
        assert time.monotonic() < deadline
        os.waitpid(os.posix_spawn("/bin/true", ["true", padding], {}), 0)
    assert recorder.process.poll() is None, "it doesn't go on"
    code, errors = recorder.end()
    assert code == 74
    assert "full" in errors.splitlines()[-1]
    assert "what was committed before is kept" in errors.splitlines()[-1]
    copy = tmp_path / "copy.db"
    for suffix in ("", "-wal"):
        if Path(f"{db}{suffix}").exists():
            shutil.copy(f"{db}{suffix}", f"{copy}{suffix}")
    assert query("PRAGMA integrity_check", db=copy) == [{"integrity_check": "ok"}]
    assert query("SELECT count(*) AS n FROM programs", db=copy)[0]["n"] > 10
    rows = json.loads(webpf("recordings", "--db", copy, "--format", "json").stdout)
    assert [row["status"] for row in rows] == ["interrupted"]


# The end of a recording


@pytest.mark.kernel
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_a_recording_cleanly(number: int, start_recorder: Start, query: Query, tmp_path: Path) -> None:
    with disposition(signal.Signals(number), signal.SIG_DFL):
        recorder = start_recorder()
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    code, errors = recorder.end(number)
    assert code == 0
    assert "complete, no event was lost" in errors
    assert query("SELECT status FROM recordings") == [{"status": "complete"}]
    assert len(query("SELECT 1 FROM processes WHERE pid = ? AND comm = 'true'", child.pid)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["webpf.db"]


@pytest.mark.kernel
def test_under_nohup_the_recorder_outlives_its_terminal(start_recorder: Start) -> None:
    with disposition(signal.SIGHUP, signal.SIG_IGN):
        recorder = start_recorder("--duration", "2")
    recorder.process.send_signal(signal.SIGHUP)
    code, errors = recorder.wait()
    assert code == 0
    assert "complete, no event was lost" in errors
    took = re.search(r"in (\d+\.\d+) s ", errors)
    assert took and float(took[1]) >= 2, errors


@pytest.mark.kernel
def test_kill_9_keeps_what_was_committed(start_recorder: Start, query: Query, webpf: Webpf) -> None:
    recorder = start_recorder()
    children = []
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        children.append((time.time_ns(), os.posix_spawn("/bin/true", ["true"], {})))
        os.waitpid(children[-1][1], 0)
    assert recorder.end(signal.SIGKILL)[0] == -signal.SIGKILL
    listed = json.loads(webpf("recordings", "--format", "json").stdout)
    assert [row["status"] for row in listed] == ["interrupted"]
    assert query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    assert query("PRAGMA foreign_key_check") == []
    # For the age of the last commit, see test_crash.py.
    [committed] = query("SELECT updated_ns FROM recordings")
    for started, pid in children:
        if started < committed["updated_ns"] - 250_000_000:
            assert query("SELECT 1 FROM forks WHERE pid = ? AND time_ns >= ?", pid, started - 1_000_000), "lost"
    answer = webpf("query", "lifetimes", "--limit", "1")
    assert "was interrupted" in answer.stderr
    # The next recording uses the same file, and marks the first as interrupted.
    assert webpf("record", "--quiet", "--duration", "0.2").returncode == 0
    assert query("SELECT status FROM recordings") == [{"status": "interrupted"}, {"status": "complete"}]


@pytest.mark.kernel
def test_a_terminal_that_closes(tmp_path: Path, query: Query) -> None:
    """The recorder's stderr is closed: it goes on, and ends cleanly."""
    command = [*webpf_command(), "record", "--duration", "1.5"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        process.stderr.close()
    assert process.returncode == 0
    assert query("SELECT status FROM recordings") == [{"status": "complete"}]


@pytest.mark.kernel
def test_readers_see_rows_while_it_records(start_recorder: Start, query: Query) -> None:
    """Another process reads consistent rows, at most a quarter of a second old (later on a busy machine)."""
    recorder = start_recorder()
    ages = []
    for _ in range(10):
        child = subprocess.Popen(["/bin/true"])
        child.wait()
        ended = time.monotonic()
        sql = "SELECT 1 FROM processes WHERE pid = ? AND comm = 'true' AND state = 'exited'"
        wait_until(lambda: query(sql, child.pid), "the row didn't come")  # noqa: B023
        ages.append(time.monotonic() - ended)
        assert query("PRAGMA foreign_key_check") == []
    assert sorted(ages)[len(ages) // 2] < 0.25
    recorder.end()


@pytest.mark.kernel
def test_two_recorders_on_one_file(start_recorder: Start, query: Query, tmp_path: Path) -> None:
    """Both go on, each with its own recording of the same processes. The second says that another one is running."""
    first = start_recorder()
    second = start_recorder()
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    code, errors = second.end()
    assert code == 0
    assert "1 more recording goes to this file" in errors
    assert first.end()[0] == 0
    rows = query("SELECT recording_id, comm, state FROM processes WHERE pid = ? ORDER BY 1", child.pid)
    assert rows == [{"recording_id": number, "comm": "true", "state": "exited"} for number in (1, 2)]
    assert {row["status"] for row in query("SELECT status FROM recordings")} == {"complete"}
    assert query("PRAGMA foreign_key_check") == []
    assert [path.name for path in tmp_path.iterdir()] == ["webpf.db"]


@pytest.mark.kernel
def test_two_recorders_that_start_at_the_same_time(tmp_path: Path, query: Query) -> None:
    command = [*webpf_command(), "record", "--quiet", "--duration", "1"]
    recorders = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for recorder in recorders:
        assert recorder.communicate(timeout=60)[1] == ""
        assert recorder.returncode == 0
    assert query("SELECT status FROM recordings") == [{"status": "complete"}] * 2


@is_root
@pytest.mark.kernel
def test_under_sudo_the_file_belongs_to_the_user(tmp_path: Path) -> None:
    """Owner and mode, and that the user can read it, also during the recording."""
    tmp_path.chmod(0o777)
    let_others_in(tmp_path)
    db = tmp_path / "webpf.db"
    recorder = Recorder(db, ["--quiet"], {"SUDO_UID": "65534", "SUDO_GID": "65534"})
    recorder.wait_until_recording()
    assert {(path.stat().st_uid, path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {(65534, 0o600)}
    read = (
        "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM recordings').fetchone())"
    )

    def as_user() -> str:
        # Use Debian's Python: other users may not be able to reach the one that runs the tests.
        command = ["/usr/bin/python3", "-c", read, str(db)]
        answer = subprocess.run(command, user=65534, group=65534, capture_output=True, text=True, check=False)
        return str(answer.stdout)

    assert as_user() == "(1,)\n"
    assert recorder.end()[0] == 0
    assert as_user() == "(1,)\n"
    assert [(path.name, path.stat().st_uid, path.stat().st_gid) for path in tmp_path.iterdir()] == [
        ("webpf.db", 65534, 65534)
    ]


# The machine: in a separate mount namespace, the files that webpf needs are hidden.


@is_root
def test_no_root(webpf: Webpf, tmp_path: Path) -> None:
    """Without privileges: exit code 77, and a command that works."""
    script = shlex.join([*webpf_command(), "record", "--duration", "5"])
    # Drop all capabilities but keep the user, so that Python and its packages can still be read.
    answer = subprocess.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "sh", "-c", script],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    one_line(answer, 77, "recording needs root", "try: sudo ", "record --duration 5")
    assert list(tmp_path.iterdir()) == []


def hidden(places: list[Path], tmp_path: Path, *arguments: str, instead: str = "") -> subprocess.CompletedProcess[str]:
    """Calls webpf where empty folders hide these paths. instead: code of a Python package in the last of them."""
    possible = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    if possible.returncode != 0:
        pytest.skip(f"no mount namespace to be had here: {possible.stderr.strip()}")
    script = "".join(f"mount -t tmpfs -o mode=755 none {shlex.quote(str(place))} && " for place in places)
    if instead:
        script += f"echo {shlex.quote(instead)} > {shlex.quote(str(places[-1]))}/__init__.py && "
    script += f"exec {shlex.join([*webpf_command(), *arguments])}"
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip


@is_root
@pytest.mark.kernel
def test_no_btf(tmp_path: Path) -> None:
    btf_folder = [btf.VMLINUX.parent]
    one_line(hidden(btf_folder, tmp_path, "record", "--duration", "1"), 69, "no BTF", "CONFIG_DEBUG_INFO_BTF")
    doctor = hidden(btf_folder, tmp_path, "doctor")
    assert doctor.returncode == 69
    assert "MISSING  BTF" in doctor.stdout


CACHES = Path("/var/cache")


def bcc_folder() -> Path:
    """Returns the path of this machine's BCC."""
    try:
        return bcc_loader.find().folder
    except WebpfError as error:
        pytest.skip(error.message)


@is_root
@pytest.mark.kernel
def test_no_bcc_and_nothing_compiled(tmp_path: Path) -> None:
    places = [CACHES, bcc_folder()]
    answer = hidden(places, tmp_path, "record", "--duration", "1")
    one_line(answer, 69, "BCC is not installed", bcc_loader.install_hint())
    assert list(tmp_path.iterdir()) == []
    assert "BCC not installed" in hidden(places, tmp_path, "--version").stdout.splitlines()
    doctor = hidden(places, tmp_path, "doctor")
    assert (doctor.returncode, "MISSING  BCC" in doctor.stdout) == (69, True)
    one_line(hidden(places, tmp_path, "compile", "-o", "x"), 69, "BCC is not installed", bcc_loader.install_hint())
    assert list(tmp_path.iterdir()) == []


@is_root
@pytest.mark.kernel
def test_no_bcc_but_programs_in_the_cache(webpf: Webpf, tmp_path: Path, query: Query) -> None:
    """It records; and doctor says that nothing is missing."""
    assert webpf("record", "--dry-run").returncode == 0  # they are there from now on
    places = [bcc_folder()]
    answer = hidden(places, tmp_path, "record", "--", "sh", "-c", "exit 3")
    assert answer.returncode == 3, answer.stderr
    assert query("SELECT exit_code, execs FROM processes WHERE ppid IS NOT NULL") == [{"exit_code": 3, "execs": 1}]
    doctor = hidden(places, tmp_path, "doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert "ok       BPF object     from the cache /var/cache/webpf/" in doctor.stdout
    assert "-        BCC            BCC is not installed, and not needed" in doctor.stdout


@is_root
@pytest.mark.kernel
def test_a_cache_that_can_not_be_written(tmp_path: Path) -> None:
    """It compiles each time; --verbose says why."""
    script = (
        f"mount -t tmpfs -o mode=755 none {CACHES} && mount -o remount,ro {CACHES} &&"
        f" exec {shlex.join([*webpf_command(), '--verbose', 'record', '--duration', '0.3'])}"
    )
    answer = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "complete, no event was lost" in answer.stderr
    assert "the cache /var/cache/webpf can't be written: Read-only file system" in answer.stderr
    assert re.search(r"the BPF programs are from BCC \S+, compiled now", answer.stderr)


@is_root
@pytest.mark.kernel
def test_the_bcc_from_pypi(tmp_path: Path) -> None:
    """This package has the same name, but no class BPF."""
    places = [CACHES, bcc_folder()]
    answer = hidden(places, tmp_path, "record", "--duration", "1", instead="from .lattice import Lattice")
    one_line(answer, 69, "another project that is called bcc too", "pip uninstall bcc", bcc_loader.install_hint())


@pytest.mark.kernel
def test_an_installed_impostor_is_ignored(webpf: Webpf, tmp_path: Path) -> None:
    """If both are installed, webpf finds the real BCC."""
    impostor = tmp_path / "site" / "bcc"
    impostor.mkdir(parents=True)
    (impostor / "__init__.py").write_text("raise ImportError('the crystal lattice')\n")
    answer = webpf("compile", "-o", tmp_path / "x.bpf", env={"PYTHONPATH": str(impostor.parent)})
    assert (answer.returncode, answer.stderr.count("\n")) == (0, 1), answer.stderr


@pytest.mark.kernel
def test_a_stream_whose_reader_ends(tmp_path: Path) -> None:
    """As in `webpf stream | head`."""
    command = [*webpf_command(), "stream"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "streaming" in process.stderr.readline()
        deadline = time.monotonic() + 20
        process.stdout.close()
        while process.poll() is None:
            assert time.monotonic() < deadline
            subprocess.run([sys.executable, "-c", ""], check=True)
        assert process.stderr.read() == ""
    assert process.returncode == -signal.SIGPIPE
