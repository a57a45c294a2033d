"""A macro of SQL, and what statements read: see sql_macros.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Base: TypeAlias = Literal["file", "one", "pooled"]
"""What a statement reads: a recording in an SQLite file, one recording of a fleet, or all recordings of a fleet."""


@dataclass(frozen=True)
class Macro:
    """A named piece of SQL. Its text has {argument} for each argument, and may use other macros.

    one: the text for one recording of a fleet; None: the same as text. pooled: the text for all recordings of a fleet;
    None: the same as for one.
    """

    name: str
    arguments: tuple[str, ...]
    description: str
    text: str
    one: str | None = None
    pooled: str | None = None

    def text_for(self, base: Base) -> str:
        """Returns the text for what a statement reads."""
        one = self.text if self.one is None else self.one
        return {"file": self.text, "one": one, "pooled": one if self.pooled is None else self.pooled}[base]

    @property
    def call(self) -> str:
        """The form of a call: name!(argument, ...)."""
        return f"{self.name}!({', '.join(self.arguments)})"
