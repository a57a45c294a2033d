"""The command that is recorded. The recorder finds its program; the supervisor starts it and waits for it.

The command has webpf's terminal, working directory and process group, so both get the terminal's signals (Ctrl-C,
Ctrl-Z), and the command acts as it would without webpf. webpf exits with the exit code of the command.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Sequence
from pathlib import Path

from ..errors import CannotExecute, CommandNotFound, Signalled, Unavailable
from ..host import sudo_user
from ..host.paths import exists
from ..host.sudo_user import Invoker, own_environment
from . import supervisor_channel
from .command_launch import Start
from .supervisor_channel import Channel

_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR)


class Command:
    """A command line that is run once. invoker: the user to run it as; None: the user that runs webpf."""

    def __init__(self, argv: Sequence[str], invoker: Invoker | None = None) -> None:
        self.argv = list(argv)
        self.pid: int | None = None
        self._invoker = invoker
        self._environment = invoker.environment if invoker else own_environment()
        self._supervisor: Channel | None = None
        self._code: int | None = None

    def check(self) -> None:
        """Raises CommandNotFound or CannotExecute if the file system shows that the command can't be run."""
        existing = [path for path in map(Path, map(os.fsdecode, self._candidate_paths())) if exists(path)]
        if not existing:
            raise CommandNotFound(f"{self.argv[0]}: no such command")
        if not any(os.access(path, os.X_OK) and not path.is_dir() for path in existing):
            raise CannotExecute(
                f"{existing[0]}: {'is a directory, not a program' if existing[0].is_dir() else 'is not executable'}"
            )

    def _candidate_paths(self) -> list[bytes]:
        """Returns the paths at which the program can be, in the order in which they are tried."""
        name = os.fsencode(self.argv[0])
        if b"/" in name:
            return [name]
        path_values = (entry[5:] for entry in self._environment if entry.startswith(b"PATH="))
        folders = next(path_values, os.fsencode(os.defpath))
        return [(folder.rstrip(b"/") + b"/" if folder else b"./") + name for folder in folders.split(b":")]

    @property
    def launched_as(self) -> Start:
        """Returns what to execute, and as whom."""
        user = self._invoker
        ids = (user.uid, user.gid, user.groups) if user else None
        return Start([os.fsencode(word) for word in self.argv], self._candidate_paths(), self._environment, ids)

    def prepare(self, supervisor: Channel) -> None:
        """Passes the command to the supervisor, which takes no other command later."""
        supervisor.send(supervisor_channel.PREPARE + supervisor_channel.pack(*self.launched_as))
        self._supervisor = supervisor

    def start(self) -> None:
        """Asks the supervisor to start the prepared command, and waits until it has.

        Raises CommandNotFound, CannotExecute, Signalled if a signal came before the start, or Unavailable if the
        supervisor is gone.
        """
        assert self._supervisor is not None
        self._supervisor.send(supervisor_channel.START)
        while self.pid is None:
            self._receive()

    @property
    def has_started(self) -> bool:
        """Whether the command is running or has run."""
        return self.pid is not None

    def has_ended(self) -> bool:
        """Whether the command has ended. Reads the messages that the supervisor has sent so far; doesn't block."""
        while self._code is None and self._supervisor and select.select([self._supervisor], [], [], 0)[0]:
            self._receive()
        return self._code is not None

    def _receive(self) -> None:
        assert self._supervisor is not None
        messages = self._supervisor.receive()
        if messages is None:
            raise Unavailable("the process that starts the command is gone", "webpf record -- make")
        for name, value in map(supervisor_channel.unpack, messages):
            if name == supervisor_channel.STARTED:
                self.pid = value
            elif name == supervisor_channel.ENDED:
                self._code = value
            elif name == supervisor_channel.REFUSED:
                raise Signalled(f"signal {value} came before the command was started", value)
            elif value in _NO_SUCH_FILE:
                raise CommandNotFound(f"{self.argv[0]}: no such command, or its interpreter is missing")
            else:
                raise CannotExecute(f"{self.argv[0]}: {os.strerror(value)}")


def find_command(argv: Sequence[str], as_root: bool) -> Command | None:
    """Returns the command for a command line; None if the command line is empty.

    Under sudo, the command runs as the user that called sudo, unless as_root. Raises CommandNotFound or CannotExecute.
    """
    if not argv:
        return None
    command = Command(argv, None if as_root else sudo_user.find())
    command.check()
    return command
