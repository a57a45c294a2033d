"""The command tree: options in, lines out. Nothing else."""

from __future__ import annotations

import shutil
import sys
from typing import Annotated

import typer

from ..errors import NotFound, UsageError
from ..model import argv
from .options import DEFAULT_DB, File, Recording


def tree(
    file: File = DEFAULT_DB,
    recording: Recording = None,
    pid: Annotated[
        int | None, typer.Option("--pid", metavar="N", help="From this process down; of several, from the latest.")
    ] = None,
    id: Annotated[int | None, typer.Option("--id", metavar="N", help="From the process with this id down.")] = None,
    depth: Annotated[
        int, typer.Option("--depth", metavar="N", min=0, help="At most so many levels; what is below is counted.")
    ] = 100,
    folds: Annotated[bool, typer.Option("--fold/--no-fold", help="Siblings that did the same as one line.")] = True,
) -> None:
    """Show who started whom, with times and outcomes, folded where it repeats."""
    from ..analysis import pid_owner, process_tree
    from ..analysis import tree_view as trees
    from ..output.messages import say, write_lines
    from ..storage import reader

    if pid is not None and id is not None:
        raise UsageError("--pid and --id both name the process at the top", f"webpf tree --id {id}")
    with reader.reading(file) as connection:
        if id is not None and recording is None:
            recording = pid_owner.recording_of(connection, id)
        found = reader.find(connection, file, recording)
        number = found.id
        owners = [] if pid is None else pid_owner.find(connection, number, pid)
        shown = trees.Tree(process_tree.read(connection, number), folds)
        top = owners[0] if owners else id
        if (pid is not None and top is None) or (top is not None and top not in shown):
            name = f"process {pid}" if id is None else f"process with the id {id}"
            raise NotFound(f"recording {number} has no {name}", f"webpf tree {argv.file_word(file)}")
        # While the file is open: what is wrong with its values shows here, and is explained there.
        lines = list(shown.lines(top, depth, shutil.get_terminal_size().columns if sys.stdout.isatty() else None))
    note = None if pid is None else pid_owner.note(pid, owners, "--id N")
    if note:
        say(note)
    write_lines(lines)
    if top is None and shown.idle:
        what = "1 process" if shown.idle == 1 else f"{shown.idle:,} processes"
        say(f"left out: {what} that ran all the time and started nothing")
    if found.caveat:
        say(found.caveat)
