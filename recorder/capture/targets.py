"""What is recorded: the whole machine, a command and its descendants, or a running process and its descendants."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from types import TracebackType
from typing import Protocol, TypeVar

from ..errors import NotFound, Unavailable
from ..host import procfs
from ..host.signals import ALL_STOP_SIGNALS, StopSignal, ignored
from ..kernel.filters import Filters
from ..model.events import Seen
from . import privileges, supervisor
from .command import Command
from .record_options import RecordOptions
from .run_cgroup import RunCgroup
from .supervisor import Supervised

NO_FILTERS = Filters()
_Self = TypeVar("_Self", bound="Target")


class ProbeControl(Protocol):
    """The part of a Probe that selects the processes whose events are reported."""

    def follow_children(self, pid: int) -> None: ...
    def follow(self, pid: int) -> None: ...
    def unfollow(self, pid: int) -> None: ...
    def wake_on(self, descriptor: int) -> None: ...


class Target:
    """What is recorded, and until when. A context manager that handles signals in its block.

    follows: the BPF programs report only the pids that are set by configure() and start(), and their descendants.
    filters: the BPF programs report only processes that match.
    """

    follows = False
    filters = NO_FILTERS

    def __init__(self) -> None:
        self._probe: ProbeControl | None = None
        self._exit_stack = ExitStack()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit_stack.close()

    def scan(self, clock_offset: int, max_args: int, cgroup_ids: dict[str, int]) -> list[Seen]:
        """Returns the target's processes that are alive; see procfs.scan(). With filters it is called repeatedly."""
        return _scan(self.filters, self._probe, clock_offset, max_args, cgroup_ids)

    def configure(self, probe: ProbeControl) -> None:
        """Sets which processes the probe reports. Called once, before scan()."""
        self._probe = probe

    def start(self) -> None:
        """Starts the target; called when the recorder is ready. Does nothing if the target is already running."""

    def is_over(self, is_anyone_alive: Callable[[], bool]) -> bool:
        """Whether the recording ends now. is_anyone_alive: returns whether a recorded process is alive."""
        raise NotImplementedError


class WholeMachine(Target):
    """All processes, or those that match the filters, until a signal comes."""

    def __init__(self, filters: Filters = NO_FILTERS) -> None:
        super().__init__()
        self.filters = filters
        self._stop = StopSignal(ALL_STOP_SIGNALS)

    def __enter__(self) -> WholeMachine:
        self._exit_stack.enter_context(self._stop)
        return self

    def is_over(self, is_anyone_alive: Callable[[], bool]) -> bool:
        return self._stop.has_come()


class RunningProcess(Target):
    """A running process and what it starts from now on, until all have ended or a signal comes.

    Entering it raises NotFound if there is no such process, and scan() raises it if the process has ended since.
    """

    follows = True

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._pid = pid
        self._pidfd = -1
        self._stop = StopSignal(ALL_STOP_SIGNALS)

    def __enter__(self) -> RunningProcess:
        try:
            self._pidfd = os.pidfd_open(self._pid)
        except (OSError, OverflowError):
            raise NotFound(f"there is no process {self._pid}", "ps -e") from None
        self._exit_stack.callback(os.close, self._pidfd)
        self._exit_stack.enter_context(self._stop)
        return self

    def scan(self, clock_offset: int, max_args: int, cgroup_ids: dict[str, int]) -> list[Seen]:
        alive = procfs.read_process(self._pid, clock_offset, max_args, cgroup_ids)
        # The pid may have been reused, so the pidfd is checked: the process was alive after the probe followed the pid.
        if alive is None or select.select([self._pidfd], [], [], 0)[0]:
            raise NotFound(f"process {self._pid} has just ended", "ps -e")
        return [alive]

    def configure(self, probe: ProbeControl) -> None:
        super().configure(probe)
        probe.follow(self._pid)
        probe.wake_on(self._pidfd)

    def is_over(self, is_anyone_alive: Callable[[], bool]) -> bool:
        return self._stop.has_come() or not is_anyone_alive()


class CommandTarget(Target):
    """A command and its descendants, until the command ends. With filters: all matching processes until then.

    supervisor: starts the command and forwards signals to it. inside: a context manager that is entered while the
    command is started; for example RunCgroup.inside().
    """

    def __init__(
        self,
        command: Command,
        supervisor: Supervised,
        filters: Filters | None = None,
        inside: AbstractContextManager[None] | None = None,
    ) -> None:
        super().__init__()
        self.follows = filters is None
        self.filters = filters or NO_FILTERS
        self._command = command
        self._supervisor = supervisor
        self._inside = inside or nullcontext()

    def __enter__(self) -> CommandTarget:
        self._exit_stack.enter_context(ignored(ALL_STOP_SIGNALS))
        return self

    def configure(self, probe: ProbeControl) -> None:
        super().configure(probe)
        self._command.prepare(self._supervisor.channel)

    def scan(self, clock_offset: int, max_args: int, cgroup_ids: dict[str, int]) -> list[Seen]:
        return [] if self.follows else super().scan(clock_offset, max_args, cgroup_ids)

    def start(self) -> None:
        """Starts the command, whose fork is the first event."""
        assert self._probe is not None
        if self.follows:
            self._probe.follow_children(self._supervisor.pid)
        with self._inside:
            self._command.start()
        if self.follows:
            self._probe.follow_children(0)
        self._probe.wake_on(self._supervisor.channel.fileno())

    def is_over(self, is_anyone_alive: Callable[[], bool]) -> bool:
        return self._command.has_ended()


@contextmanager
def open_target(options: RecordOptions, command: Command | None) -> Iterator[Target]:
    """Yields the target that the options select. command: from find_command(); None if the options have no command.

    Raises NotFound if there is no process with the pid, and Unavailable or NoPermission if no cgroup can be made.
    """
    with ExitStack() as stack:
        target: Target
        if command is None:
            target = WholeMachine(options.filters.parse()) if options.pid is None else RunningProcess(options.pid)
        else:
            target = _command_target(options, command, stack)
        yield stack.enter_context(target)


def _command_target(options: RecordOptions, command: Command, stack: ExitStack) -> CommandTarget:
    starter = supervisor.current()
    if starter is None:
        raise Unavailable("only the program webpf can record a command, not a library call", "webpf record -- make")
    if options.all:
        return CommandTarget(command, starter, options.filters.parse())
    if not options.own_cgroup:
        return CommandTarget(command, starter)
    own = stack.enter_context(RunCgroup())
    return CommandTarget(command, starter, Filters(cgroup=own.cgroup), own.inside(starter.pid))


def _scan(
    filters: Filters, probe: ProbeControl | None, clock_offset: int, max_args: int, cgroup_ids: dict[str, int]
) -> list[Seen]:
    """Returns the alive processes that match. The BPF programs then follow each of them, whatever it executes later."""
    alive = procfs.scan(clock_offset, max_args, cgroup_ids)
    if not filters.active or probe is None:
        return alive
    starts = {process.pid: process.start_ns for process in filter(filters.accepts, alive)}
    for pid in starts:
        probe.follow(pid)
    # Read them again: the BPF programs didn't report what they did before they were followed.
    reread = procfs.read_processes(list(starts), clock_offset, max_args, cgroup_ids, privileges.process_reader())
    followed = [process for process in reread if starts[process.pid] == process.start_ns and filters.accepts(process)]
    for pid in starts.keys() - {process.pid for process in followed}:
        probe.unfollow(pid)
    return followed
