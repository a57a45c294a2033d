"""Recordings for Python programs: a file, the recordings in it, and what can be asked of each."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from .analysis import saved_queries
from .errors import UsageError
from .export import exporter
from .export.formats import FORMATS
from .export.stacks import WEIGHTS
from .model.recording import Recording as Description
from .storage import atomic_file, reader


class File:
    """A recording file. It is opened anew for each question, so that it may grow meanwhile."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with reader.reading(self.path):  # raises, if it can't be read
            pass

    def __repr__(self) -> str:
        return f"webpf.open({str(self.path)!r})"

    def recordings(self) -> list[Recording]:
        """All recordings of the file, the oldest first. Raises a WebpfError."""
        with reader.reading(self.path) as connection:
            return [Recording(self, each) for each in reader.recordings(connection)]

    def recording(self, wanted: int | str | None = None) -> Recording:
        """A recording by its number or its name; the latest by default, and of those that share a name.

        Raises a WebpfError if there is none.
        """
        with reader.reading(self.path) as connection:
            return Recording(self, reader.find(connection, self.path, wanted))

    def connect(self) -> AbstractContextManager[sqlite3.Connection]:
        """A read-only SQLite connection, for SQL of your own: `with file.connect() as connection`."""
        return reader.reading(self.path)


class Recording:
    """A recording in a file. description: when and where it was made, and whether it is complete."""

    def __init__(self, file: File, description: Description) -> None:
        self.file = file
        self.description = description

    def __repr__(self) -> str:
        name = f", {self.name!r}" if self.name else ""
        return f"<recording {self.id} of {self.file.path}{name}: {self.description.status}>"

    @property
    def id(self) -> int:
        """Its number in the file."""
        return self.description.id

    @property
    def name(self) -> str | None:
        """As given with --name."""
        return self.description.name

    @property
    def caveat(self) -> str | None:
        """What readers of any result from it should know, as that events were lost; None if it is complete."""
        return self.description.caveat

    def query(self, name: str, **parameters: object) -> list[dict[str, Any]]:
        """The rows of a saved query (docs/queries.md). Raises a WebpfError, also for a wrong name or parameter."""
        query = saved_queries.load(name)
        given = {key: "" if value is None else str(value) for key, value in parameters.items()}
        if any(parameter.name == "recording" for parameter in query.parameters):
            given.setdefault("recording", str(self.id))
        with saved_queries.run(self.file.path, query, given) as result:
            return [dict(zip(result.columns, row, strict=True)) for row in result.rows]

    def processes(self) -> Iterator[dict[str, Any]]:
        """The rows of the table `processes` (docs/schema.md), in the order of their ids; one at a time is in memory.

        Kernel threads are among them; their `kernel` is 1. Raises a WebpfError.
        """
        with reader.reading(self.file.path) as connection:
            cursor = connection.execute("SELECT * FROM processes WHERE recording_id = ? ORDER BY id", [self.id])
            columns = [column[0] for column in cursor.description]
            for row in cursor:
                yield dict(zip(columns, row, strict=True))

    def export(self, path: str | os.PathLike[str], format: str, weight: str = "wall", replace: bool = False) -> Path:
        """Writes it to a new file in another tool's format; returns the file's path.

        format: as `webpf export --to` takes it. weight: of stacks: wall, cpu or count. path: for parquet a folder.
        replace: whether a file that is there may be replaced. Raises a WebpfError.
        """
        if format not in FORMATS or weight not in WEIGHTS:
            known = f"formats are {', '.join(FORMATS)}; weights are {', '.join(WEIGHTS)}"
            raise UsageError(f"there is no format {format!r} with a weight {weight!r}: {known}", "webpf export --help")
        path_in_folder = exporter.path_in_folder(self.file.path, self.id, format)
        target = Path(path) / (path_in_folder or "")
        with atomic_file.opened(target, replace, makes_folders=path_in_folder is not None) as out:
            exporter.export(self.file.path, self.id, format, weight, out)
        return target
