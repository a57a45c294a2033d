"""`webpf record -- COMMAND` runs the command as it runs without webpf. truth/test_following.py tests its recording."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_disks import small_disk
from support import DEADLINE_SECONDS, disposition, status_of, wait_until, webpf_command

from webpf.capture.recorder import DRAIN_SECONDS

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
Query = Callable[..., list[dict[str, Any]]]
Start = Callable[..., Any]

pytestmark = pytest.mark.kernel
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change users and to mount")

PROCESSES = "SELECT * FROM processes WHERE recording_id = (SELECT max(id) FROM recordings) ORDER BY id"


def popen(db: Path, *command: str, options: tuple[str, ...] = (), **how: Any) -> subprocess.Popen[str]:
    """Starts `webpf record -- COMMAND` and doesn't wait for it."""
    line = [*webpf_command(), "record", "--db", str(db), *options, "--", *command]
    return subprocess.Popen(line, text=True, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how})


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
def test_the_exit_code_is_the_commands(script: str, code: int, webpf: Webpf, query: Query) -> None:
    ended = webpf("record", "--", "/bin/sh", "-c", script)
    assert ended.returncode == code
    assert ended.stdout == ""
    assert "complete, no event was lost" in ended.stderr
    (row,) = query(PROCESSES)
    assert (row["comm"], row["execs"], row["state"]) == ("sh", 1, "exited")
    assert row["exit_code"] == (code if code < 128 or code == 255 else None)


def test_commands_that_cant_be_run(webpf: Webpf, tmp_path: Path) -> None:
    """Exit codes as in a shell: 127 if there is no such file, 126 if it is not a program. No recording is made."""
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    for command, code in (("no-such-command", 127), ("./nothing", 127), (str(plain), 126), ("/etc", 126)):
        ended = webpf("record", "--", command)
        assert (ended.returncode, len(ended.stderr.splitlines())) == (code, 1), ended.stderr
        assert command in ended.stderr
    assert not (tmp_path / "webpf.db").exists()


def test_dashes_without_a_command(webpf: Webpf, tmp_path: Path) -> None:
    """For example from an empty $COMMAND: this must not start a recording of the whole machine."""
    for arguments in (["--"], ["--as-root", "--"], ["--db", "other.db", "--"]):
        ended = webpf("record", *arguments)
        assert (ended.returncode, len(ended.stderr.splitlines())) == (64, 1), ended.stderr
        assert "no command" in ended.stderr
    assert not list(tmp_path.glob("*.db"))
    for command in (["--", "echo", "--"], ["echo", "--"]):
        ended = webpf("record", "-q", *command)
        assert (ended.returncode, ended.stdout) == (0, "--\n"), ended.stderr


