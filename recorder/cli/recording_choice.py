"""Which file, and which recording in it, a command is about: FILE or --db, FILE:N or --recording."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from ..capture.record_options import RecordOptions
from ..errors import UsageError
from . import completion

DEFAULT_DB = RecordOptions.db
ENVIRONMENT = "WEBPF_DB"

_FILE_HELP = f"Recording file; FILE:N is recording N in it. Default: ${ENVIRONMENT}, or {DEFAULT_DB} here."


def _complete_recording(context: typer.Context) -> list[tuple[str, str]]:
    """What the shell offers for --recording. Arguments are still to be assigned while an option lacks its value."""
    arguments = [each.name for each in context.command.params if each.param_type_name == "argument"]
    given = {**context.params, **dict(zip(arguments, context.args, strict=False))}
    try:
        return completion.complete_recording(choose(given.get("file"), given.get("db")).path)
    except UsageError:
        return []


# Whether a file can be read, and whose it is, is said in file_check.py: Typer's own check says less.
File = Annotated[str | None, typer.Argument(metavar="FILE", help=_FILE_HELP, show_default=False)]
Db = Annotated[str | None, typer.Option("--db", metavar="FILE", help="The same as FILE.")]
Recording = Annotated[
    str | None,
    typer.Option(
        "--recording",
        metavar="N|NAME",
        help="Recording by its number or name, a shared name: its latest. Default: the latest.",
        autocompletion=_complete_recording,
    ),
]


class Chosen(NamedTuple):
    """A file, and a recording in it by number or name; None: the latest, or all."""

    path: Path
    recording: str | None


def choose(file: str | None, db: str | None, recording: str | None = None) -> Chosen:
    """What the options of a command name together. Raises UsageError if they contradict each other."""
    if file is not None and db is not None and file != db:
        raise UsageError(f"two files are named, {file} and {db}: this command reads one", f"{_called_command()} --help")
    chosen = split_reference(
        next(each for each in (file, db, os.environ.get(ENVIRONMENT) or str(DEFAULT_DB)) if each is not None)
    )
    if recording is None:
        return chosen
    if chosen.recording is not None and chosen.recording != recording:
        message = f"two recordings are named, {chosen.recording} and {recording}"
        raise UsageError(message, f"{_called_command()} --recording {recording}")
    return Chosen(chosen.path, recording)


def choose_file(file: str | None, db: str | None) -> Path:
    """The same for a command about whole files. Raises UsageError also if a recording is named."""
    chosen = choose(file, db)
    if chosen.recording is not None:
        message = f"this command is about a whole file, not about recording {chosen.recording} of it"
        raise UsageError(message, f"{_called_command()} --db {chosen.path}")
    return chosen.path


def split_reference(reference: str) -> Chosen:
    """FILE or FILE:N, where N can also be a name. A file of this very name goes first."""
    if not Path(reference).exists():
        file, colon, recording = reference.rpartition(":")
        if colon and file and recording and (recording.isdigit() or Path(file).exists()):
            return Chosen(Path(file), recording)
    return Chosen(Path(reference), None)


def _called_command() -> str:
    import sys

    return " ".join(["webpf", *sys.argv[1:2]])
