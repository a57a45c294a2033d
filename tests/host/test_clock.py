"""Time namespaces: the clock is the kernel's own, in whichever namespace recorder and reader are.

What is true is told by util-linux's unshare (which gives the offset), by wait4(), and by a reader that is in none.
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
from support import MS, webpf_command

from webpf.host import clock, liveness, procfs

OFFSETS = (100_000, -200, 0, 1_000_000_000)
"""Seconds. The second is no more than this machine's age, but before the start of its first processes."""

MODULES = {"clock": clock, "procfs": procfs, "liveness": liveness}
IMPORTS = " ".join(f"import {module.__name__} as {name};" for name, module in MODULES.items())
TELL = f"import sys; sys.path[:0] = sys.argv[1:]; {IMPORTS}"
SHOW = "print(clock.boot_ns(), procfs.read_stat(1).start_ns, procfs.read_stat({}).start_ns)"
UNSHARE = "import ctypes, pathlib; assert ctypes.CDLL(None).unshare(0x80) == 0;"  # CLONE_NEWTIME


def can_unshare() -> bool:
    """Whether a time namespace can be made here."""
    unshare = shutil.which("unshare")
    return bool(unshare) and subprocess.run([str(unshare), "-T", "true"], check=False).returncode == 0


pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not can_unshare(), reason="no time namespace can be made here")


def shifted(seconds: int) -> list[str]:
    """How a command is run in a time namespace with this offset."""
    return ["unshare", "-T", "--boottime", str(seconds), "--monotonic", str(seconds)]


def possible(seconds: int) -> int:
    """The offset, or the lowest that this machine is old enough for."""
    return max(seconds, 1 - int(time.clock_gettime(time.CLOCK_MONOTONIC)))


def shows(code: str, *before: str) -> list[int]:
    """What a Python elsewhere prints, in numbers."""
    line = [*before, sys.executable, "-c", TELL + code, *sys.path]
    return [int(word) for word in subprocess.run(line, check=True, capture_output=True, text=True).stdout.split()]


def is_the_kernels(told: list[int], before_ns: int) -> bool:
    """Boot time, start of init and of this process, as another process told them, against what is read here."""
    now, init, own = told
    here = [int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]) for pid in (1, os.getpid())]
    is_now = before_ns - MS <= now <= time.clock_gettime_ns(time.CLOCK_BOOTTIME) + MS
    return is_now and all(abs(a - b * 10 * MS) < 10 * MS for a, b in zip((init, own), here, strict=True))


@pytest.mark.parametrize("seconds", OFFSETS)
def test_the_clock_is_the_kernels_own(seconds: int) -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert is_the_kernels(shows(SHOW.format(os.getpid()), *shifted(possible(seconds))), before)


@pytest.mark.parametrize("outer", [0, 5_000])
def test_who_made_a_namespace_for_children_only_is_not_in_it(outer: int) -> None:
    """The kernel tells the offset of the children's namespace then, also where the own one isn't the first."""
    make = UNSHARE + "pathlib.Path('/proc/self/timens_offsets').write_text('boottime 777 500000000\\n');"
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert is_the_kernels(shows(make + SHOW.format(os.getpid()), *shifted(outer)), before)


def test_a_child_in_another_namespace_has_its_own_offset() -> None:
    """What was found out before the fork doesn't hold for it."""
    make = UNSHARE + "pathlib.Path('/proc/self/timens_offsets').write_text('boottime 777 0\\n'); import os;"
    code = f"clock.boot_ns(); {make} pid = os.fork(); pid or {SHOW.format(os.getpid())}; pid and os.waitpid(pid, 0)"
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert is_the_kernels(shows(code), before)


@pytest.mark.parametrize(
    ("told", "offset"),
    [
        ("monotonic           5         0\nboottime       100000         7\n", 100_000 * 1000 * MS + 7),
        ("monotonic           0         0\nboottime           -1 500000000\n", -500 * MS),
        ("", 0),
    ],
)
def test_offsets_as_the_kernel_writes_them(told: str, offset: int) -> None:
    assert clock.parse_offset(told) == offset


@pytest.mark.kernel
@pytest.mark.parametrize("seconds", OFFSETS)
def test_a_recorder_in_a_time_namespace(seconds: int, tmp_path: Path, query: Query) -> None:
    """Exit codes and times as its caller sees them from outside; who was there before has its true start too."""
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
    (shell,) = query("SELECT * FROM processes WHERE args = $args", "sh -c 'sleep 0.2; exit 5'")
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
def test_that_it_is_recorded_is_seen_from_another_namespace(inside: str, tmp_path: Path) -> None:
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

    def told() -> str:
        return subprocess.run(read, check=True, capture_output=True, text=True).stdout

    try:
        assert "recording" in told() and "interrupted" not in told()
    finally:
        recorder.kill()
        recorder.wait()
    assert "interrupted" in told()


@pytest.mark.kernel
def test_the_duration_is_the_same_in_a_time_namespace(tmp_path: Path, query: Query) -> None:
    line = [*webpf_command(), "record", "--duration", "1", "--db", str(tmp_path / "webpf.db")]
    subprocess.run([*shifted(possible(-200)), *line], check=True, capture_output=True)
    (row,) = query("SELECT ended_ns - started_ns AS took FROM recordings")
    assert 1000 * MS <= row["took"] < 1500 * MS
