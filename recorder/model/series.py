"""A series: a command that is recorded several times, perhaps in turn with another one."""

from __future__ import annotations

from dataclasses import dataclass

AGAINST = "against"
"""The option of a recording that is true for the runs of --against."""

_OWN = "own"


@dataclass(frozen=True)
class SeriesRun:
    """Which run of a series a recording is. group: the id that all of them share. number: from 1; pairs share it.

    total: how many there will be; 0: nobody knows yet. is_against: it is of the command of --against.
    """

    group: str
    number: int
    total: int
    is_against: bool = False

    @property
    def text(self) -> str:
        """The value of the option --run-of, with which a series calls webpf for each run."""
        return f"{self.group}:{self.number}:{self.total}:{AGAINST if self.is_against else _OWN}"

    @classmethod
    def parse(cls, text: str) -> SeriesRun | None:
        """Returns the run that `text` stands for; None if it is of no series."""
        group, number, total, side = (text.split(":") + [""] * 4)[:4]
        if not number.isdecimal() or not total.isdecimal():
            return None
        return cls(group, int(number), int(total), side == AGAINST)

    def label(self, name: str | None) -> str:
        """Returns what it is for people. name: of the recording."""
        total = f" of {self.total}" if self.total else ""
        return f"run {self.number}{total}" + (f" ({name})" if name else "")
