"""Under sudo, the recorder stops being root once the BPF programs are attached, and goes on as the user behind sudo.

Map operations, the ring buffer that is mapped and the recording file of the user need no privileges. What does (see
helper_protocol.py) is done by the helpers, which stay root. The recorder stays root where it must: without sudo, if
the user can't write the file, or if /proc hides other users' processes from the user.
"""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Unavailable
from ..host import file_owner, sudo_user, syscalls
from ..host.inherited_state import close_all_but
from ..host.invocation import retry_with
from ..kernel import preflight
from ..log import get_logger
from . import supervisor, supervisor_channel
from .supervisor import Supervised

if TYPE_CHECKING:
    from ..host.procfs import ReadProcess
    from ..kernel.probe import Probe
    from .helper_client import HelperClient

_log = get_logger(__name__)

_FOR_ROOT_ONLY = "/var/lib/webpf.db"  # in a folder that users can't write: there the recorder stays root
_FINE, _NOT_OWNER, _CANT_WRITE, _CANT_SEE, _FAILED = range(5)  # exit codes of the child of _why_not()
_REASONS = {
    _NOT_OWNER: "the recording file doesn't belong to the user behind sudo",  # root gives it to the user at the end
    _CANT_WRITE: "the user behind sudo can't write the recording file or its folder",
    _CANT_SEE: "/proc hides other users' processes (hidepid)",
}

_client: HelperClient | None = None
_is_unprivileged = False


def use_client(client: HelperClient) -> None:
    """Sets the client of the helpers. It is for a recorder without a supervisor."""
    global _client
    _client = client


def client() -> HelperClient | None:
    """Returns the client of this recorder's helpers; None if it has none."""
    supervised = supervisor.current()
    if _client is None and supervised is not None:
        from .helper_client import HelperClient

        channel = supervised.channel
        use_client(HelperClient(supervised.requests, lambda: channel.send(supervisor_channel.HELPER)))
    return _client


def helpers() -> HelperClient | None:
    """Returns what does for the recorder that only root may; None if this process has its privileges itself."""
    return client() if _is_unprivileged else None


def process_reader() -> ReadProcess | None:
    """Returns the function that reads a process from /proc with root's rights; None if procfs.read_process() does."""
    reader = helpers()
    return None if reader is None else reader.read_process


@dataclass(frozen=True)
class Plan:
    """Whether to stop being root, as find_plan() decided. why_not: the reason if not."""

    user: sudo_user.Ids | None
    why_not: str = ""

    def carry_out(self, needed: Iterable[str], probe: Probe) -> None:
        """Changes to the user, if that was decided. Call it before anything is written.

        needed: modules to import before, because the user may not be able to read them.
        Raises Unavailable if the change fails half-way. If it can't begin, this process stays root.
        """
        if self.user is None:
            _log.info("this process keeps uid %d and its capabilities: %s", os.geteuid(), self.why_not)
            return
        for name in needed:
            importlib.import_module(name)
        helpers = client()
        assert helpers is not None
        try:
            probe.hand_over(helpers.hold_program)
        except OSError as error:
            _log.info("this process stays root: %s", error)
            return
        if supervised := supervisor.current():
            supervised.channel.send(supervisor_channel.SEALED)
            supervised.channel.is_sealed = True
        try:
            os.setgroups(self.user.groups)
        except OSError as error:  # in a user namespace, for instance; nothing has changed yet
            _log.info("this process stays root: its groups can't be changed: %s", error.strerror)
            return
        try:
            kept = _become(self.user, probe.counts)
            _protect(supervised)
            _check(self.user, kept)
        except OSError as error:
            message = f"the recorder can't become uid {self.user.uid}: {error.strerror or error}"
            raise Unavailable(message, f"sudo {retry_with('--db', _FOR_ROOT_ONLY)}") from error
        global _is_unprivileged
        _is_unprivileged = True
        _log.info("this process is uid %d from now on, with %s", self.user.uid, "CAP_BPF" if kept else "no capability")


