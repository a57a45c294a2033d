"""Compiles bpf/process.c with BCC, in a child process: LLVM's 150 MiB are gone with it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time

from ..errors import DataError, Unavailable
from ..log import get_logger
from . import bcc_loader, object_format

_log = get_logger(__name__)

_SECONDS = 600  # an emulated machine needs some 30
# -I: no folder, setting or package of a user has a say, but for the path by which this process found its own modules.
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from webpf.kernel import compile_child; compile_child.main()"


def compile_programs() -> tuple[bytes, object_format.BpfObject]:
    """Returns the compiled object, as a file's content and as what it says. Takes some 0.5 s.

    Raises Unavailable if BCC is missing, or if it can't compile or may not create maps.
    """
    bcc_loader.find()
    started = time.monotonic()
    # In the root folder, because BCC fails in one that was deleted, or whose path is longer than 255 bytes.
    command = [sys.executable, "-I", "-c", _PROGRAM, *sys.path]
    try:
        done = subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except OSError as error:
        raise Unavailable(f"the compiler can't be started: {error.strerror}", "webpf doctor") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"BCC has not compiled the BPF programs within {_SECONDS} s", "webpf doctor") from None
    messages = done.stderr.decode(errors="replace")
    for line in messages.splitlines():
        _log.info("BCC: %s", line)
    if done.returncode != 0:
        raise _failure(done.returncode, done.stdout, messages)
    try:
        compiled = object_format.decode(done.stdout)
    except DataError as error:
        raise Unavailable(f"the object that BCC has made can't be used: {error.message}", "webpf doctor") from error
    _log.info("BCC %s has compiled the BPF programs, in %.3f s", compiled.bcc_version, time.monotonic() - started)
    return done.stdout, compiled


def _failure(code: int, output: bytes, messages: str) -> Unavailable:
    with contextlib.suppress(ValueError):
        error = json.loads(output)
        return Unavailable(error["message"], error["hint"])
    reason = _error_line(messages) if code > 0 else f"it was ended by {_signal_name(-code)}"
    return Unavailable(f"BCC can't compile the BPF programs: {reason}", "webpf doctor")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _error_line(messages: str) -> str:
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    return next((line for line in lines if "error:" in line or "ermitted" in line), lines[-1] if lines else "")
