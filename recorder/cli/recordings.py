"""The command `recordings`: lists what a file holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Format, RowFormat
from .recording_choice import Db, File, RecordingOrAll, choose
from .row_options import row_output, style_for

if TYPE_CHECKING:
    from ..analysis.recording_list import ListedRecording

_OWN_PATH = re.compile(r"^\S*/(?=webpf )")
_COLUMNS = [
    *("id", "name", "status", "started_ns", "seconds", "command", "exit_code", "signal", "outcome", "processes"),
    *("lost", "size_bytes", "size_is_exact", "chain", "segments", "host", "kernel"),
]
_SHOWN = ["id", "started", "length", "outcome", "size", "command", "name", "processes", "lost", "host", "kernel"]


def recordings(
    file: File = None,
    recording: RecordingOrAll = None,
    db: Db = None,
    format: RowFormat = Format.table,
    segments: Annotated[
        bool, typer.Option("--segments", help="List each segment of a chain. Default: one line for the chain.")
    ] = False,
) -> None:
    """List the recordings in a file.

    A size with ~ is estimated from the number of rows: several recordings share a file.
    """
    from ..analysis import recording_list
    from ..output.row_formats import write_rows
    from ..storage import reader

    chosen = choose(file, db, recording)
    with row_output(format) as output, reader.reading(chosen.path) as connection:
        known = reader.recordings(connection)
        wanted = {each.id for each in reader.find_all(connection, *chosen)}
        listed = recording_list.read(connection, chosen.path, known, segments or chosen.recording is not None)
        listed = [each for each in listed if each.latest.id in wanted]
        style = style_for([each.latest for each in listed])
        if format is Format.table:
            columns, rows = _shown(listed, style.zone)
        else:
            columns, rows = _COLUMNS, list(map(_exact, listed))
        write_rows(columns, rows, format.value, None, output, style)


def _exact(each: ListedRecording) -> tuple[Any, ...]:
    """Returns the row for programs."""
    return (
        each.latest.id,
        each.latest.name,
        each.latest.status,
        each.started_ns,
        None if each.length_ns is None else round(each.length_ns / 1e9, 1),
        each.command,
        each.exit_code,
        each.signal,
        each.outcome,
        each.processes,
        each.lost,
        each.size_bytes,
        int(each.size_is_exact),
        each.latest.row.get("chain"),
        each.segments,
        each.latest.host,
        each.latest.kernel,
    )


def _shown(listed: Sequence[ListedRecording], zone: tzinfo | None) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Returns the table for people, with a column for segments if there are chains."""
    has_chains = any(each.segments > 1 for each in listed)
    at = _SHOWN.index("command")
    columns = [*_SHOWN[:at], "segments", *_SHOWN[at:]] if has_chains else _SHOWN
    rows = [_for_people(each, zone) for each in listed]
    if has_chains:
        rows = [(*row[:at], each.segments, *row[at:]) for row, each in zip(rows, listed, strict=True)]
    return columns, rows


def _for_people(each: ListedRecording, zone: tzinfo | None) -> tuple[Any, ...]:
    from ..model.recording import COMPLETE
    from ..output import units

    latest = each.latest
    how = latest.status
    if how == COMPLETE and each.signal is not None:
        how = f"SIG{units.short_signal_name(each.signal)}"
    elif how == COMPLETE and each.exit_code is not None:
        how = f"exit {each.exit_code}"
    return (
        latest.id,
        None if each.started_ns is None else units.minute(each.started_ns, zone),
        None if each.length_ns is None else units.duration(each.length_ns),
        how,
        ("" if each.size_is_exact else "~") + units.byte_size(each.size_bytes),
        None if each.command is None else _OWN_PATH.sub("", each.command),
        latest.name,
        each.processes,
        each.lost,
        latest.host,
        latest.kernel,
    )
