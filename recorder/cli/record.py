"""The command `record`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..capture.record_options import RecordOptions
from ..errors import UsageError, WebpfError
from ..host import invocation, listen_address
from ..host.invocation import program, sudo_command
from ..kernel.filters import FilterOptions
from ..model import argv, durations
from ..model.limits import NO_LIMITS, Limits
from . import upgrade
from .options import (
    All,
    AsRoot,
    BufferMib,
    CommandLine,
    DryRun,
    Duration,
    Env,
    Events,
    MaxArgs,
    Metrics,
    MinLifetime,
    Mode,
    Name,
    Names,
    NewDb,
    NoArgs,
    OldOwnCgroup,
    OwnCgroup,
    Pid,
    Program,
    Quiet,
    Redact,
    Rotate,
    Users,
    takes_limits,
)
from .recording_choice import DEFAULT_DB
from .series_options import NO_SERIES, SeriesOptions, takes_series
from .verbose import VerboseCommand

if TYPE_CHECKING:
    from ..capture.command import Command
    from ..capture.recorder import Summary

_SUMMARY_MODULES = ("webpf.analysis.command_summary", "webpf.render.summary_text", "webpf.storage.reader")


class RecordCommand(VerboseCommand):
    """The command `record`. It refuses `--` without a command: an empty $COMMAND must not record the whole machine."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses args as TyperCommand does. Raises UsageError if nothing follows `--`."""
        ends_in_dashes = args[-1:] == ["--"]
        rest = super().parse_args(ctx, args)
        if ends_in_dashes and not ctx.resilient_parsing and not ctx.params["command_line"]:
            raise UsageError("no command follows on --", "webpf record -- make")
        return rest


# allow_interspersed_args: options after COMMAND are its own.
COMMAND_SETTINGS = {"cls": RecordCommand, "context_settings": {"allow_interspersed_args": False}}


@takes_series
@takes_limits
def record(
    command_line: CommandLine = None,
    db: NewDb = DEFAULT_DB,
    mode: Mode = None,
    duration: Duration = None,
    pid: Pid = None,
    all: All = False,
    as_root: AsRoot = False,
    own_cgroup: OwnCgroup = False,
    cgroup: OldOwnCgroup = False,
    user: Users = None,
    comm: Names = None,
    min_lifetime: MinLifetime = None,
    name: Name = None,
    buffer_mib: BufferMib = RecordOptions.buffer_mib,
    max_args: MaxArgs = RecordOptions.max_args,
    no_args: NoArgs = False,
    redact: Redact = None,
    env: Env = None,
    events: Events = None,
    rotate: Rotate = None,
    limits: Limits = NO_LIMITS,
    program: Program = None,
    metrics: Metrics = None,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    series: SeriesOptions = NO_SERIES,
) -> None:
    """Record every process into a SQLite file.

    Without COMMAND, records the whole machine until Ctrl-C. With COMMAND, records it and all processes that it starts,
    and exits with its exit code. Needs root or capabilities.
    """
    options = RecordOptions(
        command=tuple(command_line or ()), db=db, mode=mode, program=program, name=name, buffer_mib=buffer_mib,
        duration=durations.parse("--duration", duration), pid=pid, all=all, as_root=as_root, max_args=max_args,
        own_cgroup=own_cgroup or cgroup, filters=FilterOptions(tuple(user or ()), tuple(comm or ())), no_args=no_args,
        min_lifetime=durations.parse("--min-lifetime", min_lifetime), redact=tuple(redact or ()), env=tuple(env or ()),
        events=events and events.value, rotate=durations.parse_rotation(rotate) or limits.rotation, limits=limits,
    )  # fmt: skip
    _dispatch(options, series, quiet, dry_run, metrics)


def _dispatch(options: RecordOptions, series: SeriesOptions, quiet: bool, dry_run: bool, metrics: str | None) -> None:
    """Records here; or, for a series, calls webpf for each of its runs, since this process has no supervisor then."""
    from ..capture import supervisor  # not for every command: it brings ctypes and sockets

    options.validate()
    series.check(options, metrics)
    if supervisor.current() is None and not dry_run and not series.is_inner:
        from . import series as runs

        if series.runs:
            raise typer.Exit(runs.record(options, series, quiet))
        if options.command and invocation.is_series(sys.argv[1:]):
            raise typer.Exit(runs.record_once())
    if series.run is not None:
        options = series.of_run(options)
        # The recording, and hints, have the command line that would make this recording alone.
        name = ["--name", options.name] if options.name else []
        sys.argv[1:] = ["record", "--db", str(options.db), *name, "--", *options.command]
    _run(options, quiet, dry_run, metrics)


