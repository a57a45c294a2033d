"""The command that compares: options in, text and exit code out. Nothing else."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import UsageError
from .options import DEFAULT_DB, Db

_EXCEEDED = 1


def diff(
    before: Annotated[
        str | None,
        typer.Argument(metavar="BEFORE", help="A recording: FILE, FILE:N, or N; default: the last but one."),
    ] = None,
    after: Annotated[str | None, typer.Argument(metavar="AFTER", help="Likewise; default: the latest.")] = None,
    db: Db = DEFAULT_DB,
    fail_if: Annotated[
        list[str] | None,
        typer.Option("--fail-if", metavar="CONDITION", help="Exit with 1 if, as 'wall>10%'; may be given again."),
    ] = None,
) -> None:
    """Compare two recordings: what is new, gone, slower, hungrier, failing now. --fail-if makes it a test."""
    from ..analysis import diff as reading
    from ..analysis import difference
    from ..output.messages import say, write_lines

    conditions = [difference.Condition.parse(text) for text in fail_if or []]
    if before is not None and after is None:
        raise UsageError("diff takes two recordings, or none for the last two", "webpf diff 1 2")
    references = (before, after) if before is not None and after is not None else reading.last_two(db)
    one, other = (reading.read(*reading.find(reference, db)) for reference in references)
    write_lines(difference.lines(one, other))
    for each in (one, other):
        if each.caveat:
            say(f"{each.name}: {each.caveat}")
    met = [condition.text for condition in conditions if condition.is_met(one.whole, other.whole)]
    if met:
        say(f"more than allowed: {', '.join(met)}")
        raise typer.Exit(_EXCEEDED)
