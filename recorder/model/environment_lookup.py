"""Looks up variables in the environment of a program, as the kernel stores it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from .environment import SET, UNKNOWN, UNSET, Environment, Variable
from .events import decode_exact


class EnvironmentLookup:
    """Looks up the variables of these names, which differ."""

    def __init__(self, names: Iterable[str]) -> None:
        self._wanted = [(name, b"\0" + name.encode() + b"=") for name in sorted(names)]

    def find(self, content: bytes, total: int) -> Environment:
        """Returns the variables. Of a name that is there twice, the first value counts, as for getenv(3).

        content: the environment, in which each variable ends with a NUL, or as much of it as was read. total: its
        length in bytes.
        """
        searched, is_cut = b"\0" + content, len(content) < total
        return tuple(_find(name, mark, searched, is_cut) for name, mark in self._wanted)


def _find(name: str, mark: bytes, searched: bytes, is_cut: bool) -> Variable:
    at = searched.find(mark)
    if at < 0:
        return Variable(name, UNKNOWN if is_cut else UNSET)
    begin = at + len(mark)
    end = searched.find(b"\0", begin)
    if end < 0 and is_cut:
        return Variable(name, UNKNOWN)
    return Variable(name, SET, decode_exact(searched[begin : end if end >= 0 else None]))
