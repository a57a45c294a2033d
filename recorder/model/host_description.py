"""Describes the machine that a recording comes from, and the recorder on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HostDescription:
    """A machine and the recorder on it. The fields are columns of `recordings`; docs/schema.md explains them.

    None: unknown, for example in the replay of a stream without a head.
    """

    host: str | None = None
    machine_id: str | None = None
    boot_id: str | None = None
    kernel: str | None = None
    machine: str | None = None
    cpus: int | None = None
    command: str | None = None
    recorder_pid: int | None = None
    recorder_start_ns: int | None = None
    clock_offset_ns: int | None = None
    zone: str | None = None
    utc_offset_s: int | None = None
    webpf_version: str | None = None
    compiler: str | None = None
    python_version: str | None = None
    sqlite_version: str | None = None
