"""What the options of `webpf record` aim at: checks that they go together, and makes a target of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import NotFound, Unavailable, UsageError
from ..host import sudo_user
from ..kernel import filters
from ..output.messages import say
from . import supervisor, targets
from .command import Command
from .run_cgroup import RunCgroup


@dataclass(frozen=True)
class Aim:
    """As on the command line."""

    command_line: list[str]
    duration: float | None
    pid: int | None
    all: bool
    as_root: bool
    cgroup: bool
    users: list[str]
    names: list[str]
    min_lifetime: float | None

    @property
    def of(self) -> str:
        """What is recorded, in a word or two."""
        return "command" if self.command_line else "machine" if self.pid is None else f"pid {self.pid}"

    def check(self) -> None:
        """Raises UsageError for options that don't go together, and NotFound for a pid that can't be."""
        if self.command_line and self.pid is not None:
            raise UsageError("a command and --pid don't go together", f"webpf record --pid {self.pid}")
        if self.command_line and self.duration is not None:
            message = "a command is recorded until it ends, so --duration doesn't go with it"
            raise UsageError(message, shlex.join(["webpf", "record", "--", "timeout", "60", *self.command_line]))
        for option, given in (("--all", self.all), ("--as-root", self.as_root), ("--cgroup", self.cgroup)):
            if given and not self.command_line:
                raise UsageError(f"{option} needs a command", f"webpf record {option} -- make")
        if self.all and self.cgroup:
            raise UsageError("--all and --cgroup don't go together", "webpf record --cgroup -- make")
        follows = self.pid is not None or (self.command_line and not self.all)
        of_machine = {"--uid": self.users, "--comm": self.names, "--min-lifetime": self.min_lifetime}
        for option, value in of_machine.items():
            if follows and value:
                all_of_it = ["--all", "--", *self.command_line] if self.command_line else []
                hint = shlex.join(["webpf", "record", option, str(value[0] if isinstance(value, list) else value)])
                message = f"{option} is for recordings of the whole machine, not of one process or command"
                raise UsageError(message, f"{hint} {shlex.join(all_of_it)}".rstrip())
        self.filters()
        if self.pid is not None and self.pid < 1:
            raise NotFound(f"there is no process {self.pid}", "ps -e")

    def filters(self) -> filters.Filters:
        """Raises UsageError for a user or a name that can't be."""
        return filters.parse(self.users, self.names)

    def command(self) -> Command | None:
        """The command, found. Raises CommandNotFound or CannotExecute."""
        if not self.command_line:
            return None
        command = Command(self.command_line, None if self.as_root else sudo_user.find())
        command.check()
        return command

    def machine(self) -> targets.Target:
        """Without a command. Raises NotFound."""
        return targets.Machine(self.filters()) if self.pid is None else targets.Running(self.pid)

    @contextmanager
    def around(self, command: Command) -> Iterator[targets.Target]:
        """The command, and what is recorded with it. Raises Unavailable or NoPermission if no cgroup can be made."""
        starter = supervisor.current()
        if starter is None:
            raise Unavailable("a command can only be recorded by the program webpf", "webpf record -- make")
        if self.all:
            yield targets.Commanded(command, starter, self.filters())
        elif not self.cgroup:
            yield targets.Commanded(command, starter)
        else:
            made = RunCgroup()
            try:
                inside = made.inside(starter.pid)
                yield targets.Commanded(command, starter, filters.Filters(cgroup=made.cgroup), inside)
            finally:
                if not made.remove():
                    say(f"the cgroup {made.path} stays, for something still runs in it")
