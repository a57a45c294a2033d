"""A comparison of two recordings as Markdown, short enough for a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..analysis import diff
from ..analysis.diff import ActivityChange, Comparison, Condition, RecordingCosts
from . import markdown
from .diff_text import CHANGES, MEASURES, NOISE, change_parts, figures, known_costs

SHOWN = 5
"""The most changes that are listed."""


def lines(comparison: Comparison, met: Iterable[Condition]) -> Iterator[str]:
    """Yields the lines of the comparison. met: the conditions of --fail-if that are met."""
    before, after = comparison.before, comparison.after
    yield "## webpf diff"
    yield ""
    yield f"Before: {_name(before)}. After: {_name(after)}."
    for each in (before, after):
        if each.recording.caveat:
            yield ""
            yield f"> {_name(each)}: {markdown.plain(each.recording.caveat)}"
    exceeded = [markdown.code(condition.text) for condition in met]
    if exceeded:
        yield ""
        yield f"**More than allowed:** {', '.join(exceeded)}"
    measures = (*diff.MEASURES, *known_costs(comparison))
    rows = [[MEASURES[each.condition][0], *change_parts(each, before.whole, after.whole)] for each in measures]
    yield from markdown.table(["", ">before", ">after", "change"], rows)
    changed = sorted((each for each in comparison.activities if each.changes), key=_rank)
    if changed:
        yield from markdown.table(["activity", "largest changes"], [_row(each) for each in changed[:SHOWN]])
    if len(changed) > SHOWN:
        yield ""
        yield f"and {len(changed) - SHOWN:,} more."
    yield ""
    yield f"{NOISE[:1].upper()}{NOISE[1:]}."


def _name(costs: RecordingCosts) -> str:
    name = costs.recording.name
    return f"recording {costs.recording.id} in {markdown.code(str(costs.file))}" + (
        f" ({markdown.code(name)})" if name else ""
    )


def _rank(activity: ActivityChange) -> tuple[bool, int, str]:
    """A sort key: activities that fail more often come first, then the largest change of wall time."""
    return diff.FAILING_MORE not in activity.changes, -abs(activity.wall_change_ns), activity.activity


def _row(activity: ActivityChange) -> list[str]:
    changes = "; ".join(f"{CHANGES[kind]} {figures(activity, kind)}" for kind in activity.changes)
    return [markdown.code(activity.activity, in_table=True), changes]
