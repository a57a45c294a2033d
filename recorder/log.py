"""The loggers of webpf's modules: silent, unless `--verbose` or a program that uses webpf listens."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

ROOT = "webpf"
"""The name of the logger above all of them."""


def get_logger(name: str) -> logging.Logger:
    """As logging.getLogger(name), for a module's __name__. Without a handler, Python would print warnings to stderr."""
    import logging  # here, so that commands that log nothing don't load it

    root = logging.getLogger(ROOT)
    if not root.handlers:
        root.addHandler(logging.NullHandler())
    return logging.getLogger(name)


def is_verbose() -> bool:
    """Whether log lines of level INFO go anywhere."""
    import logging

    return get_logger(ROOT).isEnabledFor(logging.INFO)


class Steps:
    """Logs the steps of something that takes a while, each with the seconds that it took."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._since = time.monotonic()

    def done(self, step: str) -> None:
        """This step, which began when the one before was done, is done."""
        now = time.monotonic()
        self._logger.info("%s, in %.3f s", step, now - self._since)
        self._since = now


@contextlib.contextmanager
def suppressed(name: str, action: str, *errors: type[BaseException]) -> Iterator[None]:
    """As contextlib.suppress(*errors), but with a debug line of this logger that the action failed."""
    try:
        yield
    except errors as error:
        get_logger(name).debug("%s failed: %s", action, error)
