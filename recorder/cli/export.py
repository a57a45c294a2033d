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
from ..model import recording as model_recording
from ..model.scope import EVERYTHING, Scope
from .options import Force
from .recording_choice import Chosen, Db, File, RecordingOrEnded, choose
from .scope_options import takes_scope

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
WritesAll = Annotated[
    bool,
    typer.Option("--all", help="Into a folder of Parquet files, also write the recordings that are there already."),
]


class Weight(str, Enum):
    """What a stack adds up. The values are names in stacks.WEIGHTS."""

    WALL = "wall"
    CPU = "cpu"
    COUNT = "count"


@takes_scope
def export(
    file: File = None,
    to: Annotated[To, typer.Option("--to", help=_DESCRIPTIONS)] = _CHROME,
    output: Output = None,
    recording: RecordingOrEnded = None,
    db: Db = None,
    weight: Annotated[
        Weight, typer.Option("--weight", help="What to add up in stacks: own time, CPU time or processes.")
    ] = Weight.WALL,
    force: Force = False,
    writes_all: WritesAll = False,
    scope: Scope = EVERYTHING,
) -> None:
    """Write a recording for another tool.

    Formats for Perfetto, speedscope, flame graphs, spreadsheets, DuckDB and OpenTelemetry. A folder of Parquet files
    gets all recordings that have ended and are not there yet; it can hold those of many machines.
    """
    from ..output.messages import say
    from ..storage import atomic_file

    chosen = choose(file, db, recording)
    if output is not None and atomic_file.is_same_file(output, chosen.path):
        raise UsageError(f"{output} is the recording file itself", retry_at_home("-o", output.with_suffix(".out")))
    is_tree = FORMATS[to.value].load_writer is None
    if writes_all and not is_tree:
        raise UsageError(f"--all is for parquet: {to.value} is one recording", "webpf export --to parquet -o all --all")
    if is_tree and not scope.is_everything:
        part = f"webpf extract {argv.file_word(chosen.path)} -o part.db"
        raise UsageError(f"{to.value} gets whole recordings: extract the part first", part)
    if output is None:
        _check_output(to.value, chosen.path)
    if is_tree and output is not None:
        lines = _export_tree(chosen, output, force or writes_all)
    else:
        lines = _export_one(chosen, to.value, weight.value, output, force, scope)
    for line in lines:
        say(line)


def _export_one(chosen: Chosen, to: str, weight: str, path: Path | None, replaces: bool, scope: Scope) -> list[str]:
    """Exports one recording. Returns the messages about it."""
    from ..export import exporter
    from ..storage import atomic_file
    from .progress_bar import ProgressBar

    is_file = path is not None and not atomic_file.is_stream(path)
    with ProgressBar("the export", streams=not is_file) as progress, _output(path, replaces) as out:
        exported = exporter.export(chosen.path, chosen.recording, to, weight, out, progress, scope)
    written = f"{path}: {path.stat().st_size:,} bytes" if path is not None and is_file else None
    return [line for line in (written, exported.about, exported.recording.caveat) if line]


def _export_tree(chosen: Chosen, folder: Path, writes_again: bool) -> list[str]:
    """Exports all recordings into a tree. Returns the messages about it."""
    from ..host.optional_modules import needed
    from .progress_bar import ProgressBar

    with needed("this format", *FORMATS["parquet"].packages):
        from ..fleet import tree_export
    outcome = "recordings that are complete stay, and another call writes the rest"
    with ProgressBar("the export", outcome=outcome) as progress:
        exported = tree_export.export(chosen.path, folder, chosen.recording, writes_again, progress)
    lines = [
        f"{folder}: {_count(exported.written)} written, {exported.rows:,} rows, {exported.bytes:,} bytes",
        exported.there and f"{_count(exported.there)} there already; to write them again, use --all",
        *(f"recording {each.id} goes on, so it is left out" for each in exported.going_on),
        *(each.caveat for each in exported.written),
    ]
    return [line for line in lines if line]


def _count(recordings: list[model_recording.Recording]) -> str:
    return f"{len(recordings)} recording{'s' * (len(recordings) != 1)}"


def _check_output(to: str, file: Path) -> None:
    """Raises UsageError if a format can't go to standard output."""
    format = FORMATS[to]
    if format.load_writer is None:
        raise UsageError(
            f"{to} goes into a folder, not to standard output",
            f"webpf export {argv.file_word(file)} --to {to} -o all",
        )
    if format.is_binary and sys.stdout.isatty():
        hint = f"webpf export {argv.file_word(file)} --to {to} -o trace.pftrace"
        raise UsageError(f"{to} is a binary format, which a terminal can't show", hint)


@contextmanager
def _output(path: Path | None, replaces: bool) -> Iterator[BinaryIO]:
    """Opens the output of an export: standard output, a new file, or a pipe or device."""
    from ..storage import atomic_file
    from .output_spool import spooled_bytes

    if path is None:
        with spooled_bytes(sys.stdout.fileno(), "standard output") as output:
            yield cast(BinaryIO, output)
        return
    with atomic_file.open_output(path, replaces) as out:
        if atomic_file.is_stream(path):
            with spooled_bytes(out.fileno(), str(path)) as output:
                yield cast(BinaryIO, output)
        else:
            yield out
