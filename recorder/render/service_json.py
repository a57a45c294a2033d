"""The state of the service as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .json_document import Document, head, path_value, recording_value

if TYPE_CHECKING:
    from ..service.service_state import FileState, ServiceState


def state_document(state: ServiceState) -> Document:
    """Returns the document of `webpf service status`."""
    return {
        **head("service"),
        "is_recording": state.is_recording,
        "service": {
            "active": state.active,
            "sub": state.sub,
            "result": state.result,
            "exit_code": state.exit_code,
            "is_enabled": state.is_enabled,
            "started_ns": state.since_ns,
        },
        "file": path_value(state.db),
        "holds": None if state.file is None else _holds(state.file),
        "recording": None if state.file is None else recording_value(state.db, state.file.recording),
    }


def _holds(file: FileState) -> Document:
    return {
        "size_bytes": file.bytes,
        "recordings": file.recordings,
        "processes": file.processes,
        "lost": file.lost,
        "started_ns": file.oldest_ns,
    }
