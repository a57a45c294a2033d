"""The Python interface: a recording file, its recordings, and the queries, reports and exports of each."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from .analysis import diff, recording_costs, report, run_groups, saved_queries
from .analysis.diff import Comparison
from .analysis.report import Report
from .errors import UsageError
from .export import exporter
from .export.formats import FORMATS
from .export.stacks import WEIGHTS
from .host import optional_modules
from .model.recording import Recording as RecordingDescription
from .storage import atomic_file, process_select, reader


class File:
    """A recording file. Each call opens it again, so results include what was recorded in the meantime."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with reader.reading(self.path):  # raises a WebpfError if the file can't be read
            pass

    def __repr__(self) -> str:
        return f"webpf.open({str(self.path)!r})"

    def recordings(self) -> list[Recording]:
        """Returns all recordings in the file, the oldest first. Raises a WebpfError."""
        with reader.reading(self.path) as connection:
            return [Recording(self, each) for each in reader.recordings(connection)]

    def recording(self, number_or_name: int | str | None = None) -> Recording:
        """Returns the recording with this number or name; the latest one by default.

        If several recordings have the name, the latest of them. Raises a WebpfError if there is none.
        """
        with reader.reading(self.path) as connection:
            return Recording(self, reader.find(connection, self.path, number_or_name))

    def diff(self, before: int | str, after: int | str) -> Comparison:
        """Returns how two recordings differ, or two groups of runs: a name that several runs share is their group.

        Runs that failed are left out of a group. Raises a WebpfError, also if no run of a group is left.
        """
        return diff.compare(run_groups.read(self.path, before), run_groups.read(self.path, after))

    def connect(self) -> AbstractContextManager[sqlite3.Connection]:
        """Returns a read-only SQLite connection for your own SQL: `with file.connect() as connection`."""
        return reader.reading(self.path)


class Recording:
    """A recording in a file. description: when and where it was made, and whether it is complete."""

    def __init__(self, file: File, description: RecordingDescription) -> None:
        self.file = file
        self.description = description

    def __repr__(self) -> str:
        name = f", {self.name!r}" if self.name else ""
        return f"<recording {self.id} of {self.file.path}{name}: {self.description.status}>"

    @property
    def id(self) -> int:
        """The number of the recording in its file."""
        return self.description.id

    @property
    def name(self) -> str | None:
        """The name that was given with --name; None without one."""
        return self.description.name

    @property
    def caveat(self) -> str | None:
        """A warning that applies to every result of this recording, such as lost events; None if it is complete."""
        return self.description.caveat

    def query(self, name: str, **parameters: object) -> list[dict[str, Any]]:
        """Returns the rows of a saved query (docs/queries.md).

        Raises a WebpfError, also if there is no query with this name, or a parameter is unknown or has a bad value.
        """
        query = saved_queries.load(name)
        values = {key: "" if value is None else str(value) for key, value in parameters.items()}
        if any(parameter.name == "recording" for parameter in query.parameters):
            values.setdefault("recording", str(self.id))
        with saved_queries.run(self.file.path, query, values) as result:
            return [dict(zip(result.columns, row, strict=True)) for row in result.rows]

    def processes(self) -> Iterator[dict[str, Any]]:
        """Yields the rows of the table `processes` (docs/schema.md), with their command lines, by their ids.

        Only one row at a time is in memory. Kernel threads are included; their `kernel` is 1. Raises a WebpfError.
        """
        with reader.reading(self.file.path) as connection:
            cursor = connection.execute(f"{process_select.select()} WHERE p.recording_id = ? ORDER BY p.id", [self.id])
            yield from reader.named_rows(cursor)

    def report(self) -> Report:
        """Returns where the time went: concurrency, serial sections, critical path, repeated commands, activities.

        Its attributes are those of the JSON that `webpf report --format json` writes. Raises a WebpfError.
        """
        with reader.reading(self.file.path) as connection:
            return report.read(connection, self.description)

    def diff(self, other: Recording) -> Comparison:
        """Returns how another recording, which may be in another file, differs from this one. Raises a WebpfError."""
        before, after = (recording_costs.read(each.file.path, each.id) for each in (self, other))
        return diff.compare_recordings(before, after)

    def export(self, path: str | os.PathLike[str], format: str, weight: str = "wall", replace: bool = False) -> Path:
        """Writes the recording to a new file in another tool's format; returns the path of that file.

        path: the file; for parquet, the folder with the files of all recordings, which is returned. format: a value of
        `webpf export --to`. weight: what the formats with stacks measure: wall, cpu or count. replace: whether to
        replace an existing file, or to write a recording again that the folder has. Raises a WebpfError.
        """
        if format not in FORMATS or weight not in WEIGHTS:
            known = f"formats are {', '.join(FORMATS)}; weights are {', '.join(WEIGHTS)}"
            raise UsageError(f"there is no format {format!r} with a weight {weight!r}: {known}", "webpf export --help")
        target = Path(path)
        if FORMATS[format].load_writer is None:
            with optional_modules.needed("this format", *FORMATS[format].packages):
                from .fleet import tree_export
            tree_export.export(self.file.path, target, self.id, replace)
            return target
        with atomic_file.open_output(target, replace) as out:
            exporter.export(self.file.path, self.id, format, weight, out)
        return target
