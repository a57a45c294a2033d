"""A lock of this machine: tests that change what all its processes see, such as its clock, run alone."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def held(alone: bool) -> Iterator[None]:
    """Holds the lock within the block. alone: waits until nobody else holds it, and lets nobody else in."""
    with ExitStack() as stack:
        # Who waits to be alone holds the turnstile, so that no others come in before: else its turn might never come.
        with _flock("turnstile", fcntl.LOCK_EX):
            stack.enter_context(_flock("machine", fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
        yield


@contextmanager
def _flock(name: str, mode: int) -> Iterator[None]:
    path = Path(tempfile.gettempdir()) / f"webpf-tests-{os.getuid()}-{name}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, mode)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child that was forked meanwhile would keep it after close()
        os.close(descriptor)
