"""The command that compares: options in, text and exit code out. Nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from .recording_choice import Chosen, Db, File, choose_file, split

_EXCEEDED = 1


_REFERENCE = "FILE, FILE:N, or a number or name in the file named by --db"


def diff(
    before: Annotated[
        str | None,
        typer.Argument(
            metavar="BEFORE", help=f"A recording: {_REFERENCE}. Default: the last but one.", show_default=False
        ),
    ] = None,
    after: Annotated[
        str | None, typer.Argument(metavar="AFTER", help="Likewise. Default: the latest.", show_default=False)
    ] = None,
    file: File = None,
    db: Db = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option("--fail-if", metavar="CONDITION", help="Exit with 1 if, as 'wall>10%'; may be given again."),
    ] = None,
) -> None:
    """Compare two recordings.

    What is new, gone, slower, hungrier, failing now. --fail-if makes it a test.
    """
    from ..analysis import diff as reading
    from ..analysis import difference
    from ..output.messages import say, write_lines

    conditions = [difference.Condition.parse(text) for text in fail_if or []]
    one, other = (reading.read(*chosen) for chosen in _chosen(before, after, file, db))
    write_lines(difference.lines(one, other))
    for each in (one, other):
        if each.caveat:
            say(f"{each.name}: {each.caveat}")
    met = [condition.text for condition in conditions if condition.is_met(one.whole, other.whole)]
    if met:
        say(f"more than allowed: {', '.join(met)}")
        raise typer.Exit(_EXCEEDED)


def _chosen(before: str | None, after: str | None, file: str | None, db: str | None) -> tuple[Chosen, Chosen]:
    """The two recordings to compare. Raises UsageError if only one is named."""
    if after is None and before is not None and Path(before).exists():
        before, file = None, before
    path = choose_file(file, db)
    if before is None or after is None:
        if before is not None:
            raise UsageError("diff takes two recordings, or none for the last two", "webpf diff 1 2")
        from ..analysis import diff as reading

        older, latest = reading.last_two(path)
        return Chosen(path, str(older)), Chosen(path, str(latest))
    return _referred(before, path), _referred(after, path)


def _referred(reference: str, db: Path) -> Chosen:
    chosen = split(reference)
    is_path = chosen.recording is not None or "/" in reference or reference.endswith(".db") or chosen.path.exists()
    return chosen if is_path and not reference.isdecimal() else Chosen(db, reference)
