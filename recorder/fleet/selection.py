"""The recordings of a tree that a query reads: all, or those of some hosts, or one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from . import part_reader
from .part_reader import Place

ALL = "host=*/recording=*"


@dataclass(frozen=True)
class Selection:
    """Recordings of a tree, in the order of their numbers. folders: where they are in each table's folder.

    In a folder, `*` stands for any name. So recordings that are not complete can be in them too.
    """

    root: Path
    places: tuple[Place, ...]
    folders: tuple[str, ...]

    def only(self, *places: Place) -> Selection:
        """Returns these recordings alone."""
        return replace(self, places=places, folders=tuple(place.path.as_posix() for place in places))


def select(root: Path, hosts: Sequence[str] = ()) -> Selection:
    """Finds the recordings of a tree. hosts: patterns of names; empty: all. Raises NotFound or DataError."""
    places = part_reader.find_places(root, hosts)
    folders = sorted({f"{place.path.parent.name}/recording=*" for place in places}) if hosts else [ALL]
    return Selection(root, tuple(places), tuple(folders))
