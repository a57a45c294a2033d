"""Ends a segment of a chain and begins the next, in one transaction: after a crash, both or neither are in the file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..model.recording import COMPLETE
from . import event_ids
from .recording_inserts import RecordingInserts

if TYPE_CHECKING:
    from ..model.event_source import Counts
    from .recording_file import RecordingFile
    from .recording_writer import RecordingWriter
    from .write_batch import Batch

_CHAIN = "SELECT coalesce(chain, id), coalesce(segment, 1) + 1 FROM recordings WHERE id = ?"


@dataclass(frozen=True)
class SegmentCut:
    """What the transaction writes.

    ended_ns, counts: of the segment that ends. passed_ids: see RecordingWriter.pass_ids(). columns: of the next
    segment, as for RecordingFile.begin(). alive: the events and rows of the processes that go over. commands: ids of
    their command lines in the next segment, by those in the one that ends. cgroups: theirs.
    """

    before: RecordingWriter
    following: RecordingWriter
    ended_ns: int
    counts: Counts
    passed_ids: tuple[range, ...]
    columns: Mapping[str, Any]
    alive: Batch
    commands: Mapping[int, int]
    cgroups: Collection[int]

    def execute(self, file: RecordingFile) -> None:
        """Writes it. Raises StorageError; then nothing of it is written, and a retry is possible."""
        connection, number = file.connection, self.before.id
        with file.writing(), file.atomic():
            self.before.end(COMPLETE, self.ended_ns)
            self.before.update_counts(self.counts, self.before.written, self.ended_ns)
            chain, segment = connection.execute(_CHAIN, [number]).fetchone()
            inserts = RecordingInserts(file.insert({**self.columns, "chain": chain, "segment": segment}))
            event_ids.pass_on(connection, number, inserts.recording_id, self.passed_ids)
            inserts.copy_commands(connection, self.commands)
            inserts.copy_cgroups(connection, number, self.cgroups)
            inserts.insert(connection, self.alive)
        self.following.begin_as(inserts)
        self.following.add_written(self.alive)
