"""The story of a recording in short: its summary, and what decided how long it took."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from ..model.recording import Recording
from . import command_summary, report
from .command_summary import CommandSummary
from .report import Report

MOST_REPORTED = 20_000
"""The most processes for which the critical path is computed: about a second of Python, which nothing interrupts."""

_PROCESSES = "SELECT count(*) FROM (SELECT 1 FROM processes WHERE recording_id = ? LIMIT ?)"


@dataclass(frozen=True)
class Story:
    """The story of a recording. report: None if it has more than MOST_REPORTED processes."""

    recording: Recording
    summary: CommandSummary
    report: Report | None

    @property
    def length_ns(self) -> int:
        """The time of the command, or of the recording, in ns."""
        if self.summary.command is not None and self.summary.command.lifetime_ns is not None:
            return self.summary.command.lifetime_ns
        return self.recording.until_ns - self.recording.started_ns


def read(connection: sqlite3.Connection, recording: Recording) -> Story:
    """Returns the story of a recording. Working directories are not read, so nothing is known of repeated commands."""
    (processes,) = connection.execute(_PROCESSES, [recording.id, MOST_REPORTED + 1]).fetchone()
    if processes > MOST_REPORTED:
        return Story(recording, command_summary.read(connection, recording), None)
    found = report.read(connection, recording)
    return Story(recording, found.summary, found)
