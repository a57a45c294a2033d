"""The tree of processes as text, one line for each branch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..analysis.tree_view import Branch
from ..output.command_label import cut
from ..output.units import duration

DEPTH = 100
"""The most levels that are drawn before a line. A deeper line begins with "…", followed by its last levels."""

_LEAST = 16  # characters of a command line that a narrow terminal shows at least
_BRANCH, _LAST, _PAST, _UNDER_LAST = "├─ ", "└─ ", "│  ", "   "


def lines(branches: Iterable[Branch], width: int | None = None) -> Iterator[str]:
    """Yields a line for each branch. width: command lines are cut, so that a line has at most this many characters."""
    above: list[str] = []  # for each level below the top, what is drawn in the lines below
    for branch in branches:
        before = ""
        if branch.level:
            del above[branch.level - 1 :]
            before = "".join([*above[-DEPTH + 1 :], _LAST if branch.is_last else _BRANCH])
            above.append(_UNDER_LAST if branch.is_last else _PAST)
        else:
            above.clear()
        if branch.level > DEPTH:  # otherwise a chain of n processes would take n * n characters
            before = f"… {before}"
        yield before + _described(branch, None if width is None else width - len(before))


def _described(branch: Branch, width: int | None) -> str:
    nodes, hidden = branch.nodes, branch.hidden
    figures = f"  [{', '.join(_figures(branch))}]"
    if hidden:
        figures += f" … {hidden:,} more process{'' if hidden == 1 else 'es'} below"
    if len(nodes) > 1:
        return f"{len(nodes):,} x {nodes[0].program}{figures}"
    return cut(nodes[0].line, None if width is None else max(width - len(figures), _LEAST)) + figures


def _figures(branch: Branch) -> Iterator[str]:
    """Yields the times of a branch, and how its processes ended if not with exit 0."""
    known = branch.lifetimes_ns
    if len(branch.nodes) > 1 and known:
        yield f"{duration(sum(known))} in all"
        yield f"longest {duration(max(known))}"
    elif known:
        yield duration(known[0])
    if branch.cpu_ns is not None:
        yield f"CPU {duration(branch.cpu_ns)}"
    outcome = branch.nodes[0].outcome
    if outcome != "exit 0":
        yield outcome
