"""Starts the command that is recorded: forks, changes to its user, restores what webpf inherited, and executes it."""

from __future__ import annotations

import errno
import os
import signal
from typing import NamedTuple, NoReturn

from ..host import syscalls
from ..host.inherited_state import Inherited

_ERRNO_BYTES = 4
# After these errors the next path is tried, as execvp(3) does.
_GO_ON = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT)


class Start(NamedTuple):
    """What to execute: the first of `paths` that can be executed. environment: entries as execve(2) takes them.

    ids: the user id, the group id and all groups to change to; None: no change.
    """

    argv: list[bytes]
    paths: list[bytes]
    environment: list[bytes]
    ids: tuple[int, int, tuple[int, ...]] | None


def launch(start: Start, inherited: Inherited) -> int:
    """Starts the command and returns its pid. Raises OSError if it can't be executed; no child is left then."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(start, inherited, writer)
    os.close(writer)
    failed = os.read(reader, _ERRNO_BYTES)  # empty if the exec succeeded and closed the pipe
    os.close(reader)
    if failed:
        number = int.from_bytes(failed, "little")
        raise OSError(number, os.strerror(number))
    return pid


def exit_code(status: int) -> int:
    """Returns the exit code for a wait status as a shell does: 128 + n for a signal n."""
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _become(start: Start, inherited: Inherited, writer: int) -> NoReturn:
    number = errno.EIO
    try:
        inherited.restore()
        if start.ids is not None:
            uid, gid, groups = start.ids
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        number = _execute(start)
    except OSError as error:
        number = error.errno or errno.EIO
    finally:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        os.write(writer, number.to_bytes(_ERRNO_BYTES, "little"))
        os._exit(127)


def _execute(start: Start) -> int:
    """Tries to execute each path, as execvp(3) does. Returns an errno if none can be executed."""
    found = errno.ENOENT
    for path in start.paths:
        number = syscalls.execve(path, start.argv, start.environment)
        if number == errno.ENOEXEC:  # a script without #!: every shell runs it with sh
            number = syscalls.execve(b"/bin/sh", [b"/bin/sh", path, *start.argv[1:]], start.environment)
        if number not in _GO_ON:
            return number
        found = errno.EACCES if number == errno.EACCES else found
    return found
