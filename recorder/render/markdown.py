"""Text of processes in GitHub's Markdown, so that nothing of it is taken for markup: it goes into code spans.

In a code span there are no links, images, HTML, mentions or references to issues. https://github.github.com/gfm/
What is made here must be written as UTF-8: an encoding that lacks a character could put a | or ` in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..output.command_label import cut
from ..output.escape import safe

WIDTH = 70
"""Characters of a code span. GitHub's parser takes no more than 80 backticks for the begin of one."""

ENCODING = "utf-8"

_BACKTICKS = re.compile("`+")
_HARMLESS = re.compile(r"(?!.*www\.)[A-Za-z0-9 :;.,()%>+-]*")


def code(text: str | None, in_table: bool = False) -> str:
    """A text as a code span, cut to WIDTH. in_table: it is in a cell, where a | needs a backslash."""
    shown = cut(safe(text or ""), WIDTH) or "?"
    fence = "`" * (1 + max(map(len, _BACKTICKS.findall(shown)), default=0))
    # One space at each end belongs to the fence, if there is one at both.
    if shown[0] == "`" or shown[-1] == "`" or (shown[0] == shown[-1] == " " and shown.strip(" ")):
        shown = f" {shown} "
    return fence + (shown.replace("|", "\\|") if in_table else shown) + fence


def plain(text: str, in_table: bool = False) -> str:
    """A text of webpf's own; values of a recording in it are numbers and words, unless the file was made up."""
    return text if _HARMLESS.fullmatch(text) else code(text, in_table)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table, with an empty line before it. Columns whose names begin with > are aligned to the right."""
    yield ""
    yield f"| {' | '.join(column.removeprefix('>') for column in columns)} |"
    yield f"|{'|'.join('---:' if column.startswith('>') else '---' for column in columns)}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)
