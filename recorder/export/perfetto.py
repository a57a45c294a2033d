"""Exports a recording as a Perfetto trace (protobuf): one slice per process, on tracks named after programs.

Perfetto's UI merges tracks with the same name and shows them as lanes. Timestamps are those of the boot clock, so the
trace can be compared with one that another tool made during the same boot. This is the only module that imports
perfetto. Format: https://perfetto.dev/docs/reference/trace-packet-proto
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, BinaryIO

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import (
    BUILTIN_CLOCK_BOOTTIME,
    BUILTIN_CLOCK_REALTIME,
    TracePacket,
    TrackDescriptor,
    TrackEvent,
)
from perfetto.trace_builder.proto_builder import StreamingTraceProtoBuilder

from ..analysis import saved_queries
from ..model.recording import Recording
from ..progress import NO_PROGRESS, Progress
from . import tracks

_SEQUENCE = 1
_ALIVE_TRACK, _FIRST_LANE_TRACK = 1, 2  # track ids
_STEPS = 1000  # samples of the counter of living processes


def write(
    connection: sqlite3.Connection,
    recording: Recording,
    out: BinaryIO,
    clips: bool = False,
    progress: Progress = NO_PROGRESS,
) -> None:
    """Writes the trace of a recording: all processes except kernel threads.

    A process that was still running at the end has a slice without an end. A process whose exit was lost has a slice
    of length 0. clips: start the slices of older processes at the start of the recording, so that the UI's first view
    shows the recording; and leave out the relation to the wall clock.
    """
    builder = StreamingTraceProtoBuilder(out)
    zero_ns = tracks.trace_zero_ns(connection, recording)
    builder.write_packet(_argument_names())
    if not clips:  # a clock snapshot makes the UI show a group "System" and collapse the other tracks
        builder.write_packet(_clock_snapshot(recording, zero_ns))
    for packet in _alive_counter(connection, recording, zero_ns):
        builder.write_packet(packet)
    for packet in _processes(connection, recording, zero_ns, recording.started_ns if clips else 0, progress):
        builder.write_packet(packet)


def _argument_names() -> TracePacket:
    """Returns the packet that interns the names of slice arguments; slices refer to them by number."""
    packet = TracePacket(trusted_packet_sequence_id=_SEQUENCE)
    packet.sequence_flags = TracePacket.SEQ_INCREMENTAL_STATE_CLEARED | TracePacket.SEQ_NEEDS_INCREMENTAL_STATE
    for number, name in enumerate(tracks.ARGUMENTS, 1):
        packet.interned_data.debug_annotation_names.add(iid=number, name=name)
    return packet


def _clock_snapshot(recording: Recording, zero_ns: int) -> TracePacket:
    """Returns the packet that relates the boot clock to the wall clock."""
    packet = TracePacket()
    packet.clock_snapshot.primary_trace_clock = BUILTIN_CLOCK_BOOTTIME
    packet.clock_snapshot.clocks.add(clock_id=BUILTIN_CLOCK_BOOTTIME, timestamp=recording.started_ns - zero_ns)
    packet.clock_snapshot.clocks.add(clock_id=BUILTIN_CLOCK_REALTIME, timestamp=recording.started_ns)
    return packet


def _alive_counter(connection: sqlite3.Connection, recording: Recording, zero_ns: int) -> Iterator[TracePacket]:
    """Yields a counter track: the number of living processes, from the saved query `concurrency`."""
    track = TrackDescriptor(uuid=_ALIVE_TRACK, name="alive")
    track.counter.SetInParent()
    yield _packet(track_descriptor=track)
    query = saved_queries.load("concurrency")
    values = saved_queries.bind(query, {"recording": str(recording.id), "steps": str(_STEPS)})
    for time_ns, _, alive, *_ in connection.execute(query.sql, values):
        event = TrackEvent(type=TrackEvent.TYPE_COUNTER, track_uuid=_ALIVE_TRACK, counter_value=alive)
        yield _packet(timestamp=time_ns - zero_ns, track_event=event)


def _processes(
    connection: sqlite3.Connection, recording: Recording, zero_ns: int, earliest: int, progress: Progress
) -> Iterator[TracePacket]:
    """Yields begin and end of each slice, and the descriptor of each track before its first slice."""
    for each in tracks.read_slices(connection, recording.id, earliest, progress):
        track = each.lane + _FIRST_LANE_TRACK
        if each.is_first:
            yield _packet(track_descriptor=TrackDescriptor(uuid=track, name=each.track))
        yield _packet(timestamp=each.start_ns - zero_ns, track_event=_slice_begin(track, each))
        if each.end_ns is not None:
            event = TrackEvent(type=TrackEvent.TYPE_SLICE_END, track_uuid=track)
            yield _packet(timestamp=each.end_ns - zero_ns, track_event=event)


def _slice_begin(track: int, each: tracks.Slice) -> TrackEvent:
    event = TrackEvent(type=TrackEvent.TYPE_SLICE_BEGIN, track_uuid=track, name=each.title, categories=[each.outcome])
    for number, value in enumerate(each.values, 1):
        if isinstance(value, str):
            event.debug_annotations.add(name_iid=number, string_value=value)
        elif value is not None:
            event.debug_annotations.add(name_iid=number, int_value=value)
    for name, value in each.environment.items():
        event.debug_annotations.add(name=name, string_value=value)
    return event


def _packet(**fields: Any) -> TracePacket:
    return TracePacket(
        trusted_packet_sequence_id=_SEQUENCE, sequence_flags=TracePacket.SEQ_NEEDS_INCREMENTAL_STATE, **fields
    )
