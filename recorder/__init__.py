"""webpf as a library: reads recordings of processes. See docs/python.md.

    import webpf

    for process in webpf.open("webpf.db").recording().query("failures"):
        print(process["comm"], process["exit_code"])

Nothing is imported here before it is used: this file is run before webpf has taken the current folder off the search
path, and at each start of the command line.
"""

from .version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Any

    from .errors import WebpfError
    from .library import File, Recording

__all__ = ["File", "Recording", "WebpfError", "__version__", "open"]

_HOMES = {"File": "library", "Recording": "library", "WebpfError": "errors"}


def open(path: "str | os.PathLike[str]") -> "File":
    """A recording file, to be read. Raises a WebpfError if it isn't there, can't be read, or is none of webpf's."""
    from .library import File

    return File(path)


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
