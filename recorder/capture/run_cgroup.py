"""`--own-cgroup`: a cgroup v2 that is made for one command. All processes that enter it are recorded."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from ..errors import NoPermission, Unavailable
from ..host import cgroups, recording_cgroups
from ..kernel.filters import Cgroup
from ..output.messages import say
from . import privileges


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
        recording_cgroups.remove_left_over(self._parent)
        self._folder = recording_cgroups.path_below(self._parent, os.getpid())
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
        if self._folder.exists() and not self._remove():
            say(f"the cgroup {self.path} is kept, because processes are still running in it")

    def _remove(self) -> bool:
        helpers = privileges.helpers()
        return recording_cgroups.remove(self._folder) if helpers is None else helpers.remove_cgroup(self.cgroup.id)

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
        """Moves the supervisor, which has this pid, into the cgroup for the block.

        Its children of that time start in the cgroup.
        """
        helpers = privileges.helpers()
        if helpers is None:
            recording_cgroups.move(pid, self._folder)
        else:
            helpers.enter_cgroup(self.cgroup.id)
        try:
            yield
        finally:
            if helpers is None:
                recording_cgroups.move(pid, self._parent)
            else:
                helpers.leave_cgroup(self.cgroup.id)


def _own_path() -> str:
    lines = Path("/proc/self/cgroup").read_text(errors="surrogateescape").splitlines()
    return next((line[3:] for line in lines if line.startswith("0::")), "/")
