"""Time namespaces: webpf reads the kernel's own boot clock, in whatever namespace recorder and reader are.

The expected values come from the offset that util-linux's unshare sets, from wait4(), and from this process, which is
in the first time namespace.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fates import Query
from support import DEADLINE_SECONDS, MS, PROCESSES, webpf_command

from webpf.host import clock, liveness, procfs

OFFSETS = (100_000, -200, 0, 1_000_000_000)
"""In seconds. With the second, the first processes of the machine started before time 0 of the namespace."""

MODULES = {"clock": clock, "procfs": procfs, "liveness": liveness}
IMPORTS = " ".join(f"import {module.__name__} as {name};" for name, module in MODULES.items())
SETUP = f"import sys; sys.path[:0] = sys.argv[1:]; {IMPORTS}"
SHOW = "print(clock.boot_ns(), procfs.read_stat(1).start_ns, procfs.read_stat({}).start_ns)"
UNSHARE = "import ctypes, pathlib; assert ctypes.CDLL(None).unshare(0x80) == 0;"  # CLONE_NEWTIME


def can_unshare() -> bool:
    """Whether this machine can make a time namespace."""
    unshare = shutil.which("unshare")
    return bool(unshare) and subprocess.run([str(unshare), "-T", "true"], check=False).returncode == 0


pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not can_unshare(), reason="no time namespace can be made here")


def shifted(seconds: int) -> list[str]:
    """Returns the words before a command that run it in a time namespace with this offset."""
    return ["unshare", "-T", "--boottime", str(seconds), "--monotonic", str(seconds)]


def possible(seconds: int) -> int:
    """Returns the offset, or the lowest that the uptime of this machine allows."""
    return max(seconds, 1 - int(time.clock_gettime(time.CLOCK_MONOTONIC)))


def run_python(code: str, *before: str) -> list[int]:
    """Runs code in another Python, with `before` before its command line; returns the numbers that it prints."""
    line = [*before, sys.executable, "-c", SETUP + code, *sys.path]
    return [int(word) for word in subprocess.run(line, check=True, capture_output=True, text=True).stdout.split()]


def match_kernel(values: list[int], before_ns: int) -> bool:
    """Whether boot time, start of init and start of this process, from another process, are what is read here."""
    now, init, own = values
    here = [int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]) for pid in (1, os.getpid())]
    is_now = before_ns - MS <= now <= time.clock_gettime_ns(time.CLOCK_BOOTTIME) + MS
    return is_now and all(abs(a - b * 10 * MS) < 10 * MS for a, b in zip((init, own), here, strict=True))


@pytest.mark.parametrize("seconds", OFFSETS)
def test_the_clock_is_the_kernels_own(seconds: int) -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert match_kernel(run_python(SHOW.format(os.getpid()), *shifted(possible(seconds))), before)


@pytest.mark.parametrize("outer", [0, 5_000])
def test_a_process_that_made_a_namespace_for_its_children(outer: int) -> None:
    """/proc shows the offset of the children's namespace, although the process is still in its own."""
    make = UNSHARE + "pathlib.Path('/proc/self/timens_offsets').write_text('boottime 777 500000000\\n');"
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert match_kernel(run_python(make + SHOW.format(os.getpid()), *shifted(outer)), before)


def test_a_child_in_another_namespace_has_its_own_offset() -> None:
    """The offset that was cached before the fork is wrong in the child."""
    make = UNSHARE + "pathlib.Path('/proc/self/timens_offsets').write_text('boottime 777 0\\n'); import os;"
    code = f"clock.boot_ns(); {make} pid = os.fork(); pid or {SHOW.format(os.getpid())}; pid and os.waitpid(pid, 0)"
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert match_kernel(run_python(code), before)


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ("monotonic           5         0\nboottime       100000         7\n", 100_000 * 1000 * MS + 7),
        ("monotonic           0         0\nboottime           -1 500000000\n", -500 * MS),
        ("", 0),
    ],
)
def test_offsets_as_the_kernel_writes_them(offsets: str, expected: int) -> None:
    assert clock.parse_offset(offsets) == expected


@pytest.mark.kernel
@pytest.mark.parametrize("seconds", OFFSETS)
def test_a_recorder_in_a_time_namespace(seconds: int, tmp_path: Path, query: Query) -> None:
    """Exit codes and times are as its caller sees them outside, and so is the start of an older process."""
    before = time.time_ns()
    line = [
        *webpf_command(),
        "record",
        "--all",
        "--db",
        str(tmp_path / "webpf.db"),
        "--",
        "sh",
        "-c",
        "sleep 0.2; exit 5",
    ]
    ended = subprocess.run([*shifted(possible(seconds)), *line], check=False, capture_output=True, text=True)
    after = time.time_ns()
    assert (ended.returncode, "complete, no event was lost" in ended.stderr) == (5, True), ended.stderr
    (shell,) = query(f"SELECT * FROM {PROCESSES} WHERE args = $args", "sh -c 'sleep 0.2; exit 5'")
    (sleep,) = query("SELECT * FROM processes WHERE parent_id = ?", shell["id"])
    assert (shell["exit_code"], sleep["exit_code"], sleep["comm"]) == (5, 0, "sleep")
    assert before - MS < shell["start_ns"] < sleep["start_ns"] < sleep["end_ns"] < shell["end_ns"] < after + MS
    assert 200 * MS <= sleep["lifetime_ns"] < shell["lifetime_ns"] < 1000 * MS
    (own,) = query("SELECT * FROM processes WHERE pid = ?", os.getpid())
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) * 10 * MS
    to_unix = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert abs(own["start_ns"] - started - to_unix) < 11 * MS


@pytest.mark.kernel
@pytest.mark.parametrize("inside", ["recorder", "reader"])
def test_a_reader_in_another_namespace_sees_that_a_recording_goes_on(inside: str, tmp_path: Path) -> None:
    recorder_in, reader_in = ([0], [12_345]) if inside == "reader" else ([12_345], [0])
    line = [
        *shifted(recorder_in[0]),
        *webpf_command(),
        "record",
        "--duration",
        "60",
        "--db",
        str(tmp_path / "webpf.db"),
    ]
    recorder = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    assert recorder.stderr is not None
    assert "recording 1 goes to" in recorder.stderr.readline()
    read = [
        *shifted(reader_in[0]),
        *webpf_command(),
        "recordings",
        "--db",
        str(tmp_path / "webpf.db"),
        "--format",
        "csv",
    ]

    def list_recordings() -> str:
        return subprocess.run(read, check=True, capture_output=True, text=True).stdout

    try:
        assert "recording" in list_recordings() and "interrupted" not in list_recordings()
    finally:
        recorder.kill()
        recorder.wait()
    assert "interrupted" in list_recordings()


@pytest.mark.kernel
def test_the_duration_is_the_same_in_a_time_namespace(tmp_path: Path, query: Query) -> None:
    line = [*webpf_command(), "record", "--duration", "1", "--db", str(tmp_path / "webpf.db")]
    subprocess.run([*shifted(possible(-200)), *line], check=True, capture_output=True)
    (row,) = query("SELECT ended_ns - started_ns AS took FROM recordings")
    assert 1000 * MS <= row["took"] < DEADLINE_SECONDS * 1000 * MS  # and not 200 s less or more