def test_a_script_whose_interpreter_doesnt_exist(webpf: Webpf, query: Query, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    ended = webpf("record", "--", str(script))
    assert ended.returncode == 127
    assert "interpreter" in ended.stderr
    assert query("SELECT status FROM recordings") == [{"status": "complete"}]


def test_a_script_without_an_interpreter(webpf: Webpf, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo from $0 $1\nexit 5\n")
    script.chmod(0o755)
    ended = webpf("record", "--", str(script), "an argument")
    assert (ended.returncode, ended.stdout) == (5, f"from {script} an argument\n")


@pytest.mark.parametrize(
    "options",
    [
        ["--duration", "1", "--", "true"],
        ["--pid", "1", "--", "true"],
        ["--all"],
        ["--as-root"],
        ["--own-cgroup"],
        ["--own-cgroup", "--all", "--", "true"],
        ["--uid", "root", "--", "true"],
        ["--comm", "sh", "--", "true"],
        ["--min-lifetime", "1", "--", "true"],
        ["--min-lifetime", "0"],
        ["--min-lifetime", "1", "--pid", "1"],
        ["--comm", ""],
        ["--uid", "no-such-user"],
        ["--uid", "-1"],
    ],
)
def test_options_that_cant_be_combined(options: list[str], webpf: Webpf) -> None:
    ended = webpf("record", *options)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (64, 1)


def test_all_records_the_whole_machine(webpf: Webpf, query: Query, tmp_path: Path) -> None:
    program = shutil.copy("/bin/true", tmp_path / "own-true")  # others may start /bin/true meanwhile
    assert webpf("record", "-q", "--all", "--", program).returncode == 0
    rows = query(PROCESSES)
    assert {1, os.getpid()} <= {row["pid"] for row in rows}
    assert [row["state"] for row in rows if row["comm"] == "own-true"] == ["exited"]


def test_input_output_environment_and_files(tmp_path: Path) -> None:
    """The command has the same input, output, environment, folder and inherited files as without webpf."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    script = f"cat; env | sort >&2; pwd; echo through > /proc/self/fd/{writer}"
    with popen(
        tmp_path / "webpf.db", "/bin/sh", "-c", script, options=("-q",), stdin=subprocess.PIPE, pass_fds=[writer],
        env={"PATH": os.environ["PATH"], "ODD": "a\nb"}, cwd=tmp_path,
    ) as recorder:  # fmt: skip
        out, errors = recorder.communicate("given\n", timeout=DEADLINE_SECONDS)
    os.close(writer)
    assert out == f"given\n{tmp_path}\n"
    variables = {line.partition("=")[0] for line in errors.splitlines()} - {"PWD", "_", "OLDPWD", "SHLVL"}
    assert variables == {"PATH", "ODD", "b"}
    assert os.read(reader, 100) == b"through\n"
    os.close(reader)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_signals_go_to_the_command(number: signal.Signals, tmp_path: Path) -> None:
    """webpf forwards a signal to the command; the recording ends when the command has ended."""
    script = f"trap 'echo got; exit 9' {number.value}; echo ready; while :; do sleep 0.05; done"
    with disposition(number, signal.SIG_DFL), popen(tmp_path / "webpf.db", "/bin/sh", "-c", script) as recorder:
        assert recorder.stdout is not None
        assert recorder.stdout.readline() == "ready\n"
        recorder.send_signal(number)
        out, errors = recorder.communicate(timeout=DEADLINE_SECONDS)
    assert (recorder.returncode, out) == (9, "got\n")
    assert "complete" in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_signals_that_come_at_any_moment(number: signal.Signals, tmp_path: Path) -> None:
    """After an early signal the command isn't started; later the command gets the signal. It never runs on alone."""
    for delay in (0, 0.2, 0.4, 0.7):
        with disposition(number, signal.SIG_DFL), popen(tmp_path / "webpf.db", "/bin/sleep", "600") as recorder:
            wait_until(lambda: has_blocked(recorder.pid, number), "Python doesn't start")
            time.sleep(delay)
            recorder.send_signal(number)
            if number == signal.SIGUSR1:  # not a stop signal: it is ignored before the command starts
                time.sleep(0.1)
                recorder.send_signal(signal.SIGTERM)
            _, errors = recorder.communicate(timeout=DEADLINE_SECONDS)
        assert recorder.returncode in (128 + number, 128 + signal.SIGTERM), errors
        assert "Traceback" not in errors
        assert not left_alone(b"/bin/sleep\x00600\x00", recorder.pid)


def has_blocked(pid: int, number: int) -> bool:
    """Whether a process has blocked this signal."""
    return bool(int(status_of(pid)["SigBlk"], 16) >> (number - 1) & 1)


def left_alone(command_line: bytes, pid: int) -> list[int]:
    """Returns the processes with this command line whose parent is this pid or has ended."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            same = (folder / "cmdline").read_bytes() == command_line
            # Bytes, because another process of the machine may have any name.
            above = int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1])
        except OSError:
            continue
        if same and above in (1, pid):
            pids.append(int(folder.name))
    return pids


@pytest.mark.parametrize(
    "script",
    [
        "import os; os.closerange(0, 1000); os._exit(9)",
        "import os; os.setsid(); os._exit(9)",
        "import os; os.fork() or os._exit(0); os._exit(9)",
        "import os, signal as s; [s.signal(n, s.SIG_IGN) for n in (1, 2, 3, 15)]; os.kill(os.getpid(), 2); os._exit(9)",
        pytest.param("import os; os.setuid(65534); os._exit(9)", marks=is_root),
    ],
)
def test_odd_commands(script: str, webpf: Webpf, query: Query) -> None:
    """Commands that close all files, leave the session, leave a child behind, ignore signals, or change the user."""
    ended = webpf("record", "--", sys.executable, "-c", script)
    assert ended.returncode == 9
    assert "complete, no event was lost" in ended.stderr
    assert query(PROCESSES)[0]["exit_code"] == 9


def test_ignored_signals_stay_ignored(tmp_path: Path) -> None:
    """For example under nohup, or in the background of a script."""
    with disposition(signal.SIGINT, signal.SIG_IGN):
        recorder = popen(tmp_path / "webpf.db", "/bin/sh", "-c", "grep SigIgn /proc/self/status", options=("-q",))
    out, _ = recorder.communicate(timeout=DEADLINE_SECONDS)
    assert int(out.split()[1], 16) >> (signal.SIGINT - 1) & 1


class Terminal:
    """A program in its own terminal."""

    def __init__(self, line: list[str], folder: Path) -> None:
        self.shown = b""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execv(line[0], line)

    def write(self, text: bytes) -> None:
        """Types a text."""
        os.write(self._terminal, text)

    def wait_for(self, text: bytes) -> None:
        """Waits until the program has printed a text."""

        def has_shown() -> bool:
            if select.select([self._terminal], [], [], 0.1)[0]:
                self.shown += os.read(self._terminal, 1000)
            return text in self.shown

        wait_until(has_shown, f"{text!r} isn't shown")

    def end(self) -> int:
        """Waits until the program has ended. Returns the exit code."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(status)


def test_ctrl_c_at_a_terminal_reaches_the_command_once(tmp_path: Path) -> None:
    script = "trap 'echo interrupted' INT; echo ready; sleep 0.1; while [ ! -e end ]; do sleep 0.1; done; exit 4"
    line = [*webpf_command(), "record", "-q", "--db", str(tmp_path / "webpf.db"), "--", "/bin/sh", "-c", script]
    terminal = Terminal(line, tmp_path)
    terminal.wait_for(b"ready")
    terminal.write(b"\x03")
    terminal.wait_for(b"interrupted")
    (tmp_path / "end").touch()
    assert terminal.end() == 4
    assert terminal.shown.count(b"interrupted") == 1


def test_ctrl_z_and_fg(tmp_path: Path) -> None:
    """webpf and the command stop and continue together, as any job of a shell."""
    terminal = Terminal(["/bin/bash", "--norc", "-i"], tmp_path)
    line = shlex.join(
        [*webpf_command(), "record", "--", "/bin/sh", "-c", "echo rea''dy; read word; echo $word$word; exit 8"]
    )
    terminal.write(f"{line}\n".encode())
    terminal.wait_for(b"ready")
    terminal.write(b"\x1a")
    terminal.wait_for(b"Stopped")
    terminal.write(b"fg\n")
    terminal.wait_for(b"webpf record --")
    terminal.write(b"go\n")
    terminal.wait_for(b"gogo")
    terminal.wait_for(b"no event was lost")
    terminal.write(b"exit $?\n")
    assert terminal.end() == 8


@is_root
def test_a_recorder_that_fails_doesnt_affect_the_command(tmp_path: Path) -> None:
    """The disk gets full: webpf prints a message, and the command runs to its end."""
    with small_disk(tmp_path / "small", "600k") as folder:
        script = "i=0; while [ $i -lt 3000 ]; do /bin/true; i=$((i+1)); done; echo done; exit 6"
        with popen(folder / "webpf.db", "/bin/sh", "-c", script) as recorder:
            out, errors = recorder.communicate(timeout=3 * DEADLINE_SECONDS)
        assert (recorder.returncode, out) == (6, "done\n")
        *waits, last = errors.splitlines()
        assert "disk is full; what was committed before is kept" in last
        assert all("had no room" in line for line in waits)  # once, if the loop takes more than 5 s


@is_root
def test_under_sudo_the_command_runs_as_the_user(webpf: Webpf, tmp_path: Path) -> None:
    """It has the ids and groups of the user that called sudo; with --as-root, those of root."""
    sudo_variables = {"SUDO_UID": "65534", "SUDO_GID": "65534", "SUDO_USER": "nobody"}
    ids = ("/bin/sh", "-c", "id -u; id -g; id -G; grep Cap.ff /proc/self/status")
    ended = webpf("record", "-q", "--", *ids, env=sudo_variables)
    assert ended.stdout.splitlines()[:3] == ["65534", "65534", "65534"], ended.stderr
    assert ended.stdout.splitlines()[3].split()[1].strip("0") == ""
    assert webpf("record", "-q", "--as-root", "--", *ids, env=sudo_variables).stdout.splitlines()[0] == "0"


@is_root
@pytest.mark.skipif(shutil.which("sudo") is None, reason="no sudo")
def test_under_sudo_the_command_has_the_users_environment(tmp_path: Path) -> None:
    """sudo doesn't pass it to webpf, but the process sudo has it."""
    line = [*webpf_command(), "record", "-q", "--db", str(tmp_path / "webpf.db"), "--", "env"]
    environment = {"PATH": f"/odd:{os.environ['PATH']}", "ODD": "1", "HOME": "/odd"}
    ended = subprocess.run(["sudo", *line], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert dict(each.split("=", 1) for each in ended.stdout.splitlines()) == environment


@pytest.mark.parametrize("pid", ["0", "-3", "4194305"])
def test_a_pid_without_a_process(pid: str, webpf: Webpf) -> None:
    ended = webpf("record", "--pid", pid)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (66, 1)


def test_the_summary_of_a_command(webpf: Webpf) -> None:
    script = "(sleep 600 > /dev/null 2>&1 &); sleep 0.05; /bin/sh -c 'exit 3'; exit 2"
    errors = webpf("record", "--", "/bin/sh", "-c", script).stderr
    left = re.search(r"sleep 600 \(pid (\d+)\)", errors)
    assert left is not None
    os.kill(int(left[1]), signal.SIGKILL)
    first, *lines = errors.splitlines()
    assert first.startswith("webpf: sh -c '(sleep 600 > /dev/null ")
    assert ": exit 2 after " in first
    assert "5 processes; CPU " in first
    assert any(line.startswith("webpf: slowest (time without a living child): sleep 0.05 ") for line in lines)
    (failed,) = (line for line in lines if line.startswith("webpf: failed: "))  # the command too
    assert failed.startswith("webpf: failed: 2, first: sh -c 'exit 3' (exit 3); sh -c '(sleep 600 > ")
    assert failed.endswith("(exit 2)")
    assert any(line.startswith("webpf: STILL RUNNING: 1: sleep 600 (pid ") for line in lines)
    assert not any(line.startswith("webpf: most memory") and ": sh -c '(" in line for line in lines)


def test_what_failed_last_and_in_what(webpf: Webpf) -> None:
    """A failure that the shell ignores isn't it, though it comes later in the list of what failed first."""
    inner = "sh -c 'exit 7' || true; sh -c 'exit 5'; exit 3"
    errors = webpf("record", "--", "/bin/sh", "-ec", f"sh -c 'exit 9' || sleep 0; sh -c {shlex.quote(inner)}").stderr
    (line,) = (line for line in errors.splitlines() if "likely cause" in line)
    assert re.fullmatch(r"webpf: likely cause: sh -c 'exit 5' \(exit 5\), in sh -c .* \(exit 3\)", line), errors
    assert "likely cause" not in webpf("record", "--", "/bin/sh", "-c", "sh -c 'exit 9'; exit 0").stderr
    assert "likely cause" not in webpf("record", "--", "/bin/false").stderr


def test_quiet_prints_nothing(webpf: Webpf) -> None:
    ended = webpf("record", "-q", "--", "/bin/true")
    assert (ended.stdout, ended.stderr) == ("", "")


def test_the_commands_own_options(webpf: Webpf) -> None:
    """Options after the command belong to the command, with or without -- before it."""
    assert webpf("record", "-q", "echo", "--db", "-h").stdout == "--db -h\n"
    assert webpf("record", "-q", "--", "echo", "--", "-q").stdout == "-- -q\n"


def test_the_recording_ends_at_once(webpf: Webpf, query: Query) -> None:
    """It ends before the next drain of the ring buffer: a descriptor wakes the recorder."""
    for _ in range(3):
        webpf("record", "-q", "--", "/bin/true")
    waited = query("""SELECT min(r.ended_ns - p.end_ns) AS ns FROM recordings AS r
        JOIN processes AS p ON p.recording_id = r.id
        JOIN commands AS c ON c.id = p.command_id AND c.args = '/bin/true'""")
    assert waited[0]["ns"] / 1e9 < DRAIN_SECONDS / 2
