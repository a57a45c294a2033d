"""A recording of the whole machine into a temporary file, for commands that show what happens now."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import Unavailable
from ..host import file_owner, syscalls

_RECORD = ["record", "--quiet", "--rotate", "10m", "--keep", "20m", "--max-size", "256MiB"]
_START_SECONDS = 60.0  # compiling the BPF programs for the first time takes some
_END_SECONDS = 20.0
_LOOK_SECONDS = 0.05


@contextlib.contextmanager
def temporary_recording(shows_messages: bool = True) -> Iterator[Path]:
    """Records this machine while the block runs; yields the file, which is removed at the end.

    The recorder ends with this process, whatever happens to it. shows_messages: its errors go to stderr. Raises
    Unavailable if it doesn't start.
    """
    folder = Path(tempfile.mkdtemp(prefix="webpf-"))
    user = file_owner.invoking_user()
    if user is not None:  # so that the recorder can become that user
        os.chown(folder, *user)
    path = folder / "webpf.db"
    # Isolated: `python -m` would search the current folder first, and this runs as root.
    command = [sys.executable, "-I", "-m", "webpf", *_RECORD, "--db", str(path)]
    handlers = {number: signal.signal(number, _exit) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        started = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stderr=None if shows_messages else subprocess.DEVNULL,
            preexec_fn=syscalls.die_with_parent,  # noqa: PLW1509 - there is no other thread yet
        )
        with _ended(started) as recorder:
            _await_start(recorder, path)
            yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _exit(number: int, frame: object) -> None:
    """Ends the block, so that the folder is removed."""
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _ended(recorder: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield recorder
    finally:
        with contextlib.suppress(ProcessLookupError):
            recorder.send_signal(signal.SIGINT)
        try:
            recorder.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            recorder.kill()
            recorder.wait()


def _await_start(recorder: subprocess.Popen[bytes], path: Path) -> None:
    from ..storage import reader

    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if recorder.poll() is not None:
            raise Unavailable("recording this machine didn't start", "sudo webpf record --dry-run")
        if path.exists() and path.stat().st_size:
            with contextlib.suppress(Exception), reader.reading(path, 0.1) as connection:
                if reader.recordings(connection):
                    return
        time.sleep(_LOOK_SECONDS)
    raise Unavailable("recording this machine doesn't start", "sudo webpf record --dry-run")
