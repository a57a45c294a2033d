"""The commands that take recordings elsewhere: options in, a file out. Nothing else."""

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
from ..host.invocation import elsewhere
from ..model import argv
from .options import DEFAULT_DB, File, Recording

Force = Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")]


To = Enum("To", {name: name for name in FORMATS}, type=str)  # type: ignore[misc]
_CHROME = To("chrome")


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
            help="; ".join(f"{each.name}: {each.description}" for each in FORMATS.values()) + ".",
        ),
    ] = _CHROME,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            readable=False,
            help="Where to (parquet: a folder); default: standard output.",
        ),
    ] = None,
    recording: Recording = None,
    weight: Annotated[Weight, typer.Option("--weight", help="Of stacks: own time, CPU time or number.")] = Weight.WALL,
    force: Force = False,
) -> None:
    """Write a recording for another tool: Perfetto, speedscope, flame graphs, spreadsheets, DuckDB, OpenTelemetry."""
    from ..export import exporter
    from ..output.messages import say
    from ..storage import atomic_file
    from .progress_bar import LongWork

    if output is not None and atomic_file.is_same(output, file):
        raise UsageError(f"{output} is the recording file itself", elsewhere("-o", output.with_suffix(".out")))
    inside = exporter.place(file, recording, to.value)
    if output is None:
        _check_output(to.value, file)
    path = output and output / (inside or "")
    is_file = path is not None and not atomic_file.is_stream(path)
    with LongWork("the export", streams=not is_file) as work, _output(path, force, inside is not None) as out:
        exported = exporter.export(file, recording, to.value, weight.value, out, work)
    written = f"{path}: {path.stat().st_size:,} bytes" if path is not None and is_file else None
    for line in (written, exported.caveat):
        if line:
            say(line)


def _check_output(to: str, file: Path) -> None:
    """Raises UsageError for a format that standard output can't take."""
    format = FORMATS[to]
    if format.place is not None:
        raise UsageError(
            f"{to} goes into a folder, not to standard output",
            f"webpf export {argv.file_word(file)} --to {to} -o all",
        )
    if format.is_binary and sys.stdout.isatty():
        hint = f"webpf export {argv.file_word(file)} --to {to} -o trace.pftrace"
        raise UsageError(f"{to} is a binary format, which a terminal can't show", hint)


@contextmanager
def _output(path: Path | None, replaces: bool, makes_folders: bool) -> Iterator[BinaryIO]:
    """Where an export is written: a new file, what is no file, or standard output."""
    from ..storage import atomic_file
    from .spool import spooled_bytes

    if path is None:
        with spooled_bytes(sys.stdout.fileno(), "standard output") as output:
            yield cast(BinaryIO, output)
        return
    with atomic_file.opened(path, replaces, makes_folders) as out:
        if atomic_file.is_stream(path):
            with spooled_bytes(out.fileno(), str(path)) as output:
                yield cast(BinaryIO, output)
        else:
            yield out


def merge(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", readable=False, help="Recording files.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", readable=False, help="The new file.")],
    force: Force = False,
) -> None:
    """Join the recordings of several files, or hosts, into one new file."""
    from ..output.messages import say
    from ..storage import merge as merging
    from .progress_bar import LongWork

    with LongWork("the merge") as work:
        merged = merging.merge(files, output, force, work)
    for source, numbers in merged.items():
        say(f"{source}: now recording {', '.join(map(str, numbers))} of {output}")
