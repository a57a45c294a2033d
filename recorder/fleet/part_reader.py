"""Reads the parts of a tree, and checks that they are webpf's and complete."""

from __future__ import annotations

import contextlib
import fnmatch
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from ..errors import DataError, NoPermission, NotFound
from ..host.invocation import retry_with
from ..model import argv
from . import tree

_MOST_HOSTS = 5  # that a message names
_EXPORT = "webpf export --to parquet -o"


@dataclass(frozen=True)
class Place:
    """A recording in a tree. path: host=NAME/recording=START. row: its row in `recordings`, by column."""

    folder: Path
    path: Path
    row: dict[str, Any]

    @property
    def host(self) -> str:
        """The name of its machine, as --host matches it."""
        return self.row.get("host") or "unknown"

    @property
    def started_ns(self) -> int:
        """The begin of the recording, in Unix ns."""
        return int(self.row["started_ns"])

    @property
    def until_ns(self) -> int:
        """The time up to which the recording is complete."""
        return int(self.row.get("ended_ns") or self.row.get("updated_ns") or self.started_ns)

    def part(self, table: str) -> Path:
        """Returns the path of one of its parts."""
        return tree.part_path(self.folder, table, self.path)


def find_places(folder: Path, hosts: Collection[str] = ()) -> list[Place]:
    """Returns the recordings of a tree, in the order of the numbers that they get. hosts: patterns of names; none: all.

    Raises NotFound if there is no tree or no such host, DataError for a part that can't be read, and OSError for a
    folder that can't be read: its recordings must not be left out unnoticed.
    """
    top = folder / tree.RECORDINGS
    if not top.is_dir():
        message = f"{folder} holds no recordings" if folder.is_dir() else f"there is no folder {folder}"
        raise NotFound(message, f"{_EXPORT} {argv.file_word(folder)}")
    recordings = [each for host in _folders(top, "host=") for each in _folders(host, "recording=")]
    found = [_place(folder, path / tree.PART) for path in recordings if (path / tree.PART).is_file()]
    if not found:
        raise NotFound(f"{folder} holds no recordings", f"{_EXPORT} {argv.file_word(folder)}")
    wanted = [each for each in found if not hosts or any(fnmatch.fnmatchcase(each.host, name) for name in hosts)]
    if not wanted:
        names = sorted({each.host for each in found})
        message = f"{folder} has no recording of a host {' or '.join(hosts)}: it has {machines_of(names)}"
        raise NotFound(message, retry_with("--host", names[0]))
    return sorted(wanted, key=lambda each: (each.row["started_ns"], each.row.get("machine_id") or "", str(each.path)))


def machines_of(names: Sequence[str]) -> str:
    """Returns names of hosts for a message. Of many, it names a few."""
    more = len(names) - _MOST_HOSTS
    return ", ".join(names[:_MOST_HOSTS]) + (f" and {more:,} more" if more > 0 else "")


def _folders(folder: Path, prefix: str) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.name.startswith(prefix) and each.is_dir())


def _place(folder: Path, path: Path) -> Place:
    with opened(path, tree.RECORDINGS) as file:
        rows = file.read().to_pylist()
    if len(rows) != 1 or not all(isinstance(rows[0].get(name), int) for name in ("started_ns", tree.VERSION)):
        raise _foreign(path, "it isn't one recording")
    return Place(folder, path.parent.relative_to(folder / tree.RECORDINGS), rows[0])


@contextlib.contextmanager
def opened(path: Path, table: str) -> Iterator[Any]:
    """Opens a part. Raises DataError if it is not complete, or not a part of this table."""
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            _check_columns(path, table, file.schema_arrow)
            yield file
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and not isinstance(error, pyarrow.ArrowException) and error.errno:
            kind = NoPermission if isinstance(error, PermissionError) else DataError
            raise kind(f"{path} can't be read: {os.strerror(error.errno)}") from error
        raise incomplete_error(path, "is no complete Parquet file") from error


def incomplete_error(path: Path, problem: str) -> DataError:
    """Returns the error for a part that was not copied as a whole. problem: continues a sentence about the part."""
    hint = f"{_EXPORT} {argv.file_word(path.parents[3])} --all"
    return DataError(f"{path} {problem}: copy it again, or export it again", hint)


def _check_columns(path: Path, table: str, schema: Any) -> None:
    types = {column.name: column.type for column in tree.columns(table)}
    for name in (tree.VERSION, tree.event_id(table)):
        if name and schema.names.count(name) != 1:
            raise _foreign(path, f"it has no column {name}")
    for field in schema:
        if field.name in types and not _is_of_type(field.type, types[field.name]):
            raise _foreign(path, f"its column {field.name} is of the type {field.type}")


def _is_of_type(found: Any, wanted: str) -> bool:
    types = pyarrow.types
    if wanted == "INTEGER":
        return bool(types.is_int64(found))
    if wanted == "TIME":
        return bool(types.is_timestamp(found))
    is_kind = (types.is_string, types.is_large_string) if wanted == "TEXT" else (types.is_binary, types.is_large_binary)
    return any(each(found) for each in is_kind)


def _foreign(path: Path, problem: str) -> DataError:
    return DataError(f"{path} is no part of a tree of webpf: {problem}")


def batches(file: Any, names: Sequence[str]) -> Iterator[list[list[Any]]]:
    """Yields the values of these columns, in batches of rows, as a list for each column."""
    for batch in file.iter_batches(tree.BATCH_ROWS, columns=list(dict.fromkeys(names))):
        yield [batch.column(batch.schema.get_field_index(name)).to_pylist() for name in names]


def ranges(file: Any, name: str) -> Iterator[tuple[int, int]]:
    """Yields the lowest and the highest value of a column of integers in each part of a file; NULL counts as 0.

    They come from the statistics of the file. Where it has none, the values are read.
    """
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        columns = map(group.column, range(group.num_columns))
        [found] = [column.statistics for column in columns if column.path_in_schema == name]
        if found is not None and found.has_min_max and found.has_null_count:
            yield (0 if found.null_count else found.min), found.max
            continue
        for batch in file.iter_batches(tree.BATCH_ROWS, row_groups=[number], columns=[name]):
            values = [each or 0 for each in batch.column(0).to_pylist()]
            yield min(values), max(values)
