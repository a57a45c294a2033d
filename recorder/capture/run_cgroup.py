"""`--own-cgroup`: a cgroup v2 that is made for one command. All processes that enter it are recorded."""

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
    """A context manager that makes a cgroup below the cgroup of this process, and removes it at the end.

    The cgroup is kept if processes are still running in it. Entering raises Unavailable or NoPermission if no cgroup
    can be made.
    """

    def __init__(self) -> None:
        self._own = _own_path()
        self._parent = self._folder = Path()

    def __enter__(self) -> RunCgroup:
        mount = cgroups.mount_point()
        if mount is None:
            raise Unavailable(
                "--own-cgroup needs cgroup v2, which is not mounted on this machine", "webpf record -- make"
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
            say(f"the cgroup {self.path} is kept, because processes are still running in it")

    @property
    def cgroup(self) -> Cgroup:
        """Returns the cgroup as a filter."""
        return Cgroup(self._folder.stat().st_ino, level=len(self.path.strip("/").split("/")))

    @property
    def path(self) -> str:
        """Returns the path of the cgroup in the hierarchy of cgroup v2."""
        return str(Path(self._own) / self._folder.name)

    @contextlib.contextmanager
    def inside(self, pid: int) -> Iterator[None]:
        """Moves a process into the cgroup for the block. Its children of that time start in the cgroup."""
        _move(pid, self._folder)
        try:
            yield
        finally:
            _move(pid, self._parent)

    def _remove(self) -> bool:
        """Removes the cgroup. Returns False if processes are still running in it."""
        _remove_within(self._folder)
        deadline = time.monotonic() + _RELEASE_SECONDS
        while True:
            try:
                self._folder.rmdir()
                return True
            except OSError:
                if time.monotonic() > deadline or (self._folder / "cgroup.procs").read_text():
                    return False
                time.sleep(0.01)  # the kernel may still be releasing processes that have just ended


def _own_path() -> str:
    lines = Path("/proc/self/cgroup").read_text(errors="surrogateescape").splitlines()
    return next((line[3:] for line in lines if line.startswith("0::")), "/")


def _identity(pid: int) -> str | None:
    """Returns the pid and start of a process, because pids are reused; None if the process has ended."""
    stat = procfs.read_stat(pid)
    return None if stat is None or procfs.has_ended(stat) else f"{pid}-{stat.start_ns}"


def _remove_left_over(parent: Path) -> None:
    """Removes cgroups that were left by recorders that were killed, unless processes are still running in them."""
    for folder in parent.glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX)
        pid = owner.partition("-")[0]
        if pid.isdigit() and _identity(int(pid)) != owner:
            _remove_within(folder)
            with contextlib.suppress(OSError):
                folder.rmdir()


def _remove_within(folder: Path) -> None:
    """Removes the cgroups below this one, the deepest first."""
    for each in sorted(folder.rglob("*/"), reverse=True):
        with contextlib.suppress(OSError):
            each.rmdir()


def _move(pid: int, folder: Path) -> None:
    try:
        with (folder / "cgroup.procs").open("r+") as processes:
            processes.write(str(pid))
    except OSError as error:
        raise Unavailable(f"can't move to the cgroup {folder}: {error.strerror}", "webpf record -- make") from None
