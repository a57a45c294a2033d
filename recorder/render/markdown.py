"""Writes names and arguments of processes in GitHub's Markdown, as code spans, so that they can't act as markup.

A code span can't contain links, images, HTML, mentions or references to issues: https://github.github.com/gfm/
The output must be encoded as UTF-8. An encoding that lacks a character could write a | or ` in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..output.command_label import cut
from ..output.escape import safe

WIDTH = 70
"""The most characters of a code span. GitHub's parser doesn't accept more than 80 backticks as its start."""

ENCODING = "utf-8"

_BACKTICKS = re.compile("`+")
_HARMLESS = re.compile(r"(?!.*www\.)[A-Za-z0-9 :;.,()%>+-]*")


def code(text: str | None, in_table: bool = False) -> str:
    """Returns a text as a code span, cut to WIDTH. in_table: for a table cell, where a | needs a backslash."""
    shown = cut(safe(text or ""), WIDTH) or "?"
    fence = "`" * (1 + max(map(len, _BACKTICKS.findall(shown)), default=0))
    # If there is a space at both ends, Markdown removes one from each.
    if shown[0] == "`" or shown[-1] == "`" or (shown[0] == shown[-1] == " " and shown.strip(" ")):
        shown = f" {shown} "
    return fence + (shown.replace("|", "\\|") if in_table else shown) + fence


def plain(text: str, in_table: bool = False) -> str:
    """Returns a text that webpf wrote itself. It becomes a code span if values from a damaged file make it unsafe."""
    return text if _HARMLESS.fullmatch(text) else code(text, in_table)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yields the lines of a table, after an empty line. Columns whose names begin with > are aligned to the right."""
    yield ""
    yield f"| {' | '.join(column.removeprefix('>') for column in columns)} |"
    yield f"|{'|'.join('---:' if column.startswith('>') else '---' for column in columns)}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)
