"""Checks for the Python packages of the engines. It imports none of them, so it comes before what does."""

from __future__ import annotations

import importlib.util

from ..errors import Unavailable
from ..host.invocation import pip_install
from .engine_name import EngineName


def require(name: EngineName, *packages: str) -> None:
    """Raises Unavailable if a package that the engine needs is not installed, with the command that installs all."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        named = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
        message = f"the engine {name.value} needs the Python package{plural} {named}"
        raise Unavailable(message, pip_install(*missing))
