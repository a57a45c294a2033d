"""The arguments and options that choose a file and a recording in it: FILE or --db, FILE:N or --recording."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from ..capture.record_options import RecordOptions
from ..errors import UsageError
from ..host import service_place
from ..host.invocation import called_command
from ..host.paths import exists
from ..model import argv
from . import completion

DEFAULT_DB = RecordOptions.db
ENVIRONMENT = "WEBPF_DB"

_DEFAULT_FILE = f"Default: ${ENVIRONMENT}, or {DEFAULT_DB} in the current folder, or the file of the service."


def _complete_recording(context: typer.Context) -> list[tuple[str, str]]:
    """Returns what the shell offers for --recording.

    While an option lacks its value, Typer has not assigned the arguments to their names yet: this does it.
    """
    arguments = [str(each.name) for each in context.command.params if each.param_type_name == "argument"]
    given = context.params | dict(zip(arguments, context.args, strict=False))
    try:
        return completion.complete_recording(choose(given.get("file"), given.get("db")).path)
    except UsageError:
        return []


# file_check.py checks whether a file can be read, and who owns it: its messages say more than Typer's.
File = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE", help=f"Recording file, or FILE:N for recording N in it. {_DEFAULT_FILE}", show_default=False
    ),
]
WholeFile = Annotated[
    str | None, typer.Argument(metavar="FILE", help=f"Recording file. {_DEFAULT_FILE}", show_default=False)
]
Db = Annotated[str | None, typer.Option("--db", metavar="FILE", help="The same as FILE.")]
Recording = Annotated[
    str | None,
    typer.Option(
        "--recording",
        metavar="N|NAME",
        help="Recording by number or name (the latest of that name). Default: the latest.",
        autocompletion=_complete_recording,
    ),
]
RecordingOrAll = Annotated[
    str | None,
    typer.Option(
        "--recording",
        metavar="N|NAME",
        help="Only this recording, by number or name (the latest of that name). Default: all.",
        autocompletion=_complete_recording,
    ),
]
RecordingOrEnded = Annotated[
    str | None,
    typer.Option(
        "--recording",
        metavar="N|NAME",
        help="Recording by number or name (the latest of that name). Default: the latest; with --to parquet, all that"
        " have ended.",
        autocompletion=_complete_recording,
    ),
]


class Chosen(NamedTuple):
    """A file and a recording in it, by number or name. None is the latest recording, or all, as the command says."""

    path: Path
    recording: str | None


def choose(file: str | None, db: str | None, recording: str | None = None) -> Chosen:
    """Returns the file and the recording that the options name. Raises UsageError if they contradict each other."""
    if file is not None and db is not None and file != db:
        raise UsageError(f"two files are named, {file} and {db}: this command reads one", f"{called_command()} --help")
    chosen = split_reference(
        next(each for each in (file, db, os.environ.get(ENVIRONMENT) or str(_default_file())) if each is not None)
    )
    if recording is None:
        return chosen
    if chosen.recording is not None and chosen.recording != recording:
        message = f"two recordings are named, {chosen.recording} and {recording}"
        raise UsageError(message, f"{called_command()} --recording {argv.word(recording)}")
    return Chosen(chosen.path, recording)


def _default_file() -> Path:
    """Returns the file for a command that names none: the service's, if there is one, and no file in this folder.

    An ordinary user can't look into the service's folder: then the message of file_check says how to become a reader.
    """
    has_service = exists(service_place.DB) or exists(service_place.UNIT_FILE)
    return service_place.DB if has_service and not exists(DEFAULT_DB) else DEFAULT_DB


def choose_file(file: str | None, db: str | None) -> Path:
    """Returns the file, for a command about a whole file. Raises UsageError also if a recording is named."""
    chosen = choose(file, db)
    if chosen.recording is not None:
        message = f"this command is about a whole file, not about recording {chosen.recording} of it"
        raise UsageError(message, f"{called_command()} --db {argv.file_word(chosen.path)}")
    return chosen.path


def split_reference(reference: str) -> Chosen:
    """Splits FILE:N, where N can also be a name. If a file has exactly this name, it is that file."""
    if not exists(reference):
        file, colon, recording = reference.rpartition(":")
        if colon and file and recording and (recording.isdigit() or exists(file)):
            return Chosen(Path(file), recording)
    return Chosen(Path(reference), None)
