"""Exports a recording in one of the formats, from a file to an open output."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..host.optional_modules import needed
from ..model.scope import EVERYTHING, Scope
from ..progress import NO_PROGRESS, Progress
from ..storage import reader
from ..storage import scoped as scopes
from ..storage.scoped import Scoped
from .formats import FORMATS


def export(
    db: Path,
    recording: int | str | None,
    format: str,
    weight: str,
    out: BinaryIO,
    progress: Progress = NO_PROGRESS,
    scope: Scope = EVERYTHING,
) -> Scoped:
    """Writes a recording, as far as it is in the scope, to `out`. Returns what was written.

    format: a name in FORMATS that has a writer. weight: one of stacks.WEIGHTS; only formats with stacks use it. Raises
    NotFound or DataError if the recording can't be read, Unavailable if the format needs a package that isn't
    installed, and Interrupted if `progress` was cancelled.
    """
    chosen = FORMATS[format]
    with reader.reading(db) as connection, needed("this format", *chosen.packages):
        progress.make_interruptible(connection)
        scoped = scopes.find(connection, db, recording, scope)
        options: dict[str, Any] = {"weight": weight} if chosen.takes_weight else {}
        assert chosen.load_writer is not None
        write = chosen.load_writer()
        if chosen.is_binary:
            write(connection, scoped.recording, out, progress=progress, **options)
        else:
            with _as_text(out) as text:
                write(connection, scoped.recording, text, progress=progress, **options)
        return scoped


class _TextWithoutDel(io.TextIOWrapper):
    """Escapes DEL, the only control character that json.dumps() leaves unescaped and terminals interpret."""

    def write(self, text: str) -> int:
        return super().write(text.replace("\x7f", "\\u007f"))


@contextlib.contextmanager
def _as_text(out: BinaryIO) -> Iterator[io.TextIOWrapper]:
    # Names can contain any bytes. Bytes that aren't UTF-8 are written as \\udcff, which is valid in JSON.
    text = _TextWithoutDel(out, encoding="utf-8", errors="backslashreplace", newline="\n", write_through=False)
    try:
        yield text
    finally:
        text.detach()  # flushes, and leaves `out` open
