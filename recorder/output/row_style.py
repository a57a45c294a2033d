"""How rows are shown to people: in which time zone, with whose users, and which rows stand out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

_FAILED = ("failed", "signalled")  # values of outcome


@dataclass(frozen=True)
class RowStyle:
    """How rows are shown. zone: of their times; None: local time.

    knows_users: whether the users of this machine are the recorded ones, so that their ids have the same names.
    """

    zone: tzinfo | None = None
    knows_users: bool = False


def failure_test(columns: Sequence[str]) -> Callable[[Sequence[Any]], bool]:
    """Returns a function that says whether a row is about one process, and this failed."""
    at = {name: index for index, name in enumerate(columns)}
    if "pid" not in at:
        return lambda row: False
    code, signal, outcome = (at.get(name) for name in ("exit_code", "signal", "outcome"))

    def is_failed(row: Sequence[Any]) -> bool:
        return (
            (code is not None and bool(row[code]))
            or (signal is not None and bool(row[signal]))
            or (outcome is not None and row[outcome] in _FAILED)
        )

    return is_failed
