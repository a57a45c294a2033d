"""Imports without modules that a library would import too, only because they are installed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

_PROGRAM = "webpf.__main__"


@contextlib.contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Lets imports within the block fail for these modules, unless they are imported already.

    Only where webpf runs as a program. In another program, the library would lack them for that program too.
    """
    main = getattr(sys.modules.get("__main__"), "__spec__", None)
    is_program = _PROGRAM in sys.modules or getattr(main, "name", None) == _PROGRAM
    hidden_names = [name for name in names if is_program and name not in sys.modules]
    modules: dict[str, Any] = sys.modules
    modules.update(dict.fromkeys(hidden_names))  # with None, an import raises ModuleNotFoundError
    try:
        yield
    finally:
        for name in hidden_names:
            del modules[name]
