"""The cgroups v2 that `--own-cgroup` makes: which recorder has made one, moving a process into it, removing it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from ..errors import Unavailable
from . import procfs

_RELEASE_SECONDS = 0.5
_PREFIX = "webpf-"


def path_below(parent: Path, recorder: int) -> Path:
    """Returns the path of the cgroup of the recorder with this pid."""
    return parent / f"{_PREFIX}{_identity(recorder)}"


def remove(folder: Path) -> bool:
    """Removes the cgroup of a recording. Returns False if processes are still running in it."""
    _remove_within(folder)
    deadline = time.monotonic() + _RELEASE_SECONDS
    while True:
        try:
            folder.rmdir()
            return True
        except OSError:
            if time.monotonic() > deadline or (folder / "cgroup.procs").read_text():
                return False
            time.sleep(0.01)  # the kernel may still be releasing processes that have just ended


def recorder_of(folder: Path) -> int | None:
    """Returns the pid of the recorder that made the cgroup and still runs; None for any other cgroup."""
    owner = folder.name.removeprefix(_PREFIX)
    pid = owner.partition("-")[0]
    is_own = folder.name.startswith(_PREFIX) and pid.isdecimal() and _identity(int(pid)) == owner
    return int(pid) if is_own else None


def _identity(pid: int) -> str | None:
    """Returns the pid and start of a process, because pids are reused; None if the process has ended."""
    stat = procfs.read_stat(pid)
    return None if stat is None or procfs.has_ended(stat) else f"{pid}-{stat.start_ns}"


def remove_left_over(parent: Path) -> None:
    """Removes cgroups that were left by recorders that were killed, unless processes are still running in them."""
    for folder in parent.glob(f"{_PREFIX}*"):
        if folder.name[len(_PREFIX) :].partition("-")[0].isdecimal() and recorder_of(folder) is None:
            _remove_within(folder)
            with contextlib.suppress(OSError):
                folder.rmdir()


def _remove_within(folder: Path) -> None:
    """Removes the cgroups below this one, the deepest first."""
    for each in sorted(folder.rglob("*/"), reverse=True):
        with contextlib.suppress(OSError):
            each.rmdir()


def move(pid: int, folder: Path) -> None:
    """Moves a process into a cgroup. Raises Unavailable."""
    try:
        with (folder / "cgroup.procs").open("r+") as processes:
            processes.write(str(pid))
    except OSError as error:
        raise Unavailable(f"can't move to the cgroup {folder}: {error.strerror}", "webpf record -- make") from None
