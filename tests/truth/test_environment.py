"""The variables that --env keeps, against what execve() was given, /proc/PID/environ and getenv(3) in the program."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from fates import Query
from streams import replay
from support import DEADLINE_SECONDS, PROJECT, Recorder, wait_until, webpf_command

from webpf.model.environment import MAX_BYTES
from webpf.storage.verify import verify

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]
Values = dict[str, bytes | str | None]
NAMES = ["WEBPF_A", "WEBPF_AB", "WEBPF_B", "WEBPF_C"]
ASKED = [word for name in NAMES for word in ("--env", name)]

KEPT = """SELECT e.pid, e.comm, e.time_ns, v.name, v.state, v.value FROM program_environments AS k
JOIN programs AS e ON e.id = k.id AND e.recording_id = k.recording_id
JOIN environment_variables AS v ON v.environment_id = k.environment_id AND v.recording_id = k.recording_id"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """environment.c, compiled."""
    folder = tmp_path_factory.mktemp("environment")
    folder.chmod(0o755)
    return compiled(folder / "getenv", PROJECT / "tests" / "truth" / "environment.c", "-pthread")


def compiled(target: Path, source: Path, *flags: str) -> Path:
    """Compiles a program, or skips the test where that is impossible."""
    if not shutil.which("gcc"):
        pytest.skip("no gcc")
    done = subprocess.run(["gcc", "-O2", "-o", target, source, *flags], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"gcc {' '.join(flags)}: {done.stderr.strip().splitlines()[-1]}")
    return target


def execute(path: Path | str, arguments: Sequence[str], entries: Iterable[bytes], output: int = -1) -> int:
    """Starts a program with exactly these entries of its environment; returns its pid. output: a descriptor."""
    argv = [os.fsencode(each) for each in (path, *arguments)]
    envp = list(entries)
    arrays = [(ctypes.c_char_p * (len(words) + 1))(*words, None) for words in (argv, envp)]
    libc = ctypes.CDLL(None)
    pid = os.fork()
    if pid == 0:
        if output >= 0:
            os.dup2(output, 1)
        libc.execve(os.fsencode(path), *arrays)
        os._exit(99)
    return pid


def finish(pid: int) -> None:
    """Waits for a child, which must have succeeded."""
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def what_getenv_says(path: Path, entries: Iterable[bytes], *options: str) -> tuple[int, Values]:
    """Runs the program with these entries; returns its pid and the variables that it sees, of NAMES."""
    reader, writer = os.pipe()
    pid = execute(path, [*options, *NAMES], entries, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as lines:
        printed = [line.decode().strip().partition("=") for line in lines]
    finish(pid)
    return pid, {name: bytes.fromhex(value) if mark else None for name, mark, value in printed}


def kept(query: Query, pid: int, db: Path | None = None) -> list[Values]:
    """Returns the recorded variables of each exec of a process: None: not set; `unknown`."""
    rows = query(f"{KEPT} WHERE e.pid = ? ORDER BY k.id, v.name", pid, **({"db": db} if db else {}))
    found: dict[int, Values] = {}
    for row in rows:
        value = row["value"].encode() if isinstance(row["value"], str) else row["value"]
        assert (value is not None) == (row["state"] == "set")
        found.setdefault(row["time_ns"], {})[row["name"]] = "unknown" if row["state"] == "unknown" else value
    return list(found.values())


def every(value: bytes | str | None) -> Values:
    """Returns NAMES, all with this value."""
    return dict.fromkeys(NAMES, value)


def entry(name: str, size: int) -> bytes:
    """Returns an entry of this many bytes, with the NUL that follows it."""
    return f"{name}=".encode().ljust(size - 1, b"v")


LISTS: dict[str, list[bytes]] = {
    "empty": [],
    "all": [b"WEBPF_A=1", b"WEBPF_AB=2", b"WEBPF_B=3", b"WEBPF_C=4"],
    "a prefix of a name": [b"WEBPF_AB=2", b"WEBPF_ABC=5", b"XWEBPF_A=6"],
    "values": [b"WEBPF_A=", b"WEBPF_AB=line\nline", b"WEBPF_B=\xff\xfe\x80", "WEBPF_C=é世 =x= ".encode()],
    "twice": [b"WEBPF_A=first", b"WEBPF_B=", b"WEBPF_A=second", b"WEBPF_B=second"],
    "no entries": [b"WEBPF_A", b"", b"=WEBPF_B=1", b"=", b"WEBPF_C==", b"x WEBPF_AB=1"],
    "in a value": [b"X=\nWEBPF_A=1", b"Y=WEBPF_B=2"],
    "first and last": [b"WEBPF_A=1", *[b"X%d=%d" % (number, number) for number in range(200)], b"WEBPF_C=9"],
    "4,096 bytes": [entry("X", 4000), entry("WEBPF_C", 96)],
    "4,097 bytes": [entry("X", 4000), entry("WEBPF_C", 97)],
    "16,384 bytes": [entry("X", 16300), entry("WEBPF_C", 84)],
    "16,385 bytes": [entry("X", 16300), entry("WEBPF_C", 85)],
    "65,536 bytes": [entry("X", 65436), entry("WEBPF_C", 100)],
}


@pytest.mark.parametrize("interpreted", [False, True], ids=["program", "script"])
def test_getenv_says_the_same(
    interpreted: bool, start_recorder: Start, query: Query, program: Path, tmp_path: Path
) -> None:
    """Also of a script, in whose record the interpreter is, and of one with long arguments."""
    path = program
    if interpreted:
        path = tmp_path / "script"
        path.write_text(f"#!{program} X\n")
        path.chmod(0o755)
    recorder = start_recorder(*ASKED)
    seen = [what_getenv_says(path, entries) for entries in LISTS.values()]
    seen += [what_getenv_says(path, entries, "x" * 30_000) for entries in LISTS.values()]
    recorder.end()
    assert {key: value for _, values in seen for key, value in values.items() if key in NAMES}.keys() == set(NAMES)
    for (pid, values), label in zip(seen, [*LISTS, *LISTS], strict=True):
        [found] = kept(query, pid)
        assert found == {name: values[name] for name in NAMES}, label
    [row] = query("SELECT interpreter FROM programs WHERE pid = ?", seen[0][0])
    assert row["interpreter"] == (str(program) if interpreted else None)
    [options] = query("SELECT json_extract(options, '$.env') AS env FROM recordings")
    assert options["env"].replace('"', "").strip("[]").split(",") == NAMES
    assert [finding.problems for finding in verify(recorder.db)] == [(), ()]


def test_what_is_cut_is_unknown(start_recorder: Start, query: Query, program: Path) -> None:
    """A variable before the cut is known, even one that is set again after it; of all others nothing is."""
    recorder = start_recorder(*ASKED)
    lists: list[tuple[list[bytes], Values]] = [
        (
            [b"WEBPF_A=1", entry("X", MAX_BYTES), b"WEBPF_A=2", b"WEBPF_B=3"],
            {"WEBPF_A": b"1", "WEBPF_AB": "unknown", "WEBPF_B": "unknown", "WEBPF_C": "unknown"},
        ),
        # The cut is right after the value, within it, and within the name.
        ([entry("X", MAX_BYTES - 10), b"WEBPF_A=1", b"Y"], {"WEBPF_A": b"1"}),
        ([entry("X", MAX_BYTES - 10), b"WEBPF_A=12", b"Y"], {"WEBPF_A": "unknown"}),
        ([entry("X", MAX_BYTES - 9), b"WEBPF_A=1", b"Y"], {"WEBPF_A": "unknown"}),
        ([entry("X", MAX_BYTES - 3), b"WEBPF_A=1", b"Y"], {"WEBPF_A": "unknown"}),
        ([entry("WEBPF_C", 100_000)], {}),
    ]
    seen = []
    for entries, expected in lists:
        pid, values = what_getenv_says(program, entries)
        assert values == {name: values[name] for name in NAMES}
        seen.append((pid, values, every("unknown") | expected))
    recorder.end()
    for pid, values, expected in seen:
        [found] = kept(query, pid)
        assert found == expected
        assert all(value in ("unknown", values[name]) for name, value in found.items())


def test_a_thread_and_what_overwrites_it(start_recorder: Start, query: Query, program: Path) -> None:
    """A thread that isn't the leader executes a program; another program overwrites what /proc shows."""
    recorder = start_recorder(*ASKED)
    pid, values = what_getenv_says(program, [b"WEBPF_A=1"], "-t")
    overwriting = subprocess.Popen(
        [program, "-o"], env={"WEBPF_B": "secret"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert overwriting.stdout is not None
    assert overwriting.stdout.readline() == b"overwritten\n"
    assert Path(f"/proc/{overwriting.pid}/environ").read_bytes() == b"X" * len("WEBPF_B=secret") + b"\0"
    overwriting.communicate()
    recorder.end()
    assert kept(query, pid) == [values, values]
    assert values["WEBPF_A"] == b"1"
    assert kept(query, overwriting.pid) == [every(None) | {"WEBPF_B": b"secret"}]


@pytest.mark.parametrize("flags", [["-static", "-pthread"], ["-m32", "-static", "-nostdlib"]], ids=["static", "32-bit"])
def test_other_executables(flags: list[str], start_recorder: Start, query: Query, tmp_path: Path) -> None:
    source = PROJECT / "tests" / "truth" / "environment.c"
    is_32_bit = "-m32" in flags
    if is_32_bit:
        source = tmp_path / "exit.c"
        source.write_text('void _start(void) { asm volatile("int $0x80" : : "a"(1), "b"(0)); }\n')
    program = compiled(tmp_path / "program", source, *flags)
    recorder = start_recorder(*ASKED)
    pid = execute(program, [], LISTS["values"])
    finish(pid)
    recorder.end()
    expected = dict(each.decode("latin-1").split("=", 1) for each in LISTS["values"])
    assert kept(query, pid) == [{name: value.encode("latin-1") for name, value in expected.items()}]


def test_proc_shows_the_same(start_recorder: Start, query: Query) -> None:
    """Of a program that runs. One of the names is asked for twice."""
    names = [name for name in os.environ if name and name.isascii()][:20]
    recorder = start_recorder(*(word for name in [*names, names[0], "NO_SUCH_VARIABLE"] for word in ("--env", name)))
    child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(b"x\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"x\n"  # so it is cat by now, also for /proc
    entries = Path(f"/proc/{child.pid}/environ").read_bytes()
    child.communicate()
    recorder.end()
    expected = dict(each.decode("latin-1").split("=", 1) for each in entries.split(b"\0")[:-1])
    [found] = kept(query, child.pid)
    assert found.keys() == {*names, "NO_SUCH_VARIABLE"}
    assert found == {name: expected[name].encode("latin-1") if name in expected else None for name in found}


def test_sudo_gives_its_command_another_environment(start_recorder: Start, query: Query) -> None:
    """What the program under sudo really got, and what sudo itself was given."""
    if not shutil.which("sudo") or os.geteuid():
        pytest.skip("no sudo")
    names = ("SUDO_USER", "WEBPF_A", "WEBPF_B")
    recorder = start_recorder(*(word for name in names for word in ("--env", name)))
    command = ["sudo", "-n", "WEBPF_B=set", "/bin/sh", "-c", "echo WEBPF_PID=$$; exec /usr/bin/env"]
    sudo = subprocess.Popen(command, env=os.environ | {"WEBPF_A": "1"}, stdout=subprocess.PIPE, text=True)
    printed, _ = sudo.communicate()
    recorder.end()
    if sudo.returncode:
        pytest.skip("sudo doesn't work here")
    expected = dict(line.partition("=")[::2] for line in printed.splitlines() if "=" in line)
    found = kept(query, int(expected["WEBPF_PID"]))[-1]
    assert found == {name: expected[name].encode() if name in expected else None for name in names}
    assert (found["SUDO_USER"], found["WEBPF_B"]) == (pwd.getpwuid(os.getuid()).pw_name.encode(), b"set")
    given = kept(query, sudo.pid)[0]
    assert (given["WEBPF_A"], given["WEBPF_B"]) == (b"1", None)


OPTIONS: dict[str, list[str]] = {
    "no events": ["--events", "none"],
    "no args": ["--no-args"],
    "filters": ["--comm", "getenv"],
    "min lifetime": ["--min-lifetime", "1us"],
    "short args": ["--max-args", "1"],
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_with_other_options(options: list[str], start_recorder: Start, query: Query, program: Path) -> None:
    recorder = start_recorder(*ASKED, *options)
    pid, values = what_getenv_says(program, LISTS["values"])
    recorder.end()
    assert kept(query, pid) == [values]
    assert [finding.problems for finding in verify(recorder.db)] == [(), ()]


def test_of_a_command(query: Query, program: Path, tmp_path: Path) -> None:
    """The command's variables are those that webpf was started with. Of webpf's own processes nothing is recorded."""
    command = [*webpf_command(), "record", "-q", "--db", str(tmp_path / "webpf.db"), *ASKED, "--", str(program), *NAMES]
    environment = os.environ | {"WEBPF_A": "1", "WEBPF_B": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["WEBPF_A=31", "WEBPF_AB", "WEBPF_B=", "WEBPF_C"]
    [ran] = query("SELECT pid FROM programs")
    assert kept(query, ran["pid"]) == [every(None) | {"WEBPF_A": b"1", "WEBPF_B": b""}]


def test_without_the_option_nothing_is_kept(start_recorder: Start, query: Query, program: Path) -> None:
    recorder = start_recorder()
    pid, _ = what_getenv_says(program, LISTS["all"])
    recorder.end()
    assert kept(query, pid) == []
    [row] = query("SELECT json_type(options, '$.env') AS asked, count(id) AS n FROM recordings")
    assert (row["asked"], row["n"]) == (None, 1)
    assert query("SELECT count(*) AS n FROM environment_variables") == [{"n": 0}]


def test_redacted_before_it_is_written(start_recorder: Start, query: Query, program: Path) -> None:
    """`NAME=value` is searched; the name of the variable stays."""
    recorder = start_recorder(*ASKED, "--redact", "hunter2", "--redact", r"WEBPF_B=\S+", "--redact", "WEBPF_AB")
    entries = [b"WEBPF_A=my hunter2-\xff", b"WEBPF_AB=open", b"WEBPF_B=all secret", b"WEBPF_C="]
    pid, _ = what_getenv_says(program, entries)
    recorder.end()
    assert kept(query, pid) == [
        {"WEBPF_A": b"my ***-\xff", "WEBPF_AB": b"open", "WEBPF_B": b"*** secret", "WEBPF_C": b""}
    ]
    assert b"hunter2" not in recorder.db.read_bytes()


def test_the_replay_of_a_stream_has_the_same_rows(
    start_recorder: Start, query: Query, program: Path, tmp_path: Path
) -> None:
    """Recorded and streamed at the same time, in full and as people read it."""
    redact = ["--redact", "XX+"]
    recorder = start_recorder(*ASKED, *redact)
    streams = []
    for full in ([], ["--full"]):
        path = tmp_path / f"events{len(full)}"
        command = [*webpf_command(), "stream", *full, *ASKED, *redact]
        stream = subprocess.Popen(command, stdout=path.open("wb"), stderr=subprocess.PIPE)
        assert stream.stderr is not None
        assert b"streaming" in stream.stderr.readline()
        streams.append((stream, path))
    lists = [*LISTS.values(), [entry("WEBPF_C", MAX_BYTES + 1), b"WEBPF_A=1"], [b"WEBPF_A=aXXb"]]
    seen = [what_getenv_says(program, entries) for entries in lists]
    for stream, _ in streams:
        stream.send_signal(signal.SIGINT)
        assert stream.wait(DEADLINE_SECONDS) == 0
    recorder.end()
    recorded = [kept(query, pid) for pid, _ in seen]
    assert recorded[-1] == [every(None) | {"WEBPF_A": b"a***b"}]
    assert recorded[-2] == [every("unknown")]
    for _, path in streams:
        db = path.with_suffix(".db")
        done = replay(path.read_bytes(), db)
        assert done.returncode == 0, done.stderr
        assert [kept(query, pid, db) for pid, _ in seen] == recorded
        assert [problem for finding in verify(db) for problem in finding.problems] == []
    with closing(sqlite3.connect(tmp_path / "events1.db")) as connection:
        [asked] = connection.execute("SELECT json_extract(options, '$.env') FROM recordings").fetchone()
    assert asked == '["WEBPF_A","WEBPF_AB","WEBPF_B","WEBPF_C"]'


def test_a_storm_with_long_environments(start_recorder: Start, query: Query) -> None:
    """The same environment is written once, however many programs have it."""
    recorder = start_recorder("--env", "WEBPF_A")
    value = "v" * 20_000
    script = "i=0; while [ $i -lt 150 ]; do /bin/true; i=$((i+1)); done"
    done = subprocess.Popen(["/bin/sh", "-c", script], env={"WEBPF_A": value})
    done.wait()
    wait_until(lambda: query("SELECT 1 FROM processes WHERE pid = ? AND end_ns", done.pid), "the shell's end")
    code, errors = recorder.end()
    assert (code, "complete, no event was lost" in errors) == (0, True), errors
    sql = """SELECT count(*) AS n, count(DISTINCT k.environment_id) AS different FROM program_environments AS k
        JOIN environment_variables AS v ON v.environment_id = k.environment_id WHERE v.value = ?"""
    assert query(sql, value) == [{"n": 151, "different": 1}]
    assert recorder.db.stat().st_size < 1_000_000
