"""Prints lines of JSON to a reader that can stop reading."""

from __future__ import annotations

import json
import select
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..model import json_lines
from ..model.events import ALL_KINDS

if TYPE_CHECKING:
    from ..host.pipe_writer import PipeWriter
    from ..model.json_lines import Line

_EVENTS = tuple(kind.type for kind in ALL_KINDS)


class LinePrinter:
    """Prints lines until the reader takes no more. unread: number of events that the reader didn't take."""

    def __init__(self, output: PipeWriter) -> None:
        self.unread = 0
        self._has_given_up = False
        self._output = output

    def print(self, lines: Iterable[Line]) -> None:
        """Prints lines. Each write has as many lines as a pipe takes atomically (PIPE_BUF)."""
        block, events = b"", 0
        for line in lines:
            text = b"" if self._has_given_up else json.dumps(json_lines.encode(line)).encode() + b"\n"
            if len(block) + len(text) > select.PIPE_BUF:  # a pipe takes a block of up to PIPE_BUF bytes as a whole
                self._put(block, events)
                block, events = b"", 0
            block += text
            events += isinstance(line, _EVENTS)
        self._put(block, events)

    def _put(self, block: bytes, events: int) -> None:
        self._has_given_up = self._has_given_up or not self._output.put(block)
        if self._has_given_up:
            self.unread += events
