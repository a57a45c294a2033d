"""A cgroup v2 that is made for one run, so that all processes that get into it belong to the run."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from ..errors import NoPermission, Unavailable
from ..host import cgroups, procfs
from ..kernel.filters import Cgroup
from ..output.messages import say

_RELEASE_SECONDS = 0.5
_PREFIX = "webpf-"


class RunCgroup:
    """Below the cgroup of this process, within its block; it stays if something still runs in it at the end.

    The block raises Unavailable or NoPermission if no cgroup can be made.
    """

    def __init__(self) -> None:
        self._own = _own_path()
        self._parent = self._folder = Path()

    def __enter__(self) -> RunCgroup:
        mount = cgroups.mount_point()
        if mount is None:
            raise Unavailable(
                "--own-cgroup needs cgroup v2, but this machine has mounted only v1", "webpf record -- make"
            )
        self._parent = mount / self._own.lstrip("/")
        _remove_left_over(self._parent)
        self._folder = self._parent / f"{_PREFIX}{_identity(os.getpid())}"
        try:
            self._folder.mkdir()
        except PermissionError:
            raise NoPermission(
                f"no cgroup can be made below {self._own}", "sudo webpf record --own-cgroup -- make"
            ) from None
        except OSError as error:
            hint = "webpf record -- make"
            raise Unavailable(f"no cgroup can be made below {self._own}: {error.strerror}", hint) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._remove():
            say(f"the cgroup {self.path} stays, for something still runs in it")

    @property
    def cgroup(self) -> Cgroup:
        """As a filter."""
        return Cgroup(self._folder.stat().st_ino, level=len(self.path.strip("/").split("/")))

    @property
    def path(self) -> str:
        """In the hierarchy."""
        return str(Path(self._own) / self._folder.name)

    @contextlib.contextmanager
    def inside(self, pid: int) -> Iterator[None]:
        """What this process starts within the block is in the cgroup from the first moment."""
        _move(pid, self._folder)
        try:
            yield
        finally:
            _move(pid, self._parent)

    def _remove(self) -> bool:
        """False if something still runs in it: then it stays."""
        _remove_within(self._folder)
        deadline = time.monotonic() + _RELEASE_SECONDS
        while True:
            try:
                self._folder.rmdir()
                return True
            except OSError:
                if time.monotonic() > deadline or (self._folder / "cgroup.procs").read_text():
                    return False
                time.sleep(0.01)  # the kernel may not have let go yet of what has just ended


def _own_path() -> str:
    lines = Path("/proc/self/cgroup").read_text(errors="surrogateescape").splitlines()
    return next((line[3:] for line in lines if line.startswith("0::")), "/")


def _identity(pid: int) -> str | None:
    """Of a process: its pid and start, for the pid may be used again; None if there is no such process any more."""
    stat = procfs.read_stat(pid)
    return None if stat is None or procfs.has_ended(stat) else f"{pid}-{stat.start_ns}"


def _remove_left_over(parent: Path) -> None:
    """Those whose recorder is gone, without having removed them: it was killed. What still runs in one keeps it."""
    for folder in parent.glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX)
        pid = owner.partition("-")[0]
        if pid.isdigit() and _identity(int(pid)) != owner:
            _remove_within(folder)
            with contextlib.suppress(OSError):
                folder.rmdir()


def _remove_within(folder: Path) -> None:
    """Cgroups that were made below, the deepest first."""
    for each in sorted(folder.rglob("*/"), reverse=True):
        with contextlib.suppress(OSError):
            each.rmdir()


def _move(pid: int, folder: Path) -> None:
    try:
        with (folder / "cgroup.procs").open("r+") as processes:
            processes.write(str(pid))
    except OSError as error:
        raise Unavailable(f"can't move to the cgroup {folder}: {error.strerror}", "webpf record -- make") from None
