"""The common parts of all JSON documents, and the function that writes one. docs/json.md describes every key.

Numbers are exact, the names of keys say their units, and processes have the ids of their rows. No document is nested
deeper than four levels, whatever a recording holds. The output is plain ASCII.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from ..model.recording import Recording

Document = dict[str, Any]
"""A JSON object. An iterator in it is written as a list, item by item while it is read."""

FORMAT = 1
"""The version of all documents. It grows if a key is removed or changes its meaning, not if one is added."""


def head(command: str) -> Document:
    """Returns the keys with which each document begins: the command that made it, and the format version."""
    return {"webpf": command, "format": FORMAT}


def recording_value(file: Path, recording: Recording) -> Document:
    """Returns the object that describes a recording."""
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
    """Returns a path as valid Unicode. Bytes that are not UTF-8 become \\xff, as in all text of a recording."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def write(document: Document, output: TextIO) -> None:
    """Writes a document, with each list item on a line of its own."""
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
    """Raises ValueError for an infinite number, which JSON doesn't have. Only a damaged file holds one."""
    return json.dumps(value, allow_nan=False)
