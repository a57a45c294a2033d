"""The user's own saved queries: files in the folders of $WEBPF_QUERIES and in webpf's folder of the configuration.

They are used like webpf's own, whose names they can't take. root only reads folders and files that nobody else can
write.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..errors import DataError, NotFound, WebpfError
from ..host import trusted_file
from ..model import argv
from ..storage import data_dictionary
from . import query_header, saved_queries
from .saved_queries import SavedQuery

ENVIRONMENT = "WEBPF_QUERIES"
_MAX_BYTES = 1 << 20
_NAME = re.compile(r"\w[\w.-]*")
_LINE = re.compile(r"line (\d+): ")
_ROOT = 0


@dataclass(frozen=True)
class Found:
    """The own queries. paths: their files by name. notes: files and folders that aren't used, and why, for people."""

    paths: dict[str, Path]
    notes: tuple[str, ...]


def folders() -> list[Path]:
    """Returns the folders in which own queries can be, in the order in which they are searched."""
    named = [Path(each) for each in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if each]
    configuration = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111
    return [*named, Path(configuration) / "webpf" / "queries"]


@cache
def find() -> Found:
    """Finds the own queries, once."""
    paths: dict[str, Path] = {}
    notes: list[str] = []
    is_named = ENVIRONMENT in os.environ
    for folder in folders():
        try:
            names = _names_in(folder)
        except FileNotFoundError:
            if is_named and folder != folders()[-1]:
                notes.append(f"{folder}, which ${ENVIRONMENT} names, doesn't exist")
            continue
        except (OSError, DataError) as error:
            notes.append(f"the queries in {folder} are not used: {error}")
            continue
        for file in names:
            path, name = folder / file, file.removesuffix(".sql")
            why = _why_not(name, paths)
            if why:
                notes.append(f"{path} {why}; try: webpf query {argv.file_word(path)}")
            else:
                paths[name] = path
    return Found(paths, tuple(notes))


def names() -> list[str]:
    """Returns the names of all saved queries, webpf's and own ones, sorted."""
    return sorted({*saved_queries.names(), *find().paths})


def load(name: str) -> SavedQuery:
    """Returns the query of this name, or the one in a file FILE.sql.

    Raises UsageError with the most similar names if there is none, NotFound for a file, and DataError for a wrong one.
    """
    if name in saved_queries.names():
        return saved_queries.load(name)
    if name in find().paths:
        return _parse(name, find().paths[name], _read(find().paths[name]))
    if name.endswith(".sql") or "/" in name:
        path = Path(name)
        return _parse(path.name.removesuffix(".sql"), path, _read_named(path))
    raise saved_queries.no_such_query(name, names())


def load_all() -> tuple[list[SavedQuery], list[str]]:
    """Returns all saved queries that can be used, sorted, and why others can't."""
    queries: list[SavedQuery] = []
    notes = list(find().notes)
    for name in names():
        try:
            queries.append(load(name))
        except WebpfError as error:
            notes.append(error.message)
    return queries, notes


def by_theme(queries: Iterable[SavedQuery]) -> dict[str, list[SavedQuery]]:
    """Returns queries by their themes, in the order of query_header.THEMES; themes without a query are left out."""
    found: dict[str, list[SavedQuery]] = {theme: [] for theme in query_header.THEMES}
    for query in queries:
        found[query.theme].append(query)
    return {theme: same for theme, same in found.items() if same}


def _why_not(name: str, taken: dict[str, Path]) -> str | None:
    """Returns why a file can't be called by this name; None if it can."""
    if name in saved_queries.names():
        return "has the name of a query of webpf, which is used"
    if name in taken:
        return f"has the name of {taken[name]}, which is used"
    if name in {table.name for table in data_dictionary.all_tables()}:
        return "has the name of a table"
    return None if _NAME.fullmatch(name) else "has a name with other characters than letters, digits and _.-"


def _names_in(folder: Path) -> list[str]:
    listed = trusted_file.names(folder) if os.geteuid() == _ROOT else [entry.name for entry in folder.iterdir()]
    return sorted(name for name in listed if name.endswith(".sql") and not name.startswith("."))


def _read(path: Path) -> str:
    """Reads a file that was found."""
    try:
        raw = trusted_file.read(path, _MAX_BYTES) if os.geteuid() == _ROOT else _read_at_most(path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", f"ls -l {argv.file_word(path)}") from error
    return _decode(path, raw)


def _read_named(path: Path) -> str:
    """Reads a file that the command line names: whoever named it vouches for it."""
    try:
        return _decode(path, _read_at_most(path))
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", "webpf query") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", f"ls -l {argv.file_word(path)}") from error


def _read_at_most(path: Path) -> bytes:
    with path.open("rb") as file:
        raw = file.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        raise DataError(f"{path} is too large for a query: it has more than {_MAX_BYTES:,} bytes")
    return raw


def _decode(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: this is no UTF-8 text") from None


def _parse(name: str, path: Path, source: str) -> SavedQuery:
    try:
        return saved_queries.parse(name, source, path)
    except ValueError as error:
        text = str(error).removeprefix(f"{name}: ")
        line = _LINE.match(text)
        message = f"{path}:{line[1] if line else 1}: {_LINE.sub('', text, count=1)}"
        raise DataError(message, "webpf query lifetimes --sql") from None


def notes_about(query: SavedQuery) -> Iterator[str]:
    """Yields what must be said when a query of webpf runs although there is an own one of its name."""
    for note in find().notes:
        if query.path is None and f"/{query.name}.sql has the name of a query of webpf" in note:
            yield note
