"""The command `diff`, which compares two recordings, or two groups of runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Undecided, UsageError
from ..host.invocation import adapt_hint
from ..host.paths import exists
from ..model import argv
from ..model.scope import EVERYTHING, Scope
from .options import AsReport, ReportFormat
from .output_spool import spooled
from .recording_choice import Chosen, Db, WholeFile, choose_file, split_reference
from .scope_options import takes_scope

if TYPE_CHECKING:
    from ..analysis.conditions import Judgement
    from ..analysis.diff import Comparison
    from ..analysis.run_groups import RunGroup

_EXCEEDED = 1  # exit code
_LONGEST_SHOWN = 200  # characters of a command in a hint
_REFERENCE = "FILE, FILE:N, or a number or name in --db; a name of several runs is their group"

_FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="CONDITION",
        help="Exit with code 1 if this holds, such as 'wall>10%', 'wall>2s', 'rss>50MiB' or 'failures>0'; with 75 if"
        " the runs don't suffice to tell. Can be repeated.",
    ),
]


@takes_scope
def diff(
    before: Annotated[
        str | None,
        typer.Argument(
            metavar="BEFORE",
            help=f"First recording: {_REFERENCE}. Default: the one before the latest.",
            show_default=False,
        ),
    ] = None,
    after: Annotated[
        str | None,
        typer.Argument(
            metavar="AFTER", help="Second recording, named likewise. Default: the latest.", show_default=False
        ),
    ] = None,
    file: WholeFile = None,
    db: Db = None,
    fail_if: _FailIf = None,
    format: AsReport = ReportFormat.text,
    scope: Scope = EVERYTHING,
) -> None:
    """Compare two recordings, or groups of runs.

    Lists what is new, gone, slower or faster, needs more or less CPU time or memory, or fails more or less often. If a
    side has several runs, noise is measured, and each change has a 95 % confidence interval. With --fail-if, the exit
    code says whether something got worse than allowed: 1 if even the near end of its interval is above the limit.
    """
    from ..analysis import diff as comparing
    from ..analysis.conditions import Condition
    from ..output.messages import say

    conditions = [Condition.parse(text) for text in fail_if or []]
    comparison = comparing.compare(*_read_two(before, after, file, db, scope))
    judgements = comparison.judge(conditions)
    _write(comparison, judgements, format)
    for side in (comparison.before, comparison.after):
        for each in side.runs:
            for line in (each.about, each.recording.caveat):
                if line:
                    say(f"{each.name}: {line}")
    _exit_as_judged(judgements, comparison)


def _exit_as_judged(judgements: list[Judgement], comparison: Comparison) -> None:
    """Exits with 1 if a condition is met, and raises Undecided if none is, but the runs don't suffice for one."""
    from ..analysis.conditions import Verdict
    from ..analysis.intervals import SINGLE
    from ..output.messages import say
    from ..render.diff_text import texts

    met, undecided = (texts(judgements, verdict) for verdict in (Verdict.MET, Verdict.UNDECIDED))
    if met and comparison.method == SINGLE and not comparison.is_same:
        hint = adapt_hint(_more_runs("--runs 5", comparison))
        say(f"decided by one run a side, which can be noise; try: {hint}")
    if met:
        say(f"more than allowed: {', '.join(met)}" + (f"; can't tell: {', '.join(undecided)}" if undecided else ""))
        raise typer.Exit(_EXCEEDED)
    if undecided:
        first = next(each.condition.text for each in judgements if each.verdict is Verdict.UNDECIDED)
        hint = _more_runs(f"--runs auto --to-decide {shlex.quote(first)}", comparison)
        raise Undecided(f"can't tell, because the runs differ too much: {', '.join(undecided)}", hint)


def _more_runs(options: str, comparison: Comparison) -> str:
    """Returns the command that records the second side again, in turn with the first one if it was so."""
    file, name = argv.file_word(comparison.after.file), shlex.quote(comparison.after.label or "pr")
    against = f" --against {shlex.quote(_shown(comparison.before))}" if comparison.is_paired else ""
    return f"webpf record --db {file} {options} --name {name}{against} -- {_shown(comparison.after)}"


def _shown(group: RunGroup) -> str:
    """Returns the command line of a group; of one that isn't known, or is long, an example."""
    line = group.command or ""
    return line if 0 < len(line) <= _LONGEST_SHOWN and "…" not in line else "make"


def _write(comparison: Comparison, judgements: list[Judgement], format: ReportFormat) -> None:
    from ..output.messages import write_lines
    from ..render import diff_json, diff_markdown, diff_text, json_document, markdown

    encoding = markdown.ENCODING if format is ReportFormat.markdown else None
    with spooled(sys.stdout, True, encoding, format is ReportFormat.text) as output:
        if format is ReportFormat.json:
            json_document.write(diff_json.diff_document(comparison, judgements), output)
        elif format is ReportFormat.markdown:
            write_lines(diff_markdown.lines(comparison, judgements), output)
        else:
            write_lines(diff_text.lines(comparison), output)


def _read_two(
    before: str | None, after: str | None, file: str | None, db: str | None, scope: Scope
) -> tuple[RunGroup, RunGroup]:
    """Returns the two sides to compare. Raises UsageError if only one is named."""
    from ..analysis import run_groups

    if after is None and before is not None and exists(before):
        before, file = None, before
    path = choose_file(file, db)
    if before is None or after is None:
        if before is not None:
            raise UsageError("diff takes two recordings, or none for the last two", "webpf diff 1 2")
        return run_groups.last_two(path, scope)
    one, other = (run_groups.read(*_resolve_reference(each, path), scope) for each in (before, after))
    return one, other


def _resolve_reference(reference: str, db: Path) -> Chosen:
    chosen = split_reference(reference)
    is_path = chosen.recording is not None or "/" in reference or reference.endswith(".db") or exists(chosen.path)
    return chosen if is_path and not reference.isdecimal() else Chosen(db, reference)
