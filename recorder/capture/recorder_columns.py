"""What is written of a recorder when its recording begins: the columns of `recordings` that are known by then."""

from __future__ import annotations

import os
import platform
import shlex
import socket
import sqlite3
from collections.abc import Mapping
from typing import Any

from .. import __version__
from ..host import liveness, procfs
from ..kernel import bcc_loader
from . import supervisor


def known_at_start(options: Mapping[str, Any], started_ns: int, offset: int, command: list[str]) -> dict[str, Any]:
    """Column -> value. started_ns: Unix ns; offset: ns from boot time to Unix time; command: as it may be written."""
    mine = supervisor.current()
    pid = mine.pid if mine else os.getpid()
    own = procfs.read_stat(pid)
    assert own is not None
    return {
        "name": options["name"],
        "started_ns": started_ns,
        "updated_ns": started_ns,
        "host": socket.gethostname(),
        "boot_id": liveness.boot_id(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpus": os.cpu_count() or 1,
        "command": shlex.join(command),
        "options": {**options, "db": str(options["db"])},
        "recorder_pid": pid,
        "recorder_start_ns": own.start_ns,
        "clock_offset_ns": offset,
        "webpf_version": __version__,
        "bcc_version": bcc_loader.find().version,
        "python_version": platform.python_version(),
        "sqlite_version": sqlite3.sqlite_version,
    }
