"""The commands `report` and `tree`, which show what happened in a recording."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from ..errors import NotFound, UsageError
from ..model import argv
from ..model.scope import EVERYTHING, Scope
from .options import AsReport, AsText, ReportFormat, TextFormat
from .output_spool import spooled
from .recording_choice import Db, File, Recording, choose
from .scope_options import takes_scope

if TYPE_CHECKING:
    from ..analysis.tree_view import Tree
    from ..model.recording import Recording as Recorded


@takes_scope
def tree(
    file: File = None,
    recording: Recording = None,
    db: Db = None,
    pid: Annotated[
        int | None, typer.Option("--pid", metavar="N", help="Start at the process with this pid (the latest).")
    ] = None,
    id: Annotated[int | None, typer.Option("--id", metavar="N", help="Start at the process with this id.")] = None,
    depth: Annotated[
        int, typer.Option("--depth", metavar="N", min=0, help="Show at most N levels; count what is below.")
    ] = 100,
    folds: Annotated[
        bool, typer.Option("--fold/--no-fold", help="Show siblings that did the same on one line.")
    ] = True,
    format: AsText = TextFormat.text,
    scope: Scope = EVERYTHING,
) -> None:
    """Show which process started which.

    Each line shows the times of a process and how it ended. Siblings that did the same share a line.
    """
    from ..analysis import pid_owner, process_tree
    from ..analysis import tree_view as trees
    from ..output.messages import say
    from ..storage import reader, scoped

    if pid is not None and id is not None:
        raise UsageError("--pid and --id both name the process at the top", f"webpf tree --id {id}")
    path, wanted = choose(file, db, recording)
    with spooled(sys.stdout, whole=True, pages=format is TextFormat.text) as output, reader.reading(path) as connection:
        chosen = scoped.find(connection, path, wanted, scope, id=id)
        found = chosen.recording
        owners = [] if pid is None else pid_owner.find_owners(connection, found.id, pid)
        shown = trees.Tree(process_tree.read(connection, found.id), folds)
        top = owners[0] if owners else chosen.id
        if (pid is not None and top is None) or (top is not None and top not in shown):
            raise _no_such_process(found, path, pid, id)
        # While the file is open: a wrong value in it fails here, and reader.reading() explains the error.
        _write_tree(output, format, path, found, shown, top, depth)
    note = None if pid is None else pid_owner.describe_owners(pid, owners, "--id N")
    for line in (chosen.about, note, _left_out(shown.idle if top is None else 0), found.caveat):
        if line:
            say(line)


def _write_tree(
    output: TextIO, format: TextFormat, path: Path, recording: Recorded, tree: Tree, top: int | None, depth: int
) -> None:
    from ..output.messages import write_lines
    from ..render import json_document, tree_json, tree_text

    branches = tree.branches(top, depth)
    if format is TextFormat.json:
        json_document.write(tree_json.tree_document(path, recording, branches, top, tree.idle), output)
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        write_lines(tree_text.lines(branches, width), output)


def _left_out(idle: int) -> str | None:
    what = "1 process" if idle == 1 else f"{idle:,} processes"
    return f"left out: {what} that ran all the time and started nothing" if idle else None


def _no_such_process(recording: Recorded, path: Path, pid: int | None, id: int | None) -> NotFound:
    name = f"process {pid}" if id is None else f"process with the id {id}"
    return NotFound(f"recording {recording.id} has no {name}", f"webpf tree {argv.file_word(path)}")


@takes_scope
def report(
    file: File = None,
    recording: Recording = None,
    db: Db = None,
    format: AsReport = ReportFormat.text,
    scope: Scope = EVERYTHING,
) -> None:
    """Show where the time of a recording went.

    The report shows concurrency, serial sections, the critical path and repeated commands.
    """
    from ..analysis import command_summary
    from ..analysis import report as reports
    from ..output.messages import say, write_lines
    from ..render import json_document, markdown, report_json, report_markdown, report_text
    from ..storage import reader, scoped

    path, wanted = choose(file, db, recording)
    shown = report_json.SUMMARY_SHOWN if format is ReportFormat.json else command_summary.SHOWN
    encoding = markdown.ENCODING if format is ReportFormat.markdown else None
    with spooled(sys.stdout, True, encoding, format is ReportFormat.text) as output, reader.reading(path) as connection:
        chosen = scoped.find(connection, path, wanted, scope)
        result = reports.read(connection, chosen.recording, shown)
        # While the file is open: a wrong value in it fails here, and reader.reading() explains the error.
        if format is ReportFormat.json:
            json_document.write(report_json.report_document(path, result), output)
        elif format is ReportFormat.markdown:
            write_lines(report_markdown.lines(path, result), output)
        else:
            write_lines(report_text.lines(result), output)
    for line in (chosen.about, chosen.recording.caveat):
        if line:
            say(line)
