"""The command `diff`, which compares two recordings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from ..host.paths import exists
from ..model.scope import EVERYTHING, Scope
from .options import AsReport, ReportFormat
from .output_spool import spooled
from .recording_choice import Chosen, Db, WholeFile, choose_file, split_reference
from .scope_options import takes_scope

if TYPE_CHECKING:
    from ..analysis.diff import Comparison, Condition

_EXCEEDED = 1  # exit code
_REFERENCE = "FILE, FILE:N, or a number or name in --db"

_FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="CONDITION",
        help="Exit with code 1 if this holds, such as 'wall>10%'. Can be repeated.",
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
    """Compare two recordings.

    Lists what is new, gone or slower, needs more CPU time or memory, or fails more often. With --fail-if, the exit code
    says whether something got worse than allowed.
    """
    from ..analysis import diff as comparing
    from ..output.messages import say

    conditions = [comparing.Condition.parse(text) for text in fail_if or []]
    one, other = (comparing.read(*chosen, scope) for chosen in _choose_two(before, after, file, db))
    met = [condition for condition in conditions if condition.is_met(one.whole, other.whole)]
    _write(comparing.compare(one, other), conditions, met, format)
    for each in (one, other):
        for line in (each.about, each.recording.caveat):
            if line:
                say(f"{each.name}: {line}")
    if met:
        say(f"more than allowed: {', '.join(condition.text for condition in met)}")
        raise typer.Exit(_EXCEEDED)


def _write(comparison: Comparison, conditions: list[Condition], met: list[Condition], format: ReportFormat) -> None:
    from ..output.messages import write_lines
    from ..render import diff_json, diff_markdown, diff_text, json_document, markdown

    encoding = markdown.ENCODING if format is ReportFormat.markdown else None
    with spooled(sys.stdout, True, encoding, format is ReportFormat.text) as output:
        if format is ReportFormat.json:
            listed = [(condition, condition in met) for condition in conditions]
            json_document.write(diff_json.diff_document(comparison, listed), output)
        elif format is ReportFormat.markdown:
            write_lines(diff_markdown.lines(comparison, met), output)
        else:
            write_lines(diff_text.lines(comparison), output)


def _choose_two(before: str | None, after: str | None, file: str | None, db: str | None) -> tuple[Chosen, Chosen]:
    """Returns the two recordings to compare. Raises UsageError if only one is named."""
    if after is None and before is not None and exists(before):
        before, file = None, before
    path = choose_file(file, db)
    if before is None or after is None:
        if before is not None:
            raise UsageError("diff takes two recordings, or none for the last two", "webpf diff 1 2")
        from ..analysis import diff as comparing

        older, latest = comparing.last_two(path)
        return Chosen(path, str(older)), Chosen(path, str(latest))
    return _resolve_reference(before, path), _resolve_reference(after, path)


def _resolve_reference(reference: str, db: Path) -> Chosen:
    chosen = split_reference(reference)
    is_path = chosen.recording is not None or "/" in reference or reference.endswith(".db") or exists(chosen.path)
    return chosen if is_path and not reference.isdecimal() else Chosen(db, reference)
