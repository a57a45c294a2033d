"""The scope in the address of a page: `?_since=-2h&_failed=1`, as the options --since and --failed of the command line.

The names begin with _, as Datasette's own do, so they can't be those of a query's parameters or of a table's columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from ..analysis import scope_values
from ..analysis.scope_values import ScopeField
from ..model.scope import Scope

# Not --local, because the machine of the browser may be in another zone than that of the server. Not --args either:
# nothing can interrupt a regular expression, and one that takes for ever would stop the server for all.
_NOT_IN_BROWSERS = ("local", "args")
_RECORDING = ScopeField("recording", "N|NAME", "Only this recording, or this segment of a chain.")
_CONTAINS = ScopeField("contains", "TEXT", "Only processes whose command line contains this text.", True)
_ALL = ScopeField("all", None, "Of a chain of recordings: all of it, where no time is given.")

FIELDS = (
    *(field for field in scope_values.FIELDS if field.name not in _NOT_IN_BROWSERS),
    _CONTAINS,
    _RECORDING,
    _ALL,
)
"""The fields of the form."""


@dataclass(frozen=True)
class ScopeAddress:
    """The values in an address, as they were typed, by the names of FIELDS. Blank ones are left out."""

    values: Mapping[str, tuple[str, ...]]

    @classmethod
    def read(cls, args: Any) -> ScopeAddress:
        """Reads the arguments of Datasette's request."""
        found = {}
        for field in FIELDS:
            values = tuple(value.strip() for value in args.getlist(parameter(field)) if value.strip())
            if values:
                found[field.name] = values
        return cls(found)

    @classmethod
    def of_page(cls, request: Any) -> ScopeAddress:
        """Reads the values of a page whose path can name a recording, too."""
        number = request.url_vars.get("recording")
        values = cls.read(request.args).values
        return cls({**values, "recording": (number,)} if number else values)

    @property
    def recording(self) -> str | None:
        """The number or name of a recording."""
        return self._only("recording")

    def about(self, recording: str | None) -> ScopeAddress:
        """Returns the same scope of another recording; None: of no certain one."""
        others = {name: values for name, values in self.values.items() if name != "recording"}
        return ScopeAddress(others if recording is None else {**others, "recording": (recording,)})

    def parse(self) -> Scope:
        """Returns the scope. Raises UsageError for a value that can't be read."""
        given: dict[str, Any] = {field.name: self._value(field) for field in FIELDS}
        texts = self.values.get("contains", ())
        return scope_values.parse({**given, "args": [re.escape(text) for text in texts]}, bool(given["all"]))

    def query_string(self, without: tuple[str, ...] = ()) -> str:
        """Returns the end of an address with these values: `?` and what follows; '' if there are none."""
        pairs = [(name, value) for name, value in self.pairs() if name[1:] not in without]
        return f"?{urlencode(pairs)}" if pairs else ""

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yields the parameters and their values."""
        for field in FIELDS:
            for value in self.values.get(field.name, ()):
                yield parameter(field), value

    def _value(self, field: ScopeField) -> Any:
        if field.metavar is None:
            return field.name in self.values
        return list(self.values.get(field.name, ())) if field.is_repeated else self._only(field.name)

    def _only(self, name: str) -> str | None:
        return next(iter(self.values.get(name, ())), None)


def parameter(field: ScopeField) -> str:
    """Returns the name of a field in addresses."""
    return f"_{field.name}"
