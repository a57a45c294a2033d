"""Recordings in other tools' formats."""

from __future__ import annotations

import contextlib
import io
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, TypeAlias

from ..errors import Unavailable
from ..host.invocation import pip_install
from ..model.recording import Recording
from ..output.rows import write_rows
from ..progress import UNWATCHED, Work, counted, processes
from ..storage import reader, soundness
from . import chrome, otlp, stacks

Writer: TypeAlias = Callable[[sqlite3.Connection, Recording, str, BinaryIO, Work], None]

_ROWS = "SELECT {} FROM processes WHERE recording_id = ? ORDER BY id"


def export(
    db: Path, recording: int | str | None, format: str, weight: str, out: BinaryIO, work: Work = UNWATCHED
) -> Recording:
    """Writes a recording in one of FORMATS, and returns which it was. weight: of stacks, one of stacks.WEIGHTS.

    Raises NotFound or DataError for the file, work's Interrupted, Unavailable for a format whose package is missing.
    """
    with reader.reading(db) as connection:
        work.watch(connection)
        found = reader.find(connection, db, recording)
        FORMATS[format](connection, found, weight, out, work)
        return found


class _Text(io.TextIOWrapper):
    """Without DEL: the one control character that JSON doesn't escape, and terminals take."""

    def write(self, text: str) -> int:
        return super().write(text.replace("\x7f", "\\u007f"))


@contextlib.contextmanager
def _as_text(out: BinaryIO) -> Iterator[io.TextIOWrapper]:
    # Names are any bytes: what is no text is written as \\udcff, as JSON has it.
    text = _Text(out, encoding="utf-8", errors="backslashreplace", newline="\n", write_through=False)
    try:
        yield text
    finally:
        text.detach()  # which flushes it, and leaves `out` open


def _rows(format: str) -> Writer:
    def write(connection: sqlite3.Connection, recording: Recording, weight: str, out: BinaryIO, work: Work) -> None:
        columns = soundness.there(connection, "processes")
        cursor = connection.execute(_ROWS.format(", ".join(columns)), [recording.id])
        with _as_text(out) as text:
            rows = counted(cursor, work, processes(connection, recording.id))
            write_rows(columns, rows, format, None, text)

    return write


def _chrome(connection: sqlite3.Connection, recording: Recording, weight: str, out: BinaryIO, work: Work) -> None:
    with _as_text(out) as text:
        chrome.write(connection, recording, text, work)


def _perfetto(connection: sqlite3.Connection, recording: Recording, weight: str, out: BinaryIO, work: Work) -> None:
    try:
        from . import perfetto
    except ImportError:
        raise Unavailable("this format needs the Python package perfetto", pip_install("perfetto")) from None
    perfetto.write(connection, recording, out, work=work)


def _parquet(connection: sqlite3.Connection, recording: Recording, weight: str, out: BinaryIO, work: Work) -> None:
    _parquetfile().write(connection, recording, out, work)


def _otlp(connection: sqlite3.Connection, recording: Recording, weight: str, out: BinaryIO, work: Work) -> None:
    with _as_text(out) as text:
        otlp.write(connection, recording, text, work)


def _parquetfile() -> ModuleType:
    try:
        from . import parquet
    except ImportError:
        raise Unavailable("this format needs the Python package pyarrow", pip_install("pyarrow")) from None
    return parquet


def place(db: Path, recording: int | str | None, format: str) -> Path | None:
    """Where a recording's file is within a folder, for a format that goes into one; raises what export() does."""
    if format != "parquet":
        return None
    with reader.reading(db) as connection:
        found: Path = _parquetfile().place(reader.find(connection, db, recording))
        return found


def _folded(connection: sqlite3.Connection, recording: Recording, weight: str, out: BinaryIO, work: Work) -> None:
    with _as_text(out) as text:
        stacks.write_folded(stacks.read(connection, recording, weight, work), text)


def _speedscope(connection: sqlite3.Connection, recording: Recording, weight: str, out: BinaryIO, work: Work) -> None:
    with _as_text(out) as text:
        stacks.write_speedscope(stacks.read(connection, recording, weight, work), recording, weight, text)


FORMATS: dict[str, Writer] = {
    "chrome": _chrome,
    "perfetto": _perfetto,
    "speedscope": _speedscope,
    "folded": _folded,
    "csv": _rows("csv"),
    "ndjson": _rows("ndjson"),
    "parquet": _parquet,
    "otlp": _otlp,
}
