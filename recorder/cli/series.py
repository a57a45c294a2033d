"""`webpf record --runs`: calls webpf for each run, and prepares it. Each of these calls makes one recording.

So each run has a supervisor and a recorder of its own, as a single recording has, and none is warmer than another.
"""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING

from ..capture.command import Command, find_command
from ..capture.command_launch import Start
from ..capture.foreground import Foreground, webpf_again
from ..capture.record_options import RecordOptions
from ..errors import Signalled, StorageError, WebpfError
from ..host import sudo_user
from ..model import argv
from ..model.series import SeriesRun
from ..output.messages import say
from .series_options import LEAST_AUTO_RUNS, SeriesOptions

if TYPE_CHECKING:
    from ..analysis.recording_costs import RecordingCosts
    from ..analysis.run_groups import RunGroup

_COMMAND = "record"
_RUN_OF = "--run-of"


class _Ended(WebpfError):
    """A program that ended the series, with its exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = code


def record(options: RecordOptions, series: SeriesOptions, quiet: bool) -> int:
    """Records all runs. Returns the exit code. Raises a WebpfError with the exit code of the run that ended it."""
    return _Series(options, series, quiet).run()


def record_once() -> int:
    """Calls webpf with the same words, for a command that only has --runs as a word of its own."""
    return Foreground().run(webpf_again(_words_with("none")))


def _words_with(run_of: str) -> list[str]:
    """Returns the words of this call, with --run-of."""
    words = sys.argv[1:]
    at = words.index(_COMMAND) + 1
    return [*words[:at], f"{_RUN_OF}={run_of}", *words[at:]]


class _Series:
    def __init__(self, options: RecordOptions, series: SeriesOptions, quiet: bool) -> None:
        self._options = options
        self._series = series
        self._quiet = quiet
        self._group = uuid.uuid4().hex
        self._sides = [False, True] if series.against else [False]
        self._commands = {side: self._find(side) for side in self._sides}
        self._ids: dict[bool, dict[int, int]] = {side: {} for side in self._sides}  # of recordings, by run
        self._costs: dict[int, RecordingCosts] = {}  # by the id of the recording
        self._foreground = Foreground()

    def _find(self, is_against: bool) -> Command:
        command = find_command(self._series.of_side(self._options, is_against).command, self._options.as_root)
        assert command is not None
        return command

    def run(self) -> int:
        for _ in range(self._series.warmup):
            for side in self._sides:
                self._prepare(side)
                self._check(self._call(self._commands[side].launched_as), "the warmup", side)
        for number in range(1, self._series.runs + 1):
            # A B B A and so on, so that a drift of the machine hits both sides alike.
            for side in self._sides if number % 2 else reversed(self._sides):
                self._prepare(side)
                self._record(number, side)
            if self._series.is_auto and self._suffices(number):
                break
        if not self._quiet:
            self._say_next()
        return 0

    def _prepare(self, is_against: bool) -> None:
        text = self._series.preparation(is_against)
        if text is None:
            return
        invoker = None if self._options.as_root else sudo_user.find()
        code = self._call(Command(["/bin/sh", "-c", text], invoker).launched_as)
        if code:
            raise _Ended(f"{text}: --prepare failed (exit code {code}), so the series ends", code)

    def _record(self, number: int, is_against: bool) -> None:
        from ..analysis import run_groups

        total = 0 if self._series.is_auto else self._series.runs
        run = SeriesRun(self._group, number, total, is_against)
        code = self._call(webpf_again(_words_with(run.text)))
        found = run_groups.find_run(self._options.db, run) if self._options.db.exists() else None
        name = run.label(self._series.of_side(self._options, is_against).name)
        if found is None:
            if code:
                raise _Ended(f"{name} was not recorded, so the series ends", code)
            hint = f"webpf recordings {argv.file_word(self._options.db)}"
            raise StorageError(f"{name} was not recorded completely, so the series ends", hint)
        self._check(code, name, is_against)
        if not code:
            self._ids[is_against][number] = found.id

    def _check(self, code: int, what: str, is_against: bool) -> None:
        """Raises _Ended if a run failed, and that isn't ignored."""
        if not code:
            return
        command = argv.word(self._commands[is_against].argv[0])
        if not self._series.ignore_failure:
            raise _Ended(f"{what} failed ({command}: exit code {code}), so the series ends; see --ignore-failure", code)
        say(f"{what} failed ({command}: exit code {code}); webpf diff will leave it out")

    def _call(self, start: Start) -> int:
        """Runs a program and returns its exit code. Raises Signalled if a stop signal came before or meanwhile."""
        code = 0 if self._foreground.stop_signal() else self._foreground.run(start)
        number = self._foreground.stop_signal()
        if number is not None:
            kept = sum(map(len, self._ids.values()))
            raise Signalled(f"signal {number} ended the series; {kept} runs are kept", number)
        return code

    def _suffices(self, number: int) -> bool:
        """Returns whether the runs until this one decide what --to-decide says. Says so at the end."""
        from ..analysis import precision
        from ..analysis.conditions import Condition
        from ..render.diff_text import precision_text

        succeeded = frozenset.intersection(*(frozenset(self._ids[side]) for side in self._sides))
        if number < LEAST_AUTO_RUNS or not succeeded:
            return False
        own, *against = (self._group_of(side, succeeded) for side in self._sides)
        conditions = [Condition.parse(text) for text in self._series.to_decide]
        found = [
            precision.of_change(each, against[0], own) if against else precision.of_side(each, own)
            for each in conditions
        ]
        suffices = all(each.is_reached for each in found)
        if suffices or number == self._series.runs:
            words = "suffice to decide" if suffices else "don't suffice to decide"
            say(f"{number} runs{' a side' if against else ''} {words} {', '.join(map(precision_text, found))}")
        return suffices

    def _group_of(self, side: bool, numbers: frozenset[int]) -> RunGroup:
        from ..analysis import recording_costs
        from ..analysis.run_groups import RunGroup

        ids = [self._ids[side][number] for number in sorted(numbers)]
        for id in ids:
            if id not in self._costs:
                self._costs[id] = recording_costs.read(self._options.db, id)
        return RunGroup(self._options.db, tuple(self._costs[id] for id in ids))

    def _say_next(self) -> None:
        file = argv.file_word(self._options.db)
        names = [self._series.of_side(self._options, side).name for side in reversed(self._sides)]
        if len(names) == 2:
            say(f"next: webpf diff {' '.join(argv.word(str(name)) for name in names)} --db {file}")
