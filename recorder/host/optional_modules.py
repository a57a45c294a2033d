"""Modules that may be installed or not: an error for those that webpf needs, and imports without others."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import Unavailable
from .invocation import pip_install

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


@contextlib.contextmanager
def needed(what: str, *packages: str) -> Iterator[None]:
    """Turns an import that fails in the block into Unavailable. what: what needs these packages."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").startswith("webpf"):  # a fault of webpf's own
            raise
        raise _unavailable(what, packages) from None


def require(what: str, *packages: str) -> None:
    """Raises Unavailable if one of these packages is not installed. It imports none of them. what: what needs them."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise _unavailable(what, missing)


def _unavailable(what: str, packages: Sequence[str]) -> Unavailable:
    """Returns the error for packages that are not installed, with the command that installs all of them."""
    plural = "s" if len(packages) > 1 else ""
    named = " and ".join(filter(None, [", ".join(packages[:-1]), packages[-1]]))
    return Unavailable(f"{what} needs the Python package{plural} {named}", pip_install(*packages))
