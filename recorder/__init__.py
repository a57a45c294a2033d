"""webpf as a library: read recordings of processes from Python. See docs/python.md.

    import webpf

    for process in webpf.open("webpf.db").recording().query("failures"):
        print(process["comm"], process["exit_code"])

This module imports the others only when they are used. It runs before webpf has removed the current folder from the
module search path, and at every start of the command line.
"""

from .version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Any

    from .errors import WebpfError
    from .python_api import File, Recording

__all__ = ["File", "Recording", "WebpfError", "__version__", "open"]

_MODULES = {"File": "python_api", "Recording": "python_api", "WebpfError": "errors"}


def open(path: "str | os.PathLike[str]") -> "File":
    """Opens a recording file for reading. Raises a WebpfError if it doesn't exist, can't be read or isn't webpf's."""
    from .python_api import File

    return File(path)


def __getattr__(name: str) -> "Any":
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
