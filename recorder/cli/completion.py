"""Completion in the shell: saved queries and own ones, their parameters, and recordings. Errors offer nothing.

Each function returns pairs of a value and its description. Some shells show the description beside the value.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ..model.recording import Recording

_WAIT_SECONDS = 0.2  # for a locked file: the user waits at a prompt
_DESCRIPTION = 80  # the most characters
_NAME = re.compile(r"\w[\w.@%+,/-]*")


def complete_query() -> list[tuple[str, str]]:
    """Returns the names of the saved queries, with their titles."""
    from ..analysis import own_queries

    return [(query.name, query.title) for query in own_queries.load_all()[0]]


def complete_parameter(context: typer.Context) -> list[tuple[str, str]]:
    """Returns `KEY=` for each parameter of the saved query that the command line doesn't set yet."""
    from ..analysis import own_queries

    words = [context.params.get("name"), *context.args]
    known = {query.name: query for query in own_queries.load_all()[0]}
    query = next((known[word] for word in words if word in known), None)
    if query is None:
        return []
    given = {pair.partition("=")[0] for pair in context.params.get("parameter") or ()}
    wanted = [each for each in query.parameters if each.name not in given]
    return [(f"{each.name}=", f"{each.form}; {each.description}") for each in wanted]


def complete_recording(path: Path) -> list[tuple[str, str]]:
    """Returns the numbers and names of the recordings in a file, latest first.

    A name that a shell would split is shown only in the description of its number.
    """
    from ..storage import reader

    try:
        with reader.reading(path, _WAIT_SECONDS) as connection:
            found = reader.recordings(connection)[::-1]
        offered = {str(each.id): _describe(each) for each in found}
        for each in found:
            if each.name and _NAME.fullmatch(each.name):
                offered.setdefault(each.name, f"recording {each.id}: {_describe(each)}")
        return list(offered.items())
    except Exception:  # an error of the file is shown when the command runs, not at a Tab
        return []


def _describe(recording: Recording) -> str:
    from ..output import units
    from ..output.escape import safe

    length = units.duration(recording.until_ns - recording.started_ns)
    parts = [recording.name, recording.status, units.zoned_moment(recording.started_ns), length]
    return safe(", ".join(part for part in parts if part))[:_DESCRIPTION]
