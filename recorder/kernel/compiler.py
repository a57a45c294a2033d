"""Compiles bpf/process.c with BCC, and catches the messages of the compiler and the verifier."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..errors import Unavailable
from ..log import get_logger
from . import bcc_loader

_log = get_logger(__name__)
_MAX_OUTPUT = 1 << 20  # bytes of messages


def load(macros: dict[str, int | str]) -> Any:
    """Compiles, loads and attaches bpf/process.c with these macros; returns the bcc.BPF object. Raises Unavailable."""
    started = time.monotonic()
    bcc = bcc_loader.load()
    loaded = time.monotonic()
    _log.info("BCC is loaded, in %.3f s", loaded - started)
    _log.info(
        "kernel features: group_dead %d, interruptible %d", macros["EXIT_HAS_GROUP_DEAD"], macros["INTERRUPTIBLE"]
    )
    folder = Path(str(files("webpf.bpf")))
    # BCC looks for kernel headers in this folder, which has a few small ones: the kernel's own are not needed.
    os.environ["BCC_KERNEL_SOURCE"] = str(folder)
    flags = [f"-D{macro}={value}" for macro, value in macros.items()]
    with _captured_stderr() as output, _in_root_folder():
        try:
            bpf = bcc.BPF(text=(folder / "process.c").read_bytes(), cflags=flags)
        except Exception as error:  # BCC raises bare Exceptions; messages of clang and the verifier go to stderr
            reason = _error_line(output()) or str(error)
            raise Unavailable(f"BCC can't load the BPF programs: {reason}", "webpf doctor") from error
    _log.info("the BPF programs are compiled, loaded and attached, in %.3f s", time.monotonic() - loaded)
    return bpf


def _error_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in lines if "error:" in line or "ermitted" in line), lines[-1] if lines else "")


@contextlib.contextmanager
def _in_root_folder() -> Iterator[None]:
    """Changes to / within the block: BCC fails in a folder that was deleted, or whose path is longer than 255 bytes."""
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir("/")
        yield
    finally:
        os.fchdir(before)
        os.close(before)


@contextlib.contextmanager
def _captured_stderr() -> Iterator[Callable[[], str]]:
    """Redirects file descriptor 2, to which clang in libbcc writes, into memory; yields a function that reads it."""
    capture = os.memfd_create("stderr", os.MFD_CLOEXEC)
    saved = os.dup(2)
    try:
        os.dup2(capture, 2)
        yield lambda: os.pread(capture, _MAX_OUTPUT, 0).decode(errors="replace")
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(capture)
