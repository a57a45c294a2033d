"""Compiles bpf/process.c with BCC, whose messages it catches."""

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
_MOST_OUTPUT = 1 << 20  # bytes of what a compiler says


def load(macros: dict[str, int | str]) -> Any:
    """The bcc.BPF object of bpf/process.c: compiled with these macros, loaded, and attached to its tracepoints.

    Raises Unavailable.
    """
    started = time.monotonic()
    bcc = bcc_loader.load()
    loaded = time.monotonic()
    _log.info("BCC is loaded, in %.3f s", loaded - started)
    _log.info(
        "kernel features: group_dead %d, interruptible %d", macros["EXIT_HAS_GROUP_DEAD"], macros["INTERRUPTIBLE"]
    )
    folder = Path(str(files("webpf.bpf")))
    # BCC looks for kernel headers here, and finds a few small ones of our own: none of the kernel's are needed.
    os.environ["BCC_KERNEL_SOURCE"] = str(folder)
    flags = [f"-D{macro}={value}" for macro, value in macros.items()]
    with _captured_stderr() as output, _in_root_folder():
        try:
            bpf = bcc.BPF(text=(folder / "process.c").read_bytes(), cflags=flags)
        except Exception as error:  # BCC raises bare Exceptions; clang's and the verifier's words go to stderr
            reason = _reason(output()) or str(error)
            raise Unavailable(f"BCC can't load the BPF program: {reason}", "webpf doctor") from error
    _log.info("the BPF programs are compiled, loaded and attached, in %.3f s", time.monotonic() - loaded)
    return bpf


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in lines if "error:" in line or "ermitted" in line), lines[-1] if lines else "")


@contextlib.contextmanager
def _in_root_folder() -> Iterator[None]:
    """BCC asks for the current folder, and knows no path of more than 255 bytes, nor a folder that was deleted."""
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir("/")
        yield
    finally:
        os.fchdir(here)
        os.close(here)


@contextlib.contextmanager
def _captured_stderr() -> Iterator[Callable[[], str]]:
    """Redirects file descriptor 2 into memory, and returns what reads that: clang inside of libbcc writes there."""
    capture = os.memfd_create("stderr", os.MFD_CLOEXEC)
    saved = os.dup(2)
    try:
        os.dup2(capture, 2)
        yield lambda: os.pread(capture, _MOST_OUTPUT, 0).decode(errors="replace")
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(capture)
