"""The values of a saved query's parameters, as the command line gives them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from ..errors import UsageError
from . import query_header

RECORDING_PARAMETERS = {"recording", "against"}
"""Parameters that name a recording."""

_A = {"integer": "a whole number", "number": "a number", "text": "text"}


def parse(pairs: Iterable[str]) -> dict[str, str]:
    """Parses words such as KEY=VALUE. Raises UsageError."""
    values = {}
    for each in pairs:
        key, equals, value = each.partition("=")
        if not key or not equals:
            raise UsageError(f"-p takes KEY=VALUE, not {each!r}", "webpf query execs -p pid=1")
        values[key] = value
    return values


def check(query: str, parameters: Sequence[query_header.Parameter], given: Mapping[str, str]) -> None:
    """Raises UsageError for a parameter that the query lacks, and for a value of a wrong type. query: its name."""
    by_name = {parameter.name: parameter for parameter in parameters}
    for name, value in given.items():
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, n=1)
            known = f"did you mean {near[0]}?" if near else f"it has {', '.join(by_name) or 'none'}"
            raise UsageError(f"query {query} has no parameter {name!r}: {known}", f"webpf query {query}")
        if not query_header.is_of_type(value, by_name[name].type):
            wanted = by_name[name].type
            raise UsageError(
                f"parameter {name} of query {query} takes {_A[wanted]}, not {value!r}",
                f"webpf query {query} -p {name}={by_name[name].example}",
            )
