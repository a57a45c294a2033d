"""The loggers of webpf's modules. They are silent unless `--verbose` or a Python program adds a handler."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

ROOT = "webpf"
"""The name of the parent of all loggers."""


def get_logger(name: str) -> logging.Logger:
    """Returns logging.getLogger(name). It first adds a NullHandler: without one, Python prints warnings to stderr."""
    import logging  # imported here, so that commands that log nothing don't load it

    root = logging.getLogger(ROOT)
    if not root.handlers:
        root.addHandler(logging.NullHandler())
    return logging.getLogger(name)


def is_verbose() -> bool:
    """Returns whether lines of level INFO are written anywhere."""
    import logging

    return get_logger(ROOT).isEnabledFor(logging.INFO)


class Steps:
    """Logs the steps of a long operation, each with the seconds that it took."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._since = time.monotonic()

    def done(self, step: str) -> None:
        """Logs that `step` is done. It began when the step before was done."""
        now = time.monotonic()
        self._logger.info("%s, in %.3f s", step, now - self._since)
        self._since = now


@contextlib.contextmanager
def suppressed(name: str, action: str, *errors: type[BaseException]) -> Iterator[None]:
    """Suppresses `errors` as contextlib.suppress() does, and logs them at level DEBUG: that `action` failed."""
    try:
        yield
    except errors as error:
        get_logger(name).debug("%s failed: %s", action, error)
