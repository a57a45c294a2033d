"""A second recorder, the witness: a small libbpf program, built differently than webpf, must report the same events.

The tests compare three accounts of one workload: the witness (tests/witness/), `webpf stream`, and the rows that
`webpf record` writes. The test itself knows the pids, names and wait statuses of the workload.

All three also see the other processes of the machine, so the tests look only at pids of the workload. A pid can have
another owner before or after. So each process ends under its own name, if it can have one, and lives with the same pid
are distinguished by the forks and ends around them.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import connect
from typing import Any, NamedTuple

import pytest
from support import DEADLINE_SECONDS, PROJECT, Recorder, wait_until, webpf_command

pytestmark = pytest.mark.kernel

SPAWNS = 120
FORKS = 80
SBIN = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
_PR_SET_NAME = 15  # include/uapi/linux/prctl.h

# Starts a command in its own mount namespace with tracefs mounted: the mounts of the machine don't change.
_MOUNT = 'mount -t tracefs tracefs /sys/kernel/tracing && exec "$@"'
TRACEFS = ["unshare", "--mount", "sh", "-c", _MOUNT, "sh"]

NAMES = {
    "quotes and a backslash": b"a\"b'c\\d",
    "nothing but quotes": b'"' * 15,
    "ends in a backslash": b"fourteen bytes\\",
    "control characters": b"\x01\t\r\n\x1b[31m\x7f",
    "something like JSON": b'","pid":1,"x":"',
    "empty": b"",
    "cut within a character": "a프로세스감시".encode(),
    "beyond the first plane": "🐝 bee".encode(),
    "no UTF-8": b"\xff\xfe\x80 raw",
    "overlong": b"\xc0\xaf \xe0\x80\xaf",
    "a surrogate": b"\xed\xa0\x80 half",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "broken off within": b"\xe2\x82x\xf0\x9f\x90y",
    "first and last of their sizes": b"\xc2\x80\xdf\xbf\xef\xbf\xbf",
}


class Life(NamedTuple):
    """A process as all three see it: its names at its fork and at its end. None: the fork was not seen."""

    born: str | None
    died: str


@dataclass(frozen=True)
class Ran:
    """A process of the workload. programs: its names after each exec. status: of wait(); None if it isn't our child."""

    what: str
    pid: int
    life: Life
    programs: tuple[str, ...] = ()
    status: int | None = None


