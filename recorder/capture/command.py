"""The command that is recorded: found by the recorder, started and waited for by its supervisor.

It has webpf's terminal, working directory and process group, so that what the terminal sends (Ctrl-C, Ctrl-Z) reaches
both: it acts as it would without webpf, which waits for it. Its exit code is webpf's.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Sequence
from pathlib import Path

from ..errors import CannotExecute, CommandNotFound, Signalled, Unavailable
from ..host import sudo_user
from ..host.sudo_user import Invoker, own_environment
from . import channel
from .channel import Channel
from .launch import Start

_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR)


class Command:
    """A command line, to be run once. invoker: the user to run it as; None: the user of webpf."""

    def __init__(self, argv: Sequence[str], invoker: Invoker | None = None) -> None:
        self.argv = list(argv)
        self.pid: int | None = None
        self._invoker = invoker
        self._environment = invoker.environment if invoker else own_environment()
        self._supervisor: Channel | None = None
        self._code: int | None = None

    def check(self) -> None:
        """Raises CommandNotFound or CannotExecute for what can't be run, as far as that can be seen beforehand."""
        existing = [path for path in map(Path, map(os.fsdecode, self._candidate_paths())) if _exists(path)]
        if not existing:
            raise CommandNotFound(f"{self.argv[0]}: no such command")
        if not any(os.access(path, os.X_OK) and not path.is_dir() for path in existing):
            raise CannotExecute(
                f"{existing[0]}: {'is a directory, no program' if existing[0].is_dir() else 'may not be executed'}"
            )

    def _candidate_paths(self) -> list[bytes]:
        """Where it may be, in order."""
        name = os.fsencode(self.argv[0])
        if b"/" in name:
            return [name]
        path_values = (entry[5:] for entry in self._environment if entry.startswith(b"PATH="))
        folders = next(path_values, os.fsencode(os.defpath))
        return [(folder.rstrip(b"/") + b"/" if folder else b"./") + name for folder in folders.split(b":")]

    def start(self, supervisor: Channel) -> None:
        """Has it started. Raises CommandNotFound or CannotExecute, and Signalled if it was asked to end before."""
        user = self._invoker
        ids = (user.uid, user.gid, user.groups) if user else None
        start = Start([os.fsencode(word) for word in self.argv], self._candidate_paths(), self._environment, ids)
        supervisor.send(channel.START, *start)
        self._supervisor = supervisor
        while self.pid is None:
            self._receive()

    @property
    def has_started(self) -> bool:
        """Whether it runs, or has run."""
        return self.pid is not None

    def has_ended(self) -> bool:
        """Whether it has ended, as far as the supervisor has told by now."""
        while self._code is None and self._supervisor and select.select([self._supervisor], [], [], 0)[0]:
            self._receive()
        return self._code is not None

    def _receive(self) -> None:
        assert self._supervisor is not None
        messages = self._supervisor.receive()
        if messages is None:
            raise Unavailable("the process that starts the command is gone", "webpf record -- make")
        for name, value in messages:
            if name == channel.STARTED:
                self.pid = value
            elif name == channel.ENDED:
                self._code = value
            elif name == channel.REFUSED:
                raise Signalled(f"signal {value} came before the command was started", value)
            elif value in _NO_SUCH_FILE:
                raise CommandNotFound(f"{self.argv[0]}: no such command, or its interpreter is missing")
            else:
                raise CannotExecute(f"{self.argv[0]}: {os.strerror(value)}")


def find_command(argv: Sequence[str], as_root: bool) -> Command | None:
    """The command of a command line, if there is one; under sudo run as the user behind it, unless as_root.

    Raises CommandNotFound or CannotExecute.
    """
    if not argv:
        return None
    command = Command(argv, None if as_root else sudo_user.find())
    command.check()
    return command


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # its folder may not be looked into, or the name is too long
        return False
