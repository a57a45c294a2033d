"""What all JSON documents have in common, and how one is written. docs/json.md describes every key of them.

Numbers are exact, with their units in their names, and processes have the ids of their rows. No document is nested
deeper than four levels, whatever a recording holds. What is written is plain ASCII.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from ..model.recording import Recording

Document = dict[str, Any]
"""An object. Iterators in it stand for lists, which are written while they are read."""

FORMAT = 1
"""The version of the documents' shape. It grows when a key goes or changes its meaning, not when one is added."""


def head(command: str) -> Document:
    """How each document begins: which command made it, and in which format."""
    return {"webpf": command, "format": FORMAT}


def recording_value(file: Path, recording: Recording) -> Document:
    """What is said of a recording."""
    return {
        "file": path_value(file),
        "id": recording.id,
        "name": recording.name,
        "host": recording.host,
        "started_ns": recording.started_ns,
        "ended_ns": recording.ended_ns,
        "status": recording.status,
        "lost": recording.lost,
        "caveat": recording.caveat,
    }


def path_value(path: Path) -> str:
    """A path as valid Unicode: bytes that are no UTF-8 as \\xff, as in all that webpf reads from a recording."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def write(document: Document, output: TextIO) -> None:
    """Writes a document, the items of its lists in a line each."""
    separator = "{"
    for key, value in document.items():
        output.write(f"{separator}\n  {_encoded(key)}: ")
        if isinstance(value, Iterator):
            _write_list(value, output)
        else:
            output.write(_encoded(value))
        separator = ","
    output.write("\n}\n")


def _write_list(items: Iterator[Any], output: TextIO) -> None:
    separator = "["
    for item in items:
        output.write(f"{separator}\n    {_encoded(item)}")
        separator = ","
    output.write("[]" if separator == "[" else "\n  ]")


def _encoded(value: Any) -> str:
    """Raises ValueError for what JSON can't say: an infinite number, as only a made-up file holds."""
    return json.dumps(value, allow_nan=False)
