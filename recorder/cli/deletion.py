"""The commands `delete` and `vacuum`, which make a recording file smaller."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import UsageError
from ..model import argv, moments
from . import upgrade
from .recording_choice import Db, File, WholeFile, choose, choose_file

Numbers = Annotated[
    list[str] | None,
    typer.Option("--recording", metavar="N|NAME", help="Recording by number or name. Can be repeated."),
]
Before = Annotated[
    str | None,
    typer.Option(
        "--before",
        metavar="WHEN",
        help="All recordings that had ended by then: 2026-11-27, 'yesterday 22:00', or -7d for seven days ago.",
    ),
]


def delete(file: File = None, recording: Numbers = None, before: Before = None, db: Db = None) -> None:
    """Delete recordings from a file.

    Their room goes back to the file system. Somebody can record into the file, or read it, meanwhile. The segments of a
    chain can be deleted from its beginning or its end.
    """
    from ..output import units
    from ..output.messages import say
    from ..storage import delete as deleting
    from .progress_bar import ProgressBar

    chosen = choose(file, db)
    wanted = [*([chosen.recording] if chosen.recording is not None else []), *(recording or [])]
    word = argv.file_word(chosen.path)
    if before is not None and wanted:
        raise UsageError("--before and --recording can't be used together", f"webpf delete {word} --before -7d")
    if before is None and not wanted:
        raise UsageError("nothing says what to delete", f"webpf delete {word} --recording 1")
    until = None if before is None else moments.parse("--before", before)
    upgrade.before_writing(chosen.path)
    with ProgressBar("the deletion", outcome="run it again to delete what is left") as progress:
        done = deleting.delete(chosen.path, wanted, until, progress)
    named = f"recording{'s' * (len(done.recordings) > 1)} {', '.join(map(str, done.recordings))}"
    sizes = f"{units.byte_size(done.bytes_before)} before, {units.byte_size(done.bytes_after)} now"
    say(f"{chosen.path}: {named} deleted, {done.rows:,} rows; {sizes}")


def vacuum(file: WholeFile = None, db: Db = None) -> None:
    """Give the room of deleted rows back.

    Rewrites the file, which needs room for a copy of it. While somebody records into the file, it only gives free pages
    back.
    """
    from ..output import units
    from ..output.messages import say
    from ..storage import vacuum as vacuuming
    from .progress_bar import ProgressBar

    path = choose_file(file, db)
    upgrade.before_writing(path)
    with ProgressBar("the vacuum") as progress:
        done = vacuuming.vacuum(path, progress)
    limited = "; somebody records into it, so only free pages were given back" if done.goes_on else ""
    say(f"{path}: {units.byte_size(done.bytes_before)} before, {units.byte_size(done.bytes_after)} now{limited}")