@dataclass
class Account:
    """What one of the three reports: the lives that each pid had and, if known, their programs and status."""

    lives: dict[int, list[Life]] = field(default_factory=lambda: defaultdict(list))
    programs: dict[int, list[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(list))
    statuses: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def of(self, ran: Ran) -> list[Life]:
        """Returns the lives that ended under this process's name, which is usually its own alone."""
        return [life for life in self.lives[ran.pid] if life.died == ran.life.died]

    def each(self) -> Iterator[tuple[int, Life]]:
        """Yields all lives, each with its pid."""
        return ((pid, life) for pid, lives in self.lives.items() for life in lives)


class Watcher:
    """A program that prints events as JSON lines into files, so that no pipe fills up and no thread must read."""

    def __init__(self, command: Sequence[str | Path], folder: Path) -> None:
        folder.mkdir()
        self._lines: list[dict[str, Any]] = []
        self._read = 0
        self._output, self._errors = folder / "stdout", folder / "stderr"
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)

    @property
    def output(self) -> bytes:
        return self._output.read_bytes()

    @property
    def errors(self) -> str:
        return self._errors.read_text(errors="replace")

    def lines(self) -> list[dict[str, Any]]:
        """Returns its complete lines so far. It reads only new ones from the file: on a busy machine there are many."""
        with self._output.open("rb") as output:
            output.seek(self._read)
            complete, newline, _ = output.read().rpartition(b"\n")
        if newline:
            self._lines += map(json.loads, complete.split(b"\n"))
            self._read += len(complete) + len(newline)
        return self._lines

    def saw(self, pids: Sequence[int], events: set[str]) -> bool:
        """Returns whether it has reported all these events for one of these pids."""
        assert self.process.poll() is None, f"{self.process.args!r} ended: {self.errors}"
        seen = defaultdict(set)
        for line in self.lines():
            seen[line["pid"]].add(line["event"])
        return any(events <= seen[pid] for pid in pids)

    def end(self) -> int:
        """Sends a signal to end it; returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(DEADLINE_SECONDS)
        finally:
            self.process.kill()


@dataclass(frozen=True)
class Trial:
    """The workload, the three accounts of it, and the watchers, which have ended, with their exit codes.

    meanwhile: the accounts of all processes of the machine during the workload.
    """

    workload: list[Ran]
    accounts: dict[str, Account]
    meanwhile: dict[str, Account]
    watchers: dict[str, Watcher]
    codes: dict[str, int]


# The workload


class Workload:
    """Starts processes in a folder, and knows what an account must say about each."""

    def __init__(self, folder: Path) -> None:
        self.ran: list[Ran] = []
        self._folder = folder
        self._name = Path("/proc/thread-self/comm").read_text(encoding="utf-8").rstrip("\n")
        self._libc = ctypes.CDLL(None, use_errno=True)

    def run(self) -> None:
        """Runs all parts of the workload."""
        self.spawns()
        self.forks()
        self.renamed()
        self.failures()
        self.shell()
        self.pipeline()
        self.leader_leaves_first()

    def mark(self) -> int:
        """Runs a process that only marks a time; returns its pid."""
        pid = os.posix_spawn("/bin/true", ["true"], {})
        os.waitpid(pid, 0)
        return pid

    def marks_on_each_cpu(self) -> list[int]:
        """Runs such a process on each CPU; returns their pids."""
        allowed = os.sched_getaffinity(0)
        marks = []
        try:
            for cpu in allowed:
                os.sched_setaffinity(0, {cpu})
                marks.append(self.mark())
        finally:
            os.sched_setaffinity(0, allowed)
        return marks

    def spawn(self, name: str, program: str = "true", *arguments: str) -> int:
        """Starts a program under a unique name; returns its pid."""
        # By a link: a process has the name of the file that it executes. argv[0] is for programs with many names.
        return os.posix_spawn(self._link(name, program), [program, *arguments], {})

    def wait(self, what: str, pid: int, died: str, programs: tuple[str, ...]) -> None:
        """Waits for a child of this process, and notes its names and status."""
        _, status = os.waitpid(pid, 0)
        self.ran.append(Ran(what, pid, Life(self._name, died), programs, status))

    def spawns(self) -> None:
        """Starts many processes at a time, by posix_spawn and by subprocess."""
        names = [f"wit-spawn-{n}" for n in range(SPAWNS)]
        pids = [self.spawn(name) for name in names[::2]]
        popens = [subprocess.Popen(["true"], executable=self._link(name)) for name in names[1::2]]
        for name, pid in zip(names[::2], pids, strict=True):
            self.wait("spawn", pid, name, (name,))
        for name, popen in zip(names[1::2], popens, strict=True):
            status = popen.wait(DEADLINE_SECONDS) << 8
            self.ran.append(Ran("subprocess", popen.pid, Life(self._name, name), (name,), status))

    def forks(self) -> None:
        """Forks many processes that never exec. Half of them keep the name of this process."""
        names = [self._name if n % 2 else f"wit-fork-{n}" for n in range(FORKS)]
        pids = [self._fork(name.encode(), n) for n, name in enumerate(names)]
        for name, pid in zip(names, pids, strict=True):
            self.wait("fork", pid, name, ())

    def renamed(self) -> None:
        """Starts processes with names that need escapes."""
        for what, name in NAMES.items():
            self.wait(what, self._fork(name, 0), name[:15].decode("utf-8", "backslashreplace"), ())

    def failures(self) -> None:
        """Starts a program that fails, one that is killed, and one that doesn't exist."""
        self.wait("failing", self.spawn("wit-false", "false"), "wit-false", ("wit-false",))
        self.wait("killed", self.spawn("wit-killed", "sh", "-c", "kill -KILL $$"), "wit-killed", ("wit-killed",))
        missing = self._fork(b"wit-missing", 127, lambda: os.execv(self._folder / "missing", ["missing"]))
        self.wait("missing", missing, "wit-missing", ())

    def shell(self) -> None:
        """A shell starts a.out. The fork event has the name of the shell, so only the exec names a.out."""
        self._link("a.out")
        output = self._sh("./a.out & echo $!; wait $!; exit 7")
        self.ran.append(Ran("a.out", int(output), Life("sh", "a.out"), ("a.out",)))

    def pipeline(self) -> None:
        """Starts three programs in a pipeline. Each is first a shell that prints its pid."""
        members = [self._link(f"wit-pipe-{n}").name for n in range(3)]
        tell_and_become = """sh -c 'echo "$0 $$" >&3; exec ./"$0"' """
        members_in_a_row = " | ".join(tell_and_become + name for name in members)
        output = self._sh(f"{{ {members_in_a_row}; }} 3>&1")
        pids = {name: int(pid) for name, pid in (line.split() for line in output.splitlines())}
        assert set(pids) == set(members)
        for name, pid in pids.items():
            self.ran.append(Ran("pipeline", pid, Life("sh", name), ("sh", name)))

    def leader_leaves_first(self) -> None:
        """Starts a process whose first thread ends first. Its last thread has another name, and starts a program."""
        script = f"""
            import ctypes, os, sys, threading, time
            libc = ctypes.CDLL(None)

            def last():
                libc.prctl({_PR_SET_NAME}, b"not-the-leader", 0, 0, 0)
                deadline = time.monotonic() + {DEADLINE_SECONDS}
                while open(f"/proc/self/task/{{os.getpid()}}/stat").read().rpartition(")")[2].split()[0] != "Z":
                    if time.monotonic() > deadline:
                        os._exit(1)
                    time.sleep(0.001)
                child = os.posix_spawn(sys.argv[1], ["true"], {{}})
                os.waitpid(child, 0)
                os.write(1, b"%d" % child)
                os._exit(5)

            threads = [threading.Thread(target=int) for _ in range(5)]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
            threading.Thread(target=last).start()
            libc.pthread_exit(None)
        """
        arguments = [sys.executable, "-I", "-S", "-c", textwrap.dedent(script), str(self._link("wit-late"))]
        program = self._link("wit-threads", sys.executable)
        process = subprocess.Popen(arguments, executable=program, stdout=subprocess.PIPE, text=True)
        output, _ = process.communicate(timeout=DEADLINE_SECONDS)
        life, status = Life(self._name, program.name), process.returncode << 8
        self.ran.append(Ran("threads", process.pid, life, (program.name,), status))
        self.ran.append(Ran("late", int(output), Life("not-the-leader", "wit-late"), ("wit-late",)))

    def _link(self, name: str, program: str = "true") -> Path:
        link = self._folder / name
        target = shutil.which(program)
        assert target, f"this machine has no {program}"
        link.symlink_to(target)
        return link

    def _fork(self, name: bytes, code: int, act: Callable[[], object] = lambda: None) -> int:
        """Forks a child that takes a name and exits."""
        pid = os.fork()
        if pid == 0:
            try:
                self._libc.prctl(_PR_SET_NAME, name, 0, 0, 0)
                act()
            finally:
                os._exit(code)
        return pid

    def _sh(self, script: str) -> str:
        """Runs a shell; returns its output."""
        shell = subprocess.Popen(
            ["/bin/sh", "-c", script], cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        output, _ = shell.communicate(timeout=DEADLINE_SECONDS)
        status = shell.returncode << 8
        self.ran.append(Ran("shell", shell.pid, Life(self._name, "sh"), ("sh",), status))
        return output


# The three accounts


def witness_account(lines: Sequence[dict[str, Any]]) -> Account:
    """Returns the account of the witness. It has only pids, so lives are separated by their order.

    Forks of threads have no end, and are dropped here.
    """
    account = Account()
    born: dict[int, str] = {}
    for line in lines:
        pid = line["pid"]
        if line["event"] == "F":
            born[pid] = line["comm"]
        else:
            account.lives[pid].append(Life(born.pop(pid, None), line["comm"]))
    return account


def stream_account(lines: Sequence[dict[str, Any]]) -> Account:
    """Returns the account of `webpf stream`. Each event has the start of its process: pid and start identify it."""
    account = Account()
    born: dict[tuple[int, int], str] = {}
    programs: dict[tuple[int, int], list[str]] = defaultdict(list)
    for line in lines:
        pid = line["pid"]
        process = (pid, line["start_ns"])
        if line["event"] == "F":
            born[process] = line["comm"]
        elif line["event"] == "X":
            programs[process].append(line["comm"])
        else:
            account.lives[pid].append(Life(born.get(process), line["comm"]))
            account.programs[pid].append(tuple(programs[process]))
            account.statuses[pid].append(line["status"])
    return account


ACCOUNTS = {"witness": witness_account, "stream": stream_account}


def between(lines: list[dict[str, Any]], begin: int, end: int) -> list[dict[str, Any]]:
    """Returns the lines from the end of one process to the fork of another."""
    first = next(n for n, line in enumerate(lines) if (line["event"], line["pid"]) == ("E", begin))
    last = max(n for n, line in enumerate(lines) if (line["event"], line["pid"]) == ("F", end))
    return lines[first + 1 : last]


def table_account(db: Path) -> Account:
    """Returns the account of the recording: rows of processes that ended, with their forks and programs."""
    account = Account()
    with closing(connect(db)) as connection:
        programs: dict[int, list[str]] = defaultdict(list)
        for process, comm in connection.execute("SELECT process_id, comm FROM programs ORDER BY id"):
            programs[process].append(comm)
        rows = connection.execute(
            "SELECT p.id, p.pid, f.comm, p.comm, p.status FROM processes p LEFT JOIN forks f ON f.process_id = p.id"
            " WHERE p.state = 'exited' ORDER BY p.id"
        )
        for process, pid, born, died, status in rows:
            account.lives[pid].append(Life(born, died))
            account.programs[pid].append(tuple(programs[process]))
            account.statuses[pid].append(status)
    return account


# The trial


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Builds the witness and returns its command. The last two words are the program and its BPF object."""
    reason = why_there_is_no_witness()
    if reason:
        pytest.skip(reason)
    out = tmp_path_factory.mktemp("witness")
    make = ["make", "-C", str(PROJECT / "tests" / "witness"), f"OUT={out}"]
    built = subprocess.run(make, capture_output=True, text=True, check=False, timeout=120)
    assert built.returncode == 0, built.stderr
    return [*([] if sees_tracepoints([]) else TRACEFS), str(out / "witness"), str(out / "witness.bpf.o")]


def why_there_is_no_witness() -> str | None:
    """Returns what this machine lacks to build the witness and run it; None if nothing."""
    missing = [program for program in ("make", "cc", "clang", "bpftool") if not shutil.which(program, path=SBIN)]
    if missing:
        return f"the second witness needs {', '.join(missing)}"
    bpftool = shutil.which("bpftool", path=SBIN) or "bpftool"
    # On Ubuntu, it can be a script that only names the package with the real program.
    if subprocess.run([bpftool, "version"], capture_output=True, check=False).returncode:
        return "the second witness needs bpftool for this kernel"
    source = "#include <bpf/libbpf.h>\n#if LIBBPF_MAJOR_VERSION < 1\n#error old\n#endif\nint main(void) { return 0; }"
    compiler = ["cc", "-x", "c", "-", "-o", os.devnull, "-lbpf", "-lelf", "-lz"]
    if subprocess.run(compiler, input=source, text=True, capture_output=True, check=False).returncode:
        return "the second witness needs libbpf-dev 1.0 or newer, libelf-dev and zlib1g-dev"
    if not sees_tracepoints([]) and not sees_tracepoints(TRACEFS):
        return "the second witness needs tracefs: mount -t tracefs tracefs /sys/kernel/tracing"
    return None


def sees_tracepoints(prefix: list[str]) -> bool:
    """Returns whether a program that is started by this command sees tracefs, where libbpf reads tracepoint ids.

    webpf doesn't need it: raw tracepoints are attached by name.
    """
    places = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
    look = "; ".join(f"ls {place}/events/sched && exit 0" for place in places)
    return not subprocess.run([*prefix, "sh", "-c", f"{look}; exit 1"], capture_output=True, check=False).returncode


def saw_all(watchers: dict[str, Watcher], pids: Sequence[int]) -> bool:
    """Returns whether each watcher has reported all events of one of these processes."""
    return watchers["witness"].saw(pids, {"F", "E"}) and watchers["stream"].saw(pids, {"F", "X", "E"})


@pytest.fixture(scope="module")
def trial(witness: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """One workload that runs while all three watch."""
    folder = tmp_path_factory.mktemp("trial")
    with ExitStack() as stack:
        watchers = {
            "witness": Watcher(witness, folder / "by-witness"),
            "stream": Watcher([*webpf_command(), "stream"], folder / "by-stream"),
        }
        for watcher in watchers.values():
            stack.callback(watcher.end)
        recorder = Recorder(folder / "webpf.db", ["--quiet"])
        stack.callback(recorder.end)
        workload = Workload(folder)
        recorder.wait_until_recording()
        marks: list[int] = []

        def all_watch() -> bool:
            marks.append(workload.mark())
            return saw_all(watchers, marks)

        wait_until(all_watch, "nobody watches")
        workload.run()
        end = workload.mark()
        # An event can have reached one watcher, and not yet the next, on a CPU that a virtual machine's host stopped.
        last = [end, *workload.marks_on_each_cpu()]
        wait_until(lambda: all(saw_all(watchers, [mark]) for mark in last), "the end of the workload was not seen")
        codes = {name: watcher.end() for name, watcher in watchers.items()}
        codes["table"], errors = recorder.end()
        assert not errors
        lines = {name: watcher.lines() for name, watcher in watchers.items()}
        accounts = {name: ACCOUNTS[name](lines[name]) for name in ACCOUNTS}
        meanwhile = {name: ACCOUNTS[name](between(lines[name], marks[-1], end)) for name in ACCOUNTS}
        accounts["table"] = table_account(folder / "webpf.db")
        yield Trial(workload.ran, accounts, meanwhile, watchers, codes)


TELLERS = ("witness", "stream", "table")


@pytest.mark.parametrize("teller", TELLERS)
def test_every_process_has_one_life_under_the_right_names(trial: Trial, teller: str) -> None:
    account = trial.accounts[teller]
    assert len(trial.workload) > SPAWNS + FORKS + len(NAMES)
    wrong = {
        (ran.what, ran.pid): (ran.life, account.of(ran)) for ran in trial.workload if account.of(ran) != [ran.life]
    }
    assert not wrong, f"pid: (what it was, what {teller} says)"


@pytest.mark.parametrize(("one", "other"), [(one, other) for one in ACCOUNTS for other in TELLERS if one != other])
def test_all_saw_the_same_processes_of_the_machine(trial: Trial, one: str, other: str) -> None:
    """Compares all processes of the machine that started and ended while all three watched."""
    seen = {(pid, life) for pid, life in trial.meanwhile[one].each() if life.born is not None}
    assert len(seen) >= len(trial.workload)
    assert not seen - set(trial.accounts[other].each())


@pytest.mark.parametrize("teller", ["stream", "table"])
def test_execs_name_the_programs(trial: Trial, teller: str) -> None:
    """Exec events name each program of a process in order, which the name in its fork event doesn't."""
    account = trial.accounts[teller]
    wrong = {
        (ran.what, ran.pid): (ran.programs, account.programs[ran.pid])
        for ran in trial.workload
        if ran.programs not in account.programs[ran.pid]
    }
    assert not wrong


def test_the_fork_says_shell_and_the_exec_says_a_out(trial: Trial) -> None:
    ran = next(ran for ran in trial.workload if ran.what == "a.out")
    lines = [line for line in trial.watchers["stream"].lines() if line["pid"] == ran.pid]
    start = next(line["start_ns"] for line in lines if line["comm"] == "a.out")
    told = [(line["event"], line["comm"]) for line in lines if line["start_ns"] == start]
    assert told == [("F", "sh"), ("X", "a.out"), ("E", "a.out")]


@pytest.mark.parametrize("watcher", ACCOUNTS)
def test_a_process_ends_with_its_last_thread_not_its_first(trial: Trial, watcher: str) -> None:
    ends = [(line["pid"], line["comm"]) for line in trial.watchers[watcher].lines() if line["event"] == "E"]
    threads, late = ((ran.pid, ran.life.died) for ran in trial.workload if ran.what in ("threads", "late"))
    assert ends.count(threads) == 1
    assert ends.index(threads) > ends.index(late)


@pytest.mark.parametrize("teller", ["stream", "table"])
def test_statuses_are_those_of_wait(trial: Trial, teller: str) -> None:
    account = trial.accounts[teller]
    ours = [ran for ran in trial.workload if ran.status is not None]
    assert {ran.status for ran in ours} >= {0, 1 << 8, 5 << 8, 7 << 8, 127 << 8, signal.SIGKILL}
    wrong = {
        (ran.what, ran.pid): (ran.status, account.statuses[ran.pid])
        for ran in ours
        if ran.status not in account.statuses[ran.pid]
    }
    assert not wrong


def test_the_stream_is_json_lines_and_nothing_else(trial: Trial) -> None:
    output = trial.watchers["stream"].output
    assert output.endswith(b"\n")
    for line in output.decode("ascii").split("\n")[:-1]:
        event = json.loads(line)
        assert list(event)[:3] == ["event", "pid", "comm"], line
        assert event["event"] in ("F", "X", "E"), line
        assert type(event["pid"]) is int and type(event["comm"]) is str, line


def test_all_three_end_well(trial: Trial) -> None:
    """No watcher reports lost events."""
    assert trial.codes == dict.fromkeys(TELLERS, 0)
    told = {name: watcher.errors for name, watcher in trial.watchers.items()}
    assert told == {"witness": "ready\n", "stream": "webpf: streaming, until Ctrl-C\n"}


def test_a_witness_that_cannot_see_says_so(witness: list[str], tmp_path: Path) -> None:
    program = witness[-2]
    blind = subprocess.run(
        [program, tmp_path / "missing.bpf.o"], capture_output=True, text=True, check=False, timeout=20
    )
    assert (blind.returncode, blind.stdout) == (1, "")
    assert "missing.bpf.o" in blind.stderr
    assert "ready" not in blind.stderr
