"""Text of a given width on a terminal, where some characters take two cells. Control characters are escaped."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

from .escape import safe


def cut(text: str, width: int | None) -> str:
    """Returns text that takes at most this many cells, with … if something is missing. None: whatever it takes."""
    shown = safe(text)
    if width is None or cell_len(shown) <= width:
        return shown
    return set_cell_size(shown, width - 1) + "…"


def fit(text: str, width: int) -> str:
    """Returns text that takes exactly this many cells."""
    return set_cell_size(cut(text, width), width)
