"""The wheel that the runs install: webpf with the BPF programs, compiled once, on the machine that runs the tools."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

from tools.cache import CACHE, copy_working_copy, run

OBJECT = "webpf/bpf/process.bpf"
SOURCE = CACHE / "wheel"
LEFT_OUT = ("recorder", "bpf", "queries", "dist", "build")
"""Top folders of the source tree that tests don't need when webpf is installed."""


@cache
def build_wheel() -> Path:
    """Runs `make wheel` in a copy of the source tree; returns the wheel.

    Raises SystemExit if that fails, or if this machine can't compile the BPF programs for it.
    """
    copy_working_copy(SOURCE)
    # This runs as root anyway. Under sudo, `make` would give files to the user behind it, who can't write here.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUDO_")}
    command = ["make", "wheel", f"VENV={sys.prefix}", "-o", f"{sys.prefix}/installed-dev", "-o", "packages"]
    made = subprocess.run(
        command, check=False, cwd=SOURCE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wheel = next((SOURCE / "dist").glob("*.whl"), None)
    if made.returncode or wheel is None:
        raise SystemExit(f"{made.stdout}\n`make wheel` has failed")
    with zipfile.ZipFile(wheel) as content:
        if OBJECT not in content.namelist():
            raise SystemExit(f"{made.stdout}\nthe wheel has no BPF programs; try: webpf doctor")
        digest = hashlib.sha256(content.read(OBJECT)).hexdigest()
    print(f"made {wheel.name}; the SHA-256 of its BPF programs is {digest}", flush=True)
    return wheel


def copy_tests(to: Path) -> None:
    """Copies the source tree as it was when the wheel was built, without webpf itself; deletes what was there.

    So the tests fit the wheel, also if the source tree changes while the kernels run.
    """
    build_wheel()
    run("rm", "-rf", "--one-file-system", to)
    to.mkdir(parents=True)
    for entry in SOURCE.iterdir():
        if entry.name not in LEFT_OUT:
            run("cp", "--archive", entry, to)
