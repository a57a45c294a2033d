"""The commands that take recordings elsewhere: options in, a file out. Nothing else."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from .errors import UsageError
from .options import DEFAULT_DB, File, Recording

Force = Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")]


class To(str, Enum):
    """Formats, by the names of export.FORMATS."""

    chrome = "chrome"
    perfetto = "perfetto"
    speedscope = "speedscope"
    folded = "folded"
    csv = "csv"
    ndjson = "ndjson"
    parquet = "parquet"
    otlp = "otlp"


class Weight(str, Enum):
    """What a stack weighs, by the names of stacks.WEIGHTS."""

    WALL = "wall"
    CPU = "cpu"
    COUNT = "count"


def export(
    file: File = DEFAULT_DB,
    to: Annotated[
        To,
        typer.Option(
            "--to",
            help="chrome: Trace Event JSON; perfetto: its protobuf; speedscope, folded: stacks by ancestry; csv,"
            " ndjson, parquet: a row for each process; otlp: OpenTelemetry spans, as lines of JSON.",
        ),
    ] = To.chrome,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to (parquet: a folder); default: standard output."),
    ] = None,
    recording: Recording = None,
    weight: Annotated[Weight, typer.Option("--weight", help="Of stacks: own time, CPU time or number.")] = Weight.WALL,
    force: Force = False,
) -> None:
    """Write a recording for another tool: Perfetto, speedscope, flame graphs, spreadsheets, DuckDB, OpenTelemetry."""
    from . import catalog, export, newfile, terminal

    inside = export.place(file, recording, to.value)
    if inside is not None and output is None:
        raise UsageError(f"{to.value} goes into a folder", f"webpf export {file} --to {to.value} -o FOLDER")
    if output is not None:
        output = output / (inside or "")
        with newfile.path(output, force, inside is not None) as made, made.open("wb") as out:
            export.export(file, recording, to.value, weight.value, out)
        terminal.say(f"{output}: {output.stat().st_size:,} bytes")
    elif to == To.perfetto and sys.stdout.isatty():
        raise UsageError(
            "perfetto's format is nothing for a terminal", f"webpf export {file} --to perfetto -o trace.pftrace"
        )
    else:
        export.export(file, recording, to.value, weight.value, sys.stdout.buffer)
    caveat = catalog.caveat(file, "" if recording is None else str(recording))
    if caveat:
        terminal.say(caveat)


def merge(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recording files.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The new file.")],
    force: Force = False,
) -> None:
    """Join the recordings of several files, or hosts, into one new file."""
    from . import merge as merging
    from .terminal import say

    for source, numbers in merging.merge(files, output, force).items():
        say(f"{source}: now recording {', '.join(map(str, numbers))} of {output}")
