"""The commands that record: options in, text and exit code out. Nothing else."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from ..capture import limits
from ..errors import UsageError, WebpfError
from ..host.invocation import program, sudo_command
from ..model import argv
from . import durations
from .options import (
    All,
    AsRoot,
    BufferMib,
    DryRun,
    Duration,
    MaxArgs,
    MinLifetime,
    Name,
    Names,
    NewDb,
    NoArgs,
    OfCgroup,
    Pid,
    Quiet,
    Redact,
    Users,
)
from .recording_choice import DEFAULT_DB

if TYPE_CHECKING:
    from ..capture.command import Command
    from ..capture.plan import Aim
    from ..capture.recorder import Options, Summary
    from ..capture.redaction import Redaction
    from ..capture.targets import Target

COMMAND_SETTINGS = {"allow_interspersed_args": False}  # what follows the command is its own
CommandLine = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- COMMAND", help="Record what this starts; default: the whole machine."),
]


class RecordCommand(TyperCommand):
    """Refuses a `--` that nothing follows: with an empty $COMMAND, the whole machine would be recorded, without end."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As the class it extends, which takes args to pieces. Raises UsageError."""
        ends_in_dashes = args[-1:] == ["--"]
        rest = super().parse_args(ctx, args)
        if ends_in_dashes and not ctx.resilient_parsing and not ctx.params["command_line"]:
            raise UsageError("no command follows on --", "webpf record -- make")
        return rest


def record(
    command_line: CommandLine = None,
    db: NewDb = DEFAULT_DB,
    duration: Duration = None,
    pid: Pid = None,
    all: All = False,
    as_root: AsRoot = False,
    cgroup: OfCgroup = False,
    uid: Users = None,
    comm: Names = None,
    min_lifetime: MinLifetime = None,
    name: Name = None,
    buffer_mib: BufferMib = 16,
    max_args: MaxArgs = 32768,
    no_args: NoArgs = False,
    redact: Redact = None,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Record every process of this machine into a SQLite file, until Ctrl-C; or a command and all that it starts.

    Needs root or capabilities. With a command, the exit code is the command's.
    """
    limits.check(buffer_mib, max_args)
    seconds, shortest = durations.parse("--duration", duration), durations.parse("--min-lifetime", min_lifetime)
    from ..capture.plan import Aim
    from ..capture.redaction import Redaction

    aim = Aim(command_line or [], seconds, pid, all, as_root, cgroup, uid or [], comm or [], shortest)
    aim.check()
    redaction = Redaction(no_args, redact or [])
    command = aim.command()
    _check_machine(None if dry_run else db)
    if dry_run:
        _try(buffer_mib, max_args, quiet)
        return
    from ..capture.recorder import Options

    kept = Options(db, seconds, name, buffer_mib, max_args, no_args, len(redact or []))
    options = replace(kept, of=aim.of, users=aim.users, names=aim.names, min_lifetime=shortest, cgroup=cgroup)
    if command is not None:
        raise typer.Exit(_record_command(options, redaction, command, aim, quiet))
    _record(options, redaction, aim.machine(), quiet)


def _check_machine(db: Path | None) -> None:
    from ..host import resource_limits
    from ..kernel import preflight
    from ..storage import file_check

    resource_limits.lift()
    if db is not None:
        file_check.check_writable(db)
    preflight.check_machine(sudo_command())


def _try(buffer_mib: int, max_args: int, quiet: bool) -> None:
    from ..kernel import probe
    from ..output.messages import say

    probe.Probe(0, buffer_mib, max_args).close()
    if not quiet:
        say("this machine can record: the programs were compiled, loaded and attached")


def _record(options: Options, redaction: Redaction, target: Target, quiet: bool) -> None:
    from ..capture import recorder as recording
    from ..host import signals
    from . import live_status
    from .display import Display

    with Display(live_status.observer(options, quiet)) as observer:
        summary = recording.record(options, observer, redaction, target)
    signals.restore(signals.ENDING)
    if not quiet:
        live_status.report(summary)
        _say_next(options.db, "lifetimes")


def _record_command(options: Options, redaction: Redaction, command: Command, aim: Aim, quiet: bool) -> int:
    """Records a command. The supervisor waits for it, and has its exit code, whatever happens here."""
    from ..capture import recorder as recording
    from ..host import signals
    from ..output.messages import say
    from . import live_status
    from .display import Display

    try:
        with aim.around(command) as target, Display(live_status.Quiet()) as observer:
            summary = recording.record(options, observer, redaction, target)
        signals.restore(signals.ENDING)
        if not quiet:
            _tell(summary)
    except Exception as error:  # whatever it is, the command is none the worse for it
        if not command.has_started:
            raise
        message = error.message if isinstance(error, WebpfError) else f"the recorder failed: {error!r}"
        say(message if command.has_ended() else f"{message}; the command goes on, unrecorded")
    return 0


def _tell(summary: Summary) -> None:
    """What a command came to."""
    from ..analysis import command_summary
    from ..output.messages import say
    from ..storage import reader
    from . import live_status

    with reader.reading(summary.db) as connection:
        lines = list(command_summary.lines(connection, reader.find(connection, summary.db, summary.recording_id)))
    for line in lines:
        say(line)
    say(f"recording {summary.recording_id} in {summary.db}: {live_status.completeness(summary)}")
    _say_next(summary.db, "tree")


def _say_next(db: Path, query: str) -> None:
    """The commands to type next."""
    from ..output.messages import say

    webpf = program(sys.argv[0])
    file = None if db == DEFAULT_DB else argv.file_word(db)
    say(f"in the browser: {shlex.join([*webpf, 'browse'])}{f' {file}' if file else ''}")
    say(f"next: {shlex.join([*webpf, 'query', query])}{f' --db {file}' if file else ''}")


def stream(
    duration: Duration = None,
    buffer_mib: BufferMib = 16,
    max_args: MaxArgs = 32768,
    no_args: NoArgs = False,
    redact: Redact = None,
) -> None:
    """Print forks (F), execs (X) and exits (E) as JSON lines while they happen. Needs root or capabilities."""
    limits.check(buffer_mib, max_args)
    seconds = durations.parse("--duration", duration, "stream")
    from ..capture.redaction import Redaction
    from ..kernel import preflight

    redaction = Redaction(no_args, redact or [])
    preflight.check_machine(sudo_command())
    from ..capture import stream as streaming
    from ..output.messages import say

    started = "streaming, " + ("until Ctrl-C" if seconds is None else f"for {seconds:g} s")
    output = sys.stdout.fileno()
    lost = streaming.stream(output, seconds, buffer_mib, max_args, redaction, on_start=lambda: say(started))
    if lost:
        say(f"LOST {lost:,} events: they came faster than they were read; a larger --buffer-mib helps")
