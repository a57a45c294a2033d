"""The commands that tell what happened in a recording: options in, text out."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import NotFound, UsageError
from ..model import argv
from .recording_choice import Db, File, Recording, choose

if TYPE_CHECKING:
    from ..model.recording import Recording as Recorded


def tree(
    file: File = None,
    recording: Recording = None,
    db: Db = None,
    pid: Annotated[
        int | None, typer.Option("--pid", metavar="N", help="From this process down; of several, from the latest.")
    ] = None,
    id: Annotated[int | None, typer.Option("--id", metavar="N", help="From the process with this id down.")] = None,
    depth: Annotated[
        int, typer.Option("--depth", metavar="N", min=0, help="At most so many levels; what is below is counted.")
    ] = 100,
    folds: Annotated[bool, typer.Option("--fold/--no-fold", help="Siblings that did the same as one line.")] = True,
) -> None:
    """Show which process started which.

    With times and outcomes, and folded where it repeats.
    """
    from ..analysis import pid_owner, process_tree
    from ..analysis import tree_view as trees
    from ..output.messages import say, write_lines
    from ..storage import reader

    if pid is not None and id is not None:
        raise UsageError("--pid and --id both name the process at the top", f"webpf tree --id {id}")
    path, wanted = choose(file, db, recording)
    with reader.reading(path) as connection:
        if id is not None and wanted is None:
            own = pid_owner.recording_of(connection, id)
            wanted = None if own is None else str(own)
        found = reader.find(connection, path, wanted)
        owners = [] if pid is None else pid_owner.find(connection, found.id, pid)
        shown = trees.Tree(process_tree.read(connection, found.id), folds)
        top = owners[0] if owners else id
        if (pid is not None and top is None) or (top is not None and top not in shown):
            raise _no_such_process(found, path, pid, id)
        # While the file is open: what is wrong with its values shows here, and is explained there.
        lines = list(shown.lines(top, depth, shutil.get_terminal_size().columns if sys.stdout.isatty() else None))
    if note := None if pid is None else pid_owner.note(pid, owners, "--id N"):
        say(note)
    write_lines(lines)
    for line in (_left_out(shown.idle if top is None else 0), found.caveat):
        if line:
            say(line)


def _left_out(idle: int) -> str | None:
    what = "1 process" if idle == 1 else f"{idle:,} processes"
    return f"left out: {what} that ran all the time and started nothing" if idle else None


def _no_such_process(recording: Recorded, path: Path, pid: int | None, id: int | None) -> NotFound:
    name = f"process {pid}" if id is None else f"process with the id {id}"
    return NotFound(f"recording {recording.id} has no {name}", f"webpf tree {argv.file_word(path)}")


def report(file: File = None, recording: Recording = None, db: Db = None) -> None:
    """Tell the story of a recording.

    How busy it was, what ran alone, what decided the time, what was repeated.
    """
    from ..analysis import report as reports
    from ..output.messages import say, write_lines
    from ..storage import reader

    path, wanted = choose(file, db, recording)
    with reader.reading(path) as connection:
        found = reader.find(connection, path, wanted)
        lines = list(reports.lines(connection, found))
    write_lines(lines)
    if found.caveat:
        say(found.caveat)
