"""The saved queries: finds, parses, binds and runs them. One file of queries/ each; its head says all about it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..model.recording import Recording
from ..storage import reader

_HEAD_LINE = re.compile(r"-- ?(.*)")
_PARAMETER = re.compile(
    r"(integer|number|text), "
    r"(?:(?P<required>required)(?: unless (?P<instead>\w+))?|optional|default (?P<default>[^;]+)); (?P<description>.+)"
)


@dataclass(frozen=True)
class Parameter:
    """A value that a query takes. default is what its SQL puts in for an empty one; None if it must be given.

    instead: name of the parameter that makes up for it, if it is required.
    """

    name: str
    type: str
    required: bool
    default: str | None
    description: str
    instead: str | None = None

    @property
    def presence(self) -> str:
        """Whether it must be given, in words; empty if it need not be."""
        return "must be given" + (f", or {self.instead}" if self.instead else "") if self.required else ""


@dataclass(frozen=True)
class SavedQuery:
    """One file of queries/. columns: name -> what it says."""

    name: str
    title: str
    description: str
    parameters: tuple[Parameter, ...]
    columns: Mapping[str, str]
    sql: str

    def about(self) -> dict[str, Any]:
        """Name, title, description and parameters, as `webpf query --format json` lists them."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "parameters": [vars(parameter) for parameter in self.parameters],
        }


@dataclass(frozen=True)
class Result:
    """Rows of a query as they come from the file: read them within the `with` that opened it.

    recordings: those that it is about.
    """

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]
    recordings: tuple[Recording, ...]


@cache
def names() -> list[str]:
    """Names of the saved queries, sorted."""
    folder = files("webpf.queries")
    return sorted(entry.name.removesuffix(".sql") for entry in folder.iterdir() if entry.name.endswith(".sql"))


def load(name: str) -> SavedQuery:
    """Raises UsageError for a name that there is not, with the nearest one that there is."""
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        raise UsageError(
            f"there is no query {name!r}" + (f": did you mean {near[0]}?" if near else ""),
            f"webpf query {near[0]}" if near else "webpf query",
        )
    return _read(name)


@cache
def _read(name: str) -> SavedQuery:
    return parse(name, (files("webpf.queries") / f"{name}.sql").read_text(encoding="utf-8"))


def parse(name: str, source: str) -> SavedQuery:
    """A query from the text of its file: a head of `-- key: value` lines, then one SELECT. Raises ValueError."""
    entries: list[list[str]] = []
    for line in source.splitlines():
        match = _HEAD_LINE.fullmatch(line)
        if not match:
            break
        if match[1].startswith("  "):
            entries[-1][1] += " " + match[1].strip()
        else:
            key, _, value = match[1].partition(": ")
            entries.append([key, value.strip()])
    head = {key: value for key, value in entries if " " not in key}
    if not {"title", "description"} <= head.keys():
        raise ValueError(f"{name}: title or description is missing")
    return SavedQuery(
        name=name,
        title=head["title"],
        description=head["description"],
        parameters=tuple(_parameter(key[6:], value) for key, value in entries if key.startswith("param ")),
        columns={key[7:]: value for key, value in entries if key.startswith("column ")},
        sql="\n".join(line for line in source.splitlines() if not _HEAD_LINE.fullmatch(line)).strip(),
    )


def bind(query: SavedQuery, given: Mapping[str, str]) -> dict[str, str]:
    """A value for each parameter, '' where none is given: as text, as Datasette passes them. Raises UsageError."""
    by_name = {parameter.name: parameter for parameter in query.parameters}
    for name, value in given.items():
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, n=1)
            known = f"did you mean {near[0]}?" if near else f"it has {', '.join(by_name) or 'none'}"
            raise UsageError(f"query {query.name} has no parameter {name!r}: {known}", f"webpf query {query.name}")
        if not fits(value, by_name[name].type):
            wanted = by_name[name].type
            raise UsageError(
                f"parameter {name} of query {query.name} takes {_A[wanted]}, not {value!r}",
                f"webpf query {query.name} -p {name}={_EXAMPLE[wanted]}",
            )
    for parameter in query.parameters:
        if parameter.required and not given.get(parameter.name) and not given.get(parameter.instead or ""):
            raise UsageError(
                f"query {query.name} needs the parameter {parameter.name} ({parameter.description})",
                f"webpf query {query.name} -p {parameter.name}={_EXAMPLE[parameter.type]}",
            )
    return {name: given.get(name, "") for name in by_name}


def given(pairs: Iterable[str]) -> dict[str, str]:
    """Parameters from words like KEY=VALUE. Raises UsageError."""
    values = {}
    for each in pairs:
        key, equals, value = each.partition("=")
        if not key or not equals:
            raise UsageError(f"-p takes KEY=VALUE, not {each!r}", "webpf query execs -p pid=1")
        values[key] = value
    return values


@contextmanager
def run(path: Path, query: SavedQuery, given: Mapping[str, str]) -> Iterator[Result]:
    """Runs a saved query. Raises UsageError, NotFound or DataError."""
    named = {name: given[name] for name in _RECORDING_PARAMETERS & given.keys() if given[name]}
    values = bind(query, {**given, **dict.fromkeys(named, "1")})  # names of recordings are looked up in the file
    with reader.reading(path) as connection:
        latest = reader.find(connection, path)
        recordings = {name: reader.find(connection, path, wanted) for name, wanted in named.items()}
        values |= {name: str(recordings[name].id) for name in named}
        about = tuple(recordings.values()) or ((latest,) if "recording" in values else ())
        cursor = connection.execute(query.sql, values)
        yield Result([column[0] for column in cursor.description], cursor, about)


_RECORDING_PARAMETERS = {"recording", "against"}
_NUMBERS = {"integer": r"[+-]?[0-9]{1,18}", "number": r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?"}
_EXAMPLE = {"integer": "1", "number": "0.5", "text": "word"}


_A = {"integer": "a whole number", "number": "a number", "text": "text"}


def fits(value: str, type: str) -> bool:
    """Whether a text is a value of this type (integer, number, text), to SQLite as to Python; empty: none is given."""
    if type == "text" or value == "":
        return True
    # Narrower than int() and float(), which take 1_000 and other scripts' digits: SQLite reads those otherwise.
    return re.fullmatch(_NUMBERS[type], value) is not None


def _parameter(name: str, value: str) -> Parameter:
    match = _PARAMETER.fullmatch(value)
    if not match:
        raise ValueError(f"parameter {name}: {value!r} is not 'TYPE, required|optional|default VALUE; DESCRIPTION'")
    required = match["required"] is not None
    return Parameter(name, match[1], required, match["default"], match["description"], match["instead"])
