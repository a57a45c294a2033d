"""Exports a recording in one of the formats."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import Unavailable
from ..host.invocation import pip_install
from ..model.recording import Recording
from ..progress import UNWATCHED, Work
from ..storage import reader
from .formats import FORMATS, Format


def export(
    db: Path, recording: int | str | None, format: str, weight: str, out: BinaryIO, work: Work = UNWATCHED
) -> Recording:
    """Writes a recording in one of FORMATS; returns which one it was. weight: of stacks, one of stacks.WEIGHTS.

    Raises NotFound or DataError for the file, work's Interrupted, Unavailable for a format whose package is missing.
    """
    chosen = FORMATS[format]
    with reader.reading(db) as connection, _explain_missing_package(chosen):
        work.watch(connection)
        found = reader.find(connection, db, recording)
        options: dict[str, Any] = {"weight": weight} if chosen.takes_weight else {}
        write = chosen.load_writer()
        if chosen.is_binary:
            write(connection, found, out, work=work, **options)
        else:
            with _as_text(out) as text:
                write(connection, found, text, work=work, **options)
        return found


def path_in_folder(db: Path, recording: int | str | None, format: str) -> Path | None:
    """Where a recording's file is within a folder, for a format that goes into one; raises what export() does."""
    chosen = FORMATS[format]
    if chosen.path_in_folder is None:
        return None
    with reader.reading(db) as connection, _explain_missing_package(chosen):
        return chosen.path_in_folder(reader.find(connection, db, recording))


@contextlib.contextmanager
def _explain_missing_package(format: Format) -> Iterator[None]:
    """Raises Unavailable if the package that a format needs isn't there."""
    try:
        yield
    except ImportError:
        if format.package is None:
            raise
        message = f"this format needs the Python package {format.package}"
        raise Unavailable(message, pip_install(format.package)) from None


class _TextWithoutDel(io.TextIOWrapper):
    """Without DEL: the one control character that JSON doesn't escape, and terminals take."""

    def write(self, text: str) -> int:
        return super().write(text.replace("\x7f", "\\u007f"))


@contextlib.contextmanager
def _as_text(out: BinaryIO) -> Iterator[io.TextIOWrapper]:
    # Names are any bytes: what is no text is written as \\udcff, as JSON has it.
    text = _TextWithoutDel(out, encoding="utf-8", errors="backslashreplace", newline="\n", write_through=False)
    try:
        yield text
    finally:
        text.detach()  # which flushes it, and leaves `out` open
