"""Describes this machine and the recorder: the columns of `recordings` that are known at the start."""

from __future__ import annotations

import os
import platform
import shlex
import socket
import sqlite3
from collections.abc import Sequence

from ..host import clock, liveness, machine_id, procfs
from ..model.host_description import HostDescription
from ..version import __version__
from . import supervisor


def describe_this_host(clock_offset: int, command: Sequence[str], bcc_version: str | None) -> HostDescription:
    """Returns a description of this machine and of the recorder.

    clock_offset: ns from boot time to Unix time. command: the recorder's command line, after redaction.
    bcc_version: version of the BCC that compiled the BPF programs, here or elsewhere.
    """
    zone, utc_offset_s = clock.local_zone()
    supervised = supervisor.current()
    pid = supervised.pid if supervised else os.getpid()
    stat = procfs.read_stat(pid)
    assert stat is not None
    return HostDescription(
        host=socket.gethostname(),
        machine_id=machine_id.hashed(),
        boot_id=liveness.boot_id(),
        kernel=platform.release(),
        machine=platform.machine(),
        cpus=os.cpu_count() or 1,
        command=shlex.join(command),
        recorder_pid=pid,
        recorder_start_ns=stat.start_ns,
        clock_offset_ns=clock_offset,
        zone=zone,
        utc_offset_s=utc_offset_s,
        webpf_version=__version__,
        compiler=None if bcc_version is None else f"BCC {bcc_version}",
        python_version=platform.python_version(),
        sqlite_version=sqlite3.sqlite_version,
    )
