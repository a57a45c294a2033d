"""Modes that can't be changed, limits on processes, and Ctrl-C: each gives one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from story import BUILD
from support import DEADLINE_SECONDS, make_recording, webpf_command

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


# Installs a filter of system calls (seccomp(2)) that refuses these, as FAT and others do, and then runs a program.
REFUSING = """
import ctypes, errno, os, platform, struct, sys
names = {"x86_64": (90, 91, 92, 93, 94, 260, 268), "aarch64": (52, 53, 54, 55)}  # chmod and chown, of all kinds
numbers = names[platform.machine()]
code = [(0x20, 0, 0, 0)]  # the number of the system call
code += [(0x15, len(numbers) - i, 0, number) for i, number in enumerate(numbers)]
code += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050000 | errno.EPERM)]  # allow, refuse
program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in code))
filter = struct.pack("HxxxxxxP", len(code), ctypes.addressof(program))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, filter, 0, 0):
    sys.exit(99)
try:
    os.chmod(sys.argv[1], 0o777)
except PermissionError:
    os.execv(sys.argv[2], sys.argv[2:])
sys.exit(99)
"""


def refusing(arguments: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Calls webpf so that chmod() and chown() fail."""
    answer = subprocess.run(
        [sys.executable, "-c", REFUSING, str(folder), *webpf_command(), *arguments],
        cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if answer.returncode == 99:
        pytest.skip("no filter of system calls to be had here")
    return answer


@pytest.mark.kernel
@pytest.mark.parametrize("sudo", [{}, {"SUDO_UID": "65534", "SUDO_GID": "65534"}], ids=["root", "sudo"])
def test_a_new_file_whose_mode_and_owner_stay(sudo: dict[str, str], tmp_path: Path) -> None:
    """A new file is private from the start, so webpf records into it."""
    answer = refusing(["record", "--quiet", "--duration", "0.2"], tmp_path, **sudo)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert [(path.name, path.stat().st_mode & 0o777) for path in tmp_path.iterdir()] == [("webpf.db", 0o600)]


@pytest.mark.kernel
def test_a_file_that_others_can_read_stays_empty(tmp_path: Path) -> None:
    """A recording holds secrets, so webpf doesn't write it into a file whose mode it can't restrict."""
    path = tmp_path / "webpf.db"
    path.touch()
    path.chmod(0o644)
    answer = refusing(["record", "--duration", "0.2"], tmp_path)
    assert answer.returncode == 73
    [line] = answer.stderr.splitlines()
    assert "webpf.db could be read by other users, and that can't be changed" in line
    assert path.stat().st_size == 0


@pytest.fixture
def one_process() -> Iterator[Path]:
    """A cgroup that may hold one process only."""
    folder = next((place for place in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")) if place.is_dir()), None)
    if os.geteuid() != 0 or folder is None:
        pytest.skip("needs root and cgroups")
    made = folder / f"webpf-test-{os.getpid()}"
    made.mkdir()
    try:
        if not (made / "pids.max").exists():
            pytest.skip("no controller for pids")
        (made / "pids.max").write_text("1")
        yield made
    finally:
        made.rmdir()


COMMANDS = {
    "browse": ["browse", "--no-open"],
    "tree": ["tree"],
    "query": ["query", "lifetimes"],
    "verify": ["verify"],
    "export": ["export", "-o", "out"],
    "doctor": ["doctor"],
    "record": ["record", "--duration", "0.2"],
    "command": ["record", "--", "true"],
}


@pytest.mark.kernel
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_no_more_processes(command: list[str], one_process: Path, tmp_path: Path) -> None:
    make_recording(tmp_path / "webpf.db", BUILD)
    script = f'echo $$ > {one_process}/cgroup.procs && exec "$@"'
    answer = subprocess.run(
        ["sh", "-c", script, "sh", *webpf_command(), *command],
        cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    assert "Traceback" not in answer.stderr and "Exception" not in answer.stderr, answer.stderr
    assert answer.returncode in (0, 69, 71), answer.stderr
    if answer.returncode:
        assert len(answer.stderr.splitlines()) == 1 or command == ["doctor"]


def test_ctrl_c_while_a_query_runs(tmp_path: Path) -> None:
    """At any moment from the first import to the last row, the exit code is 130, and nothing else is written."""
    make_recording(tmp_path / "webpf.db", BUILD)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for step in range(12):
            process = subprocess.Popen(
                [*webpf_command(), "query", "lifetimes", "--format", "csv"],
                cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            with process:
                try:
                    process.wait(0.1 + step * 0.03)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=DEADLINE_SECONDS)
            if "init_import_site" in errors:  # the interpreter itself had not begun yet
                continue
            assert process.returncode in (0, 130, -signal.SIGINT), errors
            assert "webpf" not in errors.lower() or process.returncode == -signal.SIGINT, errors
    finally:
        signal.signal(signal.SIGINT, before)
