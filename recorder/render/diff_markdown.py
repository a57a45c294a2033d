"""A comparison as Markdown, short enough for a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..analysis import diff, intervals
from ..analysis.conditions import Judgement, Verdict
from ..analysis.diff import ActivityChange, Comparison
from ..analysis.run_groups import RunGroup
from . import diff_text, markdown

SHOWN = 5
"""The most changes that are listed."""


def lines(comparison: Comparison, judgements: Sequence[Judgement]) -> Iterator[str]:
    """Yields the lines of the comparison. judgements: of the conditions of --fail-if."""
    before, after = comparison.before, comparison.after
    yield "## webpf diff"
    yield ""
    yield f"Before: {_name(before)}. After: {_name(after)}."
    for side in (before, after):
        for run in side.runs:
            if run.recording.caveat:
                yield ""
                yield f"> {_name(side)}: {markdown.plain(run.recording.caveat)}"
    for verdict, title in ((Verdict.MET, "More than allowed"), (Verdict.UNDECIDED, "Can't tell, more runs are needed")):
        if found := diff_text.texts(judgements, verdict):
            yield ""
            yield f"**{title}:** {', '.join(map(markdown.code, found))}"
    is_measured = comparison.method != intervals.SINGLE
    columns = ["", ">before", ">after", ">change", *([">95 % interval"] if is_measured else [])]
    yield from markdown.table(columns, [diff_text.row(each) for each in comparison.measures])
    changed = sorted((each for each in comparison.activities if each.changes), key=_rank)
    if changed:
        yield from markdown.table(["activity", "largest changes"], [_row(each) for each in changed[:SHOWN]])
    if len(changed) > SHOWN:
        yield ""
        yield f"and {len(changed) - SHOWN:,} more."
    for note in diff_text.notes(comparison, markdown.code):
        yield ""
        yield f"{note[:1].upper()}{note[1:]}."


def _name(side: RunGroup) -> str:
    numbers = [each.recording.id for each in side.runs]
    which = f"recording {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} runs"
    return f"{which} in {markdown.code(str(side.file))}" + (f" ({markdown.code(side.label)})" if side.label else "")


def _rank(activity: ActivityChange) -> tuple[bool, int, str]:
    """A sort key: activities that fail more often come first, then the largest change of wall time."""
    return diff.FAILING_MORE not in activity.changes, -abs(activity.wall_change_ns), activity.activity


def _row(activity: ActivityChange) -> list[str]:
    changes = "; ".join(_change(activity, kind) for kind in activity.changes)
    return [markdown.code(activity.activity, in_table=True), changes]


def _change(activity: ActivityChange, kind: str) -> str:
    before, after, how = diff_text.figures(activity, kind)
    if kind in (diff.NEW, diff.GONE):
        return f"{diff_text.CHANGES[kind]} ({how}, {after if kind == diff.NEW else before})"
    return f"{diff_text.CHANGES[kind]} {before} -> {after} ({how})"
