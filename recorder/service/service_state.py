"""How the service is: what systemd says of it, and what its file holds."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import NotFound, Unavailable, WebpfError
from ..host import file_owner, service_place
from ..model.recording import GOING_ON, Recording
from ..storage import reader
from . import systemd

_PROPERTIES = ("ActiveState", "SubState", "Result", "ExecMainStatus", "UnitFileState", "ActiveEnterTimestamp")


@dataclass(frozen=True)
class FileState:
    """What the file of the service holds.

    bytes: its size, with the log beside it. processes, lost: of all recordings. recording: the one that is going on, or
    the latest. oldest_ns: Unix ns; where the oldest recording begins.
    """

    bytes: int
    recordings: int
    processes: int
    lost: int
    recording: Recording
    oldest_ns: int | None


@dataclass(frozen=True)
class ServiceState:
    """How the service is. active, sub, result: as systemd calls them. since_ns: Unix ns; when it became active.

    file: None if the file can't be read; why_not says why.
    """

    active: str
    sub: str
    result: str
    exit_code: int | None
    is_enabled: bool
    since_ns: int | None
    db: Path
    file: FileState | None
    why_not: str = ""

    @property
    def is_recording(self) -> bool:
        """Whether the service runs, and a recording goes on as far as one can see."""
        return self.active == "active" and (self.file is None or self.file.recording.status == GOING_ON)


def read_state() -> ServiceState:
    """Returns how the service is. Raises Unavailable without systemd, and NotFound if it isn't installed."""
    if not systemd.is_running():
        raise Unavailable("systemd doesn't run here, so there is no service", "webpf recordings")
    if not os.path.lexists(service_place.UNIT_FILE):
        raise NotFound("the service is not installed", "sudo webpf service install")
    found = systemd.properties(*_PROPERTIES)
    file, why_not = None, ""
    try:
        file = _read_file(service_place.DB)
    except WebpfError as error:
        why_not = error.message + (f"; try: {error.hint}" if error.hint else "")
    since, code = found.get("ActiveEnterTimestamp", "").removeprefix("@"), found.get("ExecMainStatus", "")
    return ServiceState(
        active=found.get("ActiveState", "unknown"),
        sub=found.get("SubState", "unknown"),
        result=found.get("Result", "unknown"),
        exit_code=int(code) if code.isdigit() else None,
        is_enabled=found.get("UnitFileState") == "enabled",
        since_ns=int(since) * 1_000_000_000 if since.isdigit() and int(since) else None,
        db=service_place.DB,
        file=file,
        why_not=why_not,
    )


def _read_file(path: Path) -> FileState:
    with reader.reading(path) as connection:
        recordings = reader.recordings(connection)
        return FileState(
            bytes=sum(each.stat().st_size for each in (path, *file_owner.side_files(path)) if each.exists()),
            recordings=len(recordings),
            processes=reader.count_processes(connection),
            lost=sum(each.lost or 0 for each in recordings),
            recording=reader.find(connection, path),
            oldest_ns=min((each.started_ns for each in recordings), default=None),
        )
