"""The options of `webpf record` for a series of runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from ..capture.record_options import RecordOptions
from ..errors import UsageError
from ..model.series import SeriesRun
from . import option_group

AUTO = "auto"
LEAST_AUTO_RUNS = 5
"""With fewer runs, a small spread is often chance."""
_MOST_RUNS = 1000
_DEFAULT_MOST = 30
_BASE = "base"
_DECIDED = "wall>10%"
_EXAMPLE = "webpf record --runs 5 --name pr"

_OPTIONS = [
    option_group.option(name, Annotated[kind, typer.Option(*words, metavar=metavar, help=text)], default)
    for name, kind, words, metavar, default, text in (
        ("runs", str | None, ["--runs"], "N|auto", None,
         "With a command: record it N times, as recordings of one group; webpf diff compares groups. auto: until the"
         " runs decide what --to-decide says."),
        ("prepare", list[str] | None, ["--prepare"], "CMD", None,
         "With --runs: run CMD before each run, with sh -c; it isn't recorded. Given twice: the second is for"
         " --against."),
        ("warmup", int, ["--warmup"], "N", 0, "With --runs: first run the command N times without recording it."),
        ("ignore_failure", bool, ["--ignore-failure", "-i"], None, False,
         "With --runs: go on if a run fails, and exit with 0. By default, the series ends with its exit code."),
        ("against", str | None, ["--against"], "CMD", None,
         "With --runs: record the command and CMD in turn, so that pairs can be compared. CMD is split into words as a"
         " shell does, but no shell runs it."),
        ("against_name", str, ["--against-name"], "TEXT", _BASE, "Name of the recordings of --against."),
        ("to_decide", list[str] | None, ["--to-decide"], "CONDITION", None,
         "With --runs auto: a condition of webpf diff --fail-if. Runs are added until the interval is so narrow that"
         f" they decide it. Can be repeated. Default: {_DECIDED}."),
        ("max_runs", int, ["--max-runs"], "N", _DEFAULT_MOST, "With --runs auto: record at most N runs a side."),
    )
]  # fmt: skip
_RUN_OF = option_group.option("run_of", Annotated[str | None, typer.Option("--run-of", hidden=True)])


@dataclass(frozen=True)
class SeriesOptions:
    """The options of a series. runs: how many; with is_auto, at most. Without --runs, it is 0.

    run: which of them this call of webpf records; None: the call is for all. is_inner: webpf called itself, so this
    call has a supervisor.
    """

    runs: int = 0
    is_auto: bool = False
    prepare: tuple[str, ...] = ()
    warmup: int = 0
    ignore_failure: bool = False
    against: tuple[str, ...] = ()
    against_name: str = _BASE
    to_decide: tuple[str, ...] = ()
    run: SeriesRun | None = None
    is_inner: bool = False

    def check(self, options: RecordOptions, metrics: str | None) -> None:
        """Raises UsageError for what can't be used together."""
        if not self.runs:
            return
        if not options.command:
            raise UsageError("--runs needs a command to record", f"{_EXAMPLE} -- make")
        from ..analysis.conditions import Condition

        for text in self.to_decide:
            Condition.parse(text, "--to-decide", "record --runs auto")
        command = shlex.join(options.command)
        if metrics is not None:
            raise UsageError("--metrics can't be used with --runs", f"{_EXAMPLE} -- {command}")
        if len(self.prepare) > 1 + bool(self.against):
            message = "--prepare can be given once, or twice with --against"
            raise UsageError(message, f"{_EXAMPLE} --prepare 'make clean' -- {command}")
        if self.against and self.of_side(options, False).name == self.against_name:
            message = f"both sides would have the name {self.against_name}, so webpf diff couldn't tell them apart"
            raise UsageError(message, f"{_EXAMPLE} --against {shlex.quote(shlex.join(self.against))} -- {command}")

    def of_side(self, options: RecordOptions, is_against: bool) -> RecordOptions:
        """Returns the options of the recordings of one side."""
        if is_against:
            return replace(options, command=self.against, name=self.against_name)
        return replace(options, name=options.name or ("new" if self.against else None))

    def of_run(self, options: RecordOptions) -> RecordOptions:
        """Returns the options of the run that this call of webpf records."""
        return options if self.run is None else replace(self.of_side(options, self.run.is_against), run=self.run)

    def preparation(self, is_against: bool) -> str | None:
        """Returns the command of --prepare for one side."""
        return None if not self.prepare else self.prepare[-1] if is_against else self.prepare[0]


NO_SERIES = SeriesOptions()


def _parse(given: Mapping[str, Any]) -> SeriesOptions:
    run_of, runs, against = given["run_of"], given["runs"], given["against"]
    if runs is None:
        for name in ("prepare", "warmup", "ignore_failure", "against", "to_decide"):
            if given[name]:
                raise UsageError(f"--{name.replace('_', '-')} needs --runs", f"{_EXAMPLE} -- make")
        return SeriesOptions(is_inner=run_of is not None)
    is_auto = runs == AUTO
    if given["to_decide"] and not is_auto:
        raise UsageError("--to-decide needs --runs auto", "webpf record --runs auto --to-decide 'wall>5%' -- make")
    count = given["max_runs"] if is_auto else int(runs) if runs.isdecimal() else 0
    least = LEAST_AUTO_RUNS if is_auto else 1
    if not least <= count <= _MOST_RUNS:
        option, value = ("--max-runs", count) if is_auto else ("--runs", repr(runs))
        raise UsageError(f"{option} must be a number from {least} to {_MOST_RUNS}, not {value}", f"{_EXAMPLE} -- make")
    if not 0 <= given["warmup"] <= _MOST_RUNS:
        message = f"--warmup must be a number from 0 to {_MOST_RUNS}, not {given['warmup']}"
        raise UsageError(message, f"{_EXAMPLE} --warmup 1 -- make")
    return SeriesOptions(
        count, is_auto, tuple(given["prepare"] or ()), given["warmup"], given["ignore_failure"],
        () if against is None else _words(against), given["against_name"], tuple(given["to_decide"] or [_DECIDED]),
        None if run_of is None else SeriesRun.parse(run_of), run_of is not None,
    )  # fmt: skip


def _words(command: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        message = f"--against {command!r} can't be split into words: {str(error).lower()}"
        raise UsageError(message, f"{_EXAMPLE} --against 'make -C ../base' -- make") from None
    if not words:
        raise UsageError("--against names no command", f"{_EXAMPLE} --against 'make -C ../base' -- make")
    return words


takes_series = option_group.takes("series", [*_OPTIONS, _RUN_OF], _parse)
"""Gives a command these options. The command has a parameter `series` of the type SeriesOptions for all of them."""
