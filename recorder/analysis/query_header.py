"""The head of a saved query's file: comments with its title, description, parameters and columns."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_COMMENT = re.compile(r"-- ?(.*)")
_ENTRY = re.compile(r"(title|description|theme|fleet|scope|(?:param|column) \w+): (.+)")
_KEYS = ("title", "description", "theme", "fleet", "scope", "param", "column")
_PARAMETER = re.compile(
    r"(integer|number|text), "
    r"(?:(?P<required>required)(?: unless (?P<instead>\w+))?|optional|default (?P<default>[^;]+)); (?P<description>.+)"
)
_NUMBERS = {"integer": r"[+-]?[0-9]{1,18}", "number": r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?"}
_SQL_TYPE = {"integer": "INTEGER", "number": "REAL", "text": "TEXT"}
_EXAMPLE = {"integer": "1", "number": "0.5", "text": "word"}
_DEFAULTS = {"latest": "latest_recording!()", "the one before it": "recording_before!(param!(recording))"}
"""Words that a head may give as default, and the SQL macro of each."""

FLEET = {
    "pooled": "all recordings together",
    "per recording": "once for each recording",
    "no": "not at all: it is for SQLite only",
}
"""How a query runs over the recordings of a fleet, as its head says it, and in words for people."""

SCOPE = {"lives": "what was alive in it", "ends": "what ended in it"}
"""Which processes of a stretch of time a query is about, as its head says it, and in words for people."""

THEMES = {
    "recording": "The recording as a whole",
    "failures": "What failed",
    "costs": "What took the time and the memory",
    "processes": "What ran, and for how long",
    "relations": "What started what",
    "own": "Your own queries",
}
"""The themes of queries, as a head says them, in the order in which they are listed, and in words for people."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a query. type: integer, number or text.

    default: the text of the head; an empty value means the default. None: an empty value means NULL. instead: the
    name of a parameter that can be set in place of this required one.
    """

    name: str
    type: str
    required: bool
    default: str | None
    description: str
    instead: str | None = None

    @property
    def presence(self) -> str:
        """Says in words that it is required; empty if it is optional."""
        return "must be given" + (f", or {self.instead}" if self.instead else "") if self.required else ""

    @property
    def form(self) -> str:
        """Its type, and whether it is required or what its default is, in the words of the head."""
        unless = f" unless {self.instead}" if self.instead else ""
        optional = "optional" if self.default is None else f"default {self.default}"
        return f"{self.type}, {f'required{unless}' if self.required else optional}"

    @property
    def example(self) -> str:
        """An example value: its default, unless that is a word of _DEFAULTS."""
        return self.default if self.default is not None and self.default not in _DEFAULTS else _EXAMPLE[self.type]

    def literal(self, value: str) -> str:
        """Returns SQL for a value in place of the parameter; '' stands for none, and gives the default."""
        text = value or self.default
        if text is None:
            return f"CAST(NULL AS {_SQL_TYPE[self.type]})"
        if text in _DEFAULTS:
            return _DEFAULTS[text]
        if self.type == "text":
            return "'" + text.replace("'", "''") + "'"
        return str(int(text)) if self.type == "integer" else repr(float(text))

    @property
    def sql(self) -> str:
        """The SQL that param!(name) expands to. Values are passed as text; '' stands for none."""
        if self.default is None:
            given = f"nullif(:{self.name}, '')"
            return given if self.type == "text" else f"CAST({given} AS {_SQL_TYPE[self.type]})"
        literal = self.default if self.type != "text" else "'" + self.default.replace("'", "''") + "'"
        default = _DEFAULTS.get(self.default, literal)
        return f"CAST(coalesce(nullif(:{self.name}, ''), {default}) AS {_SQL_TYPE[self.type]})"


@dataclass(frozen=True)
class Head:
    """A parsed head. columns: descriptions by name. lines: how many lines of the file it takes.

    theme: one of THEMES. fleet: how the query runs over a fleet: one of FLEET. scope: what it shows of a stretch of
    time: one of SCOPE.
    """

    title: str
    description: str
    theme: str
    parameters: tuple[Parameter, ...]
    fleet: str
    scope: str
    columns: dict[str, str]
    lines: int


def parse(source: str, defaults: Mapping[str, str] | None = None) -> Head:
    """Parses the comments `-- key: value` above the SQL. An indented comment continues the one above.

    defaults: values of keys that may be missing. Then the comments are also accepted if none of them has a key.
    Raises ValueError, with the line.
    """
    lines = list(_comments(source))
    has_head = defaults is None or any(map(_is_like_entry, lines))
    entries = _entries(lines) if has_head else []
    by_key = {**(defaults or {}), **{key: value for key, value, _ in entries}}
    for key in ("title", "description", "theme"):
        if key not in by_key:
            raise ValueError(f"line 1: {key} is missing")
    fleet, scope = by_key.get("fleet", "no"), by_key.get("scope", "lives")
    theme = by_key["theme"]
    for key, value, known in (("theme", theme, THEMES), ("fleet", fleet, FLEET), ("scope", scope, SCOPE)):
        if value not in known:
            raise ValueError(f"line {_line(entries, key)}: {key}: {value!r} is not one of {', '.join(known)}")
    columns = {key.removeprefix("column "): value for key, value, _ in entries if key.startswith("column ")}
    parameters = tuple(
        _parameter(key.removeprefix("param "), text, at) for key, text, at in entries if key.startswith("param ")
    )
    return Head(by_key["title"], by_key["description"], theme, parameters, fleet, scope, columns, len(lines))


def _is_like_entry(line: str) -> bool:
    """Returns whether a comment begins with a key, or with what is nearly one."""
    word = re.match(r"(\w+)(?: \w+)?:", line)
    return word is not None and bool(difflib.get_close_matches(word[1], _KEYS, 1, 0.75))


def _entries(lines: list[str]) -> list[tuple[str, str, int]]:
    """Returns each key with its value and its line. Raises ValueError."""
    entries: list[tuple[str, str, int]] = []
    for at, line in enumerate(lines, 1):
        match = _ENTRY.fullmatch(line)
        if match:
            if any(match[1] == key for key, _, _ in entries):
                raise ValueError(f"line {at}: {match[1]} appears twice in the head")
            entries.append((match[1], match[2], at))
        elif line.startswith("  ") and entries:
            key, value, begin = entries[-1]
            entries[-1] = (key, f"{value} {line.strip()}", begin)
        else:
            raise ValueError(f"line {at}: {line!r} is no title, description, theme, fleet, scope, param or column")
    return entries


def _line(entries: list[tuple[str, str, int]], key: str) -> int:
    return next((at for name, _, at in entries if name == key), 1)


def is_of_type(value: str, type: str) -> bool:
    """Returns whether a text is a value of this type (integer, number, text) for SQLite and Python. '' always is."""
    if type == "text" or value == "":
        return True
    # Stricter than int() and float(): they accept 1_000 and digits of other scripts, which SQLite reads differently.
    return re.fullmatch(_NUMBERS[type], value) is not None


def _comments(source: str) -> Iterator[str]:
    for line in source.splitlines():
        match = _COMMENT.fullmatch(line)
        if not match:
            return
        yield match[1]


def _parameter(name: str, value: str, line: int) -> Parameter:
    match = _PARAMETER.fullmatch(value)
    if not match:
        form = "TYPE, required|optional|default VALUE; DESCRIPTION"
        raise ValueError(f"line {line}: parameter {name}: {value!r} is not '{form}'")
    default = match["default"]
    if default is not None and default not in _DEFAULTS and not is_of_type(default, match[1]):
        raise ValueError(f"line {line}: parameter {name}: the default {default!r} is not of the type {match[1]}")
    return Parameter(name, match[1], match["required"] is not None, default, match["description"], match["instead"])
