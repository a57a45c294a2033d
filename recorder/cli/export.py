"""The command `export`, which writes a recording in the format of another tool."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import typer

from ..errors import UsageError
from ..export.formats import FORMATS
from ..host.invocation import retry_at_home
from ..model import argv
from .options import Force
from .recording_choice import Db, File, Recording, choose

To = Enum("To", {name: name for name in FORMATS}, type=str)  # type: ignore[misc]
_CHROME = To("chrome")
_DESCRIPTIONS = "; ".join(f"{each.name}: {each.description}" for each in FORMATS.values()) + "."
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        readable=False,
        help="File to write; a folder for parquet. Default: standard output.",
    ),
]


class Weight(str, Enum):
    """What a stack adds up. The values are names in stacks.WEIGHTS."""

    WALL = "wall"
    CPU = "cpu"
    COUNT = "count"


def export(
    file: File = None,
    to: Annotated[To, typer.Option("--to", help=_DESCRIPTIONS)] = _CHROME,
    output: Output = None,
    recording: Recording = None,
    db: Db = None,
    weight: Annotated[
        Weight, typer.Option("--weight", help="What to add up in stacks: own time, CPU time or processes.")
    ] = Weight.WALL,
    force: Force = False,
) -> None:
    """Write a recording for another tool.

    Formats for Perfetto, speedscope, flame graphs, spreadsheets, DuckDB and OpenTelemetry.
    """
    from ..export import exporter
    from ..output.messages import say
    from ..storage import atomic_file
    from .progress_bar import ProgressBar

    path_of_db, wanted = choose(file, db, recording)
    if output is not None and atomic_file.is_same_file(output, path_of_db):
        raise UsageError(f"{output} is the recording file itself", retry_at_home("-o", output.with_suffix(".out")))
    path_in_folder = exporter.path_in_folder(path_of_db, wanted, to.value)
    if output is None:
        _check_output(to.value, path_of_db)
    path = output and output / (path_in_folder or "")
    is_file = path is not None and not atomic_file.is_stream(path)
    with (
        ProgressBar("the export", streams=not is_file) as progress,
        _output(path, force, path_in_folder is not None) as out,
    ):
        exported = exporter.export(path_of_db, wanted, to.value, weight.value, out, progress)
    written = f"{path}: {path.stat().st_size:,} bytes" if path is not None and is_file else None
    for line in (written, exported.caveat):
        if line:
            say(line)


def _check_output(to: str, file: Path) -> None:
    """Raises UsageError if a format can't go to standard output."""
    format = FORMATS[to]
    if format.path_in_folder is not None:
        raise UsageError(
            f"{to} goes into a folder, not to standard output",
            f"webpf export {argv.file_word(file)} --to {to} -o all",
        )
    if format.is_binary and sys.stdout.isatty():
        hint = f"webpf export {argv.file_word(file)} --to {to} -o trace.pftrace"
        raise UsageError(f"{to} is a binary format, which a terminal can't show", hint)


@contextmanager
def _output(path: Path | None, replaces: bool, makes_folders: bool) -> Iterator[BinaryIO]:
    """Opens the output of an export: standard output, a new file, or a pipe or device."""
    from ..storage import atomic_file
    from .output_spool import spooled_bytes

    if path is None:
        with spooled_bytes(sys.stdout.fileno(), "standard output") as output:
            yield cast(BinaryIO, output)
        return
    with atomic_file.open_output(path, replaces, makes_folders) as out:
        if atomic_file.is_stream(path):
            with spooled_bytes(out.fileno(), str(path)) as output:
                yield cast(BinaryIO, output)
        else:
            yield out
