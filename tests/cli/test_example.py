"""The small build that `make record` runs: it starts real processes, two steps fail, and it leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import DEADLINE_SECONDS, PROJECT, webpf_command

BUILD = PROJECT / "tools" / "example" / "build.sh"
NEEDED = ["sh", "chmod", "date", "mktemp", "rm", "sleep", "sort", "timeout", "uname"]


@pytest.fixture(params=["with gcc", "without gcc"])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment of the build, with its PATH and the folder for its temporary files."""
    (tmp_path / "made").mkdir()
    settings = os.environ | {"TMPDIR": str(tmp_path / "made")}
    if request.param == "with gcc":
        if shutil.which("gcc") is None:
            pytest.skip("no gcc")
        return settings
    (tmp_path / "bin").mkdir()
    for name in NEEDED:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    return settings | {"PATH": str(tmp_path / "bin")}


def test_it_ends_in_time_and_leaves_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    started = time.monotonic()
    answer = subprocess.run([BUILD, "5"], env=environment, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr) == (1, "", "")
    assert time.monotonic() - started < DEADLINE_SECONDS
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.kernel
def test_its_failures_are_recorded(
    environment: dict[str, str], tmp_path: Path, query: Callable[..., list[dict[str, object]]]
) -> None:
    """One step exits with 3, and timeout(1) ends another. Then timeout and the build itself fail too."""
    command = [*webpf_command(), "record", "--quiet", "--", str(BUILD)]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 1, answer.stderr
    failed = query("SELECT comm, exit_code, signal FROM processes WHERE exit_code > 0 OR signal ORDER BY end_ns")
    assert failed == [
        {"comm": "sh", "exit_code": 3, "signal": None},
        {"comm": "sleep", "exit_code": None, "signal": 15},
        {"comm": "timeout", "exit_code": 124, "signal": None},
        {"comm": "build.sh", "exit_code": 1, "signal": None},
    ]
