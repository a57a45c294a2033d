"""Starts the command that is recorded: forks, becomes its user, executes it with what the caller handed down."""

from __future__ import annotations

import errno
import os
import signal
from typing import NamedTuple, NoReturn

from ..host import syscalls
from ..host.inherited import Inherited

_ERRNO_BYTES = 4
_GO_ON = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT)  # as execvp(3) does


class Start(NamedTuple):
    """What to execute. paths: the first that can be executed is; environment: entries as execve(2) takes them.

    ids: user, group, and all groups to become; None: as this process.
    """

    argv: list[bytes]
    paths: list[bytes]
    environment: list[bytes]
    ids: tuple[int, int, tuple[int, ...]] | None


def launch(start: Start, inherited: Inherited) -> int:
    """Forks and executes; returns the pid. Raises OSError if that fails, and then the child has ended."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(start, inherited, writer)
    os.close(writer)
    failed = os.read(reader, _ERRNO_BYTES)  # empty: the pipe was closed by the execution
    os.close(reader)
    if failed:
        number = int.from_bytes(failed, "little")
        raise OSError(number, os.strerror(number))
    return pid


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
    """Tries each path, as execvp(3) does. Returns errno, if all fail."""
    found = errno.ENOENT
    for path in start.paths:
        number = syscalls.execve(path, start.argv, start.environment)
        if number == errno.ENOEXEC:  # a script without an interpreter's name: every shell takes it for one of its own
            number = syscalls.execve(b"/bin/sh", [b"/bin/sh", path, *start.argv[1:]], start.environment)
        if number not in _GO_ON:
            return number
        found = errno.EACCES if number == errno.EACCES else found
    return found
