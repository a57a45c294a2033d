"""The state of the service as text."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..model.recording import GOING_ON
from ..output import units

if TYPE_CHECKING:
    from ..service.service_state import FileState, ServiceState


def lines(state: ServiceState) -> Iterator[str]:
    """Yields the lines of `webpf service status`."""
    yield from (f"{name:<11}{text}" for name, text in _fields(state))


def _fields(state: ServiceState) -> Iterator[tuple[str, str]]:
    yield "service", _describe_service(state)
    yield "file", str(state.db) if state.file is None else f"{state.db}, {units.byte_size(state.file.bytes)}"
    if state.file is None:
        yield "", state.why_not
        return
    yield from _file_fields(state.file)


def _file_fields(file: FileState) -> Iterator[tuple[str, str]]:
    recording = file.recording
    what = "goes on since" if recording.status == GOING_ON else f"{recording.status}, since"
    yield "recording", f"{recording.id} {what} {_moment(recording.started_ns)}"
    of = "1 recording" if file.recordings == 1 else f"{file.recordings:,} recordings"
    yield "processes", f"{file.processes:,} in {of}"
    yield "lost", f"{file.lost:,} events" if file.lost else "no event"
    if file.oldest_ns is not None:
        yield "oldest", _moment(file.oldest_ns)


def _describe_service(state: ServiceState) -> str:
    since = f" since {_moment(state.since_ns)}" if state.since_ns is not None and state.active == "active" else ""
    enabled = "starts at boot" if state.is_enabled else "doesn't start at boot"
    failed = "" if state.result in ("success", "unknown") else f", {state.result} (exit code {state.exit_code})"
    return f"{state.active} ({state.sub}){since}{failed}; {enabled}"


def _moment(ns: int) -> str:
    return f"{units.zoned_moment(ns)} ({units.duration(max(time.time_ns() - ns, 0))} ago)"
