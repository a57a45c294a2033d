"""Streams of events, as `webpf stream` prints them, and replays of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

from support import DEADLINE_SECONDS, T0, at, webpf_command

from webpf.model import json_lines
from webpf.model.events import Event
from webpf.model.host_description import HostDescription
from webpf.model.json_lines import Line
from webpf.model.stream_metadata import Head, StreamCounts

ELSEWHERE = HostDescription(
    host="elsewhere", machine_id="0123456789abcdef0123456789abcdef", boot_id="11111111-2222-3333-4444-555555555555",
    kernel="5.99.0-strange", machine="mips64", cpus=77, command="webpf stream --full", recorder_pid=4711,
    recorder_start_ns=5_000_000, clock_offset_ns=T0 - 10**15, zone="Asia/Kathmandu", utc_offset_s=20700,
    webpf_version="0.0.9", compiler="BCC 0.99", python_version="3.99.1", sqlite_version="3.99.2",
)  # fmt: skip
HEAD = Head(T0, ELSEWHERE, {"of": "machine", "buffer_mib": 32, "redact": 0})


def counts(attempted: Iterable[int], lost: Iterable[int] = (0,) * 4, end_ms: float | None = 1000) -> StreamCounts:
    """Counts by kind: forks, execs, exits, frees. end_ms: None if the stream goes on."""
    return StreamCounts(at(end_ms or 500), None if end_ms is None else at(end_ms), *attempted, *lost)


def as_bytes(*parts: Line | Iterable[Line] | bytes) -> bytes:
    """Lines of a stream; bytes are taken as they are."""

    def one(line: Line) -> bytes:
        return json.dumps(json_lines.encode(line)).encode() + b"\n"

    def any_(part: Line | Iterable[Line] | bytes) -> bytes:
        if isinstance(part, bytes):
            return part
        return one(part) if hasattr(part, "_fields") else b"".join(map(one, part))  # type: ignore[arg-type]

    return b"".join(map(any_, parts))


def kinds(events: Iterable[Event]) -> list[int]:
    """How many forks, execs, exits and frees there are."""
    letters = [json_lines.encode(event)["event"] for event in events]
    return [letters.count(letter) for letter in "FXER"]


def replay(stream: bytes, db: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Replays it from standard input."""
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        [*webpf_command(), "replay", "--db", str(db), *arguments],
        input=stream,
        capture_output=True,
        timeout=3 * DEADLINE_SECONDS,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