def _run(options: RecordOptions, quiet: bool, dry_run: bool, metrics: str | None) -> None:
    from ..capture.command import find_command

    if metrics is not None:
        listen_address.parse(metrics)
    command = find_command(options.command, options.as_root)
    _check_machine(options, dry_run, quiet)
    if dry_run:
        _dry_run(options, quiet)
    elif command is not None:
        raise typer.Exit(_record_command(options, command, quiet, metrics))
    else:
        _record(options, quiet, metrics)


def _check_machine(options: RecordOptions, dry_run: bool, quiet: bool) -> None:
    """Raises a WebpfError if this machine can't record, or can't write the file. Upgrades a small older file."""
    from ..host import resource_limits
    from ..kernel import preflight
    from ..output import journal
    from ..output.messages import say
    from ..storage import file_check

    resource_limits.lift()
    if not dry_run:
        file_check.check_writable(options.db)
    preflight.check_machine(sudo_command(), options.program)
    if not preflight.sees_all_cgroups():
        say(
            "the recording will have no paths of cgroups, because this process is in a cgroup namespace of its own"
            " (a container, or ProtectControlGroups=strict of a service)",
            journal.WARNING,
        )
    if not dry_run:
        upgrade.before_writing(options.db, quiet)


def _dry_run(options: RecordOptions, quiet: bool) -> None:
    from ..capture.attach import attach
    from ..output.messages import say

    attach(options, 0).close()
    if not quiet:
        say("this machine can record: the BPF programs were loaded and attached")


def _record(options: RecordOptions, quiet: bool, metrics: str | None) -> None:
    from ..capture.targets import open_target
    from ..output import journal
    from . import live_status, observed_recording
    from .display_thread import Display

    with open_target(options, None) as target, Display(live_status.choose_observer(options, quiet)) as display:
        summary = observed_recording.record(options, target, display, display.needed_later, metrics)
    if not quiet:
        live_status.print_summary(summary)
        if not journal.is_at():
            _say_next(options.db, "lifetimes")


def _record_command(options: RecordOptions, command: Command, quiet: bool, metrics: str | None) -> int:
    """Records a command. The supervisor waits for the command and returns its exit code, whatever happens here."""
    from ..capture.targets import open_target
    from ..output.messages import say
    from . import live_status, observed_recording
    from .display_thread import Display

    try:
        with open_target(options, command) as target, Display(live_status.QuietStatus()) as observer:
            later = () if quiet else _SUMMARY_MODULES
            summary = observed_recording.record(options, target, observer, later, metrics)
        if not quiet:
            _print_summary(options, summary)
    except Exception as error:  # an error of the recorder must not disturb the command
        if not command.has_started:
            raise
        message = error.message if isinstance(error, WebpfError) else f"the recorder failed: {error!r}"
        say(message if command.has_ended() else f"{message}; the command continues, but is not recorded")
    return 0


def _print_summary(options: RecordOptions, summary: Summary) -> None:
    """Prints the summary of a recorded command."""
    from ..analysis import command_summary
    from ..output.messages import say
    from ..render import summary_text
    from ..storage import reader
    from . import live_status

    with reader.reading(summary.db) as connection:
        found = command_summary.read(connection, reader.find(connection, summary.db, summary.recording_id))
        lines = list(summary_text.lines(found))
    if options.run is not None:
        missing = "" if summary.complete else f"; {live_status.describe_completeness(summary)}"
        say(f"{options.run.label(options.name)}: {''.join(lines[:1])}; recording {summary.recording_id}{missing}")
        return
    for line in lines:
        say(line)
    say(f"recording {summary.recording_id} in {summary.db}: {live_status.describe_completeness(summary)}")
    _say_next(summary.db, "tree")


def _say_next(db: Path, query: str) -> None:
    """Prints the commands to type next."""
    from ..output.messages import say

    webpf = program(sys.argv[0])
    file = None if db == DEFAULT_DB else argv.file_word(db)
    say(f"in the browser: {shlex.join([*webpf, 'browse'])}{f' {file}' if file else ''}")
    say(f"next: {shlex.join([*webpf, 'query', query])}{f' --db {file}' if file else ''}")
