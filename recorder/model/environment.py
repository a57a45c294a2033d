"""The environment variables that `--env` keeps of each program. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

SET: Final = "set"
UNSET: Final = "unset"
UNKNOWN: Final = "unknown"
"""States of a variable: it has a value, which may be empty; it is not set; it can be in a part that was not read."""

MAX_BYTES: Final = 65536
"""How many bytes of an environment are read at an exec."""


class Variable(NamedTuple):
    """A variable that was asked for. value: bytes if it isn't UTF-8; None unless the state is SET."""

    name: str
    state: str
    value: str | bytes | None = None


Environment: TypeAlias = tuple[Variable, ...]
"""The variables of one program, in the order of their names."""


def is_name(name: str) -> bool:
    """Whether a variable can have this name: it is not empty, has no `=`, and is UTF-8."""
    return bool(name) and not set(name) & {"=", "\0"} and not any("\ud800" <= each <= "\udfff" for each in name)