STAY = Plan(None, "it was called as a library")


def find_plan(db: Path | None = None) -> Plan:
    """Decides whether a recorder stops being root. db: its file, if it has one."""
    if os.geteuid() != 0:
        return Plan(None, "it isn't root")
    user = sudo_user.find_ids()
    if user is None:
        return Plan(None, "there is no user behind sudo")
    if user.uid == 0:
        return Plan(None, "the user behind sudo is root")
    if not preflight.has_capability(preflight.CAP_BPF):
        return Plan(None, "it lacks CAP_BPF, which older kernels need for what follows")
    why_not = _why_not(user, db)
    return Plan(None if why_not else user, why_not)


def _why_not(user: sudo_user.Ids, db: Path | None) -> str:
    """Returns why the recorder must stay root; empty if it need not. A child looks at all as the user would."""
    child = os.fork()
    if child == 0:
        code = _FAILED
        try:
            close_all_but(())  # the user can trace this child if fs.suid_dumpable is 1, and the channel is trusted
            os.setgroups(user.groups)
            os.setresgid(user.gid, user.gid, user.gid)
            os.setresuid(user.uid, user.uid, user.uid)
            code = _look(db)
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return "" if code == _FINE else _REASONS.get(code, "a process can't become the user behind sudo")


def _look(db: Path | None) -> int:
    if db is not None and os.path.lexists(db) and db.lstat().st_uid != os.geteuid():
        return _NOT_OWNER
    if db is not None and not _can_write(db):
        return _CANT_WRITE
    return _FINE if preflight.sees_all_processes() else _CANT_SEE


def _can_write(db: Path) -> bool:
    """Whether this process can write a recording file with the files that SQLite makes beside it."""
    path = db.absolute()
    files = [each for each in (path, *file_owner.side_files(path)) if os.path.lexists(each)]
    return os.access(path.parent, os.W_OK | os.X_OK) and all(os.access(each, os.R_OK | os.W_OK) for each in files)


def _become(user: sudo_user.Ids, use_maps: Callable[[], object]) -> tuple[int, ...]:
    """Changes the user and drops the capabilities. Returns those that are kept. Raises OSError.

    use_maps: reads BPF maps; raises PermissionError if that needs a capability.
    """
    syscalls.keep_capabilities(True)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    syscalls.keep_capabilities(False)
    kept: tuple[int, ...] = (preflight.CAP_BPF,)
    syscalls.set_capabilities(permitted=kept, effective=())
    try:
        use_maps()
        kept = ()
    except PermissionError:  # before Linux 5.19, or if a security module is stricter
        syscalls.set_capabilities(kept, kept)
        use_maps()
    syscalls.set_capabilities(kept, kept)
    return kept


def _protect(supervised: Supervised | None) -> None:
    """Does again what setresuid(2) has undone. Raises OSError."""
    syscalls.forbid_access()
    syscalls.forbid_new_privileges()
    if supervised is None:
        return
    syscalls.die_with_parent()
    if os.getppid() != supervised.pid:  # it ended before die_with_parent()
        os.kill(os.getpid(), signal.SIGKILL)


def _check(user: sudo_user.Ids, kept: tuple[int, ...]) -> None:
    """Raises OSError unless every thread is the user and has no other capabilities than `kept`.

    The C library changes the ids of all threads; the kernel has only calls for one.
    """
    allowed = sum(1 << number for number in kept)
    for thread in Path("/proc/self/task").iterdir():
        fields = dict(line.split(":", 1) for line in (thread / "status").read_text(errors="replace").splitlines())
        ids = {*map(int, fields["Uid"].split())} == {user.uid} and {*map(int, fields["Gid"].split())} == {user.gid}
        groups = {*map(int, fields["Groups"].split())} == {*user.groups}
        capabilities = int(fields["CapEff"], 16) | int(fields["CapPrm"], 16) | int(fields["CapAmb"], 16)
        if not ids or not groups or capabilities & ~allowed:
            raise PermissionError(f"thread {thread.name} still has other rights")
