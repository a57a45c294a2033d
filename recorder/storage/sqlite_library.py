"""Settings of the SQLite library as a whole, which Python's module has no words for."""

from __future__ import annotations

import contextlib
import ctypes
import sqlite3  # noqa: F401 - first, so that the library which it uses is the one that is found by this name

_LIBRARY = "libsqlite3.so.0"
_CONFIG_MULTITHREAD, _CONFIG_MEMSTATUS = 2, 9  # sqlite3.h


def drop_locks() -> None:
    """From now on each connection is used by one thread at a time, so that SQLite need not lock it for every value.

    Of all CPU time that a recorder takes, these locks are a twentieth. To be called while no connection is open. Where
    Python doesn't use SQLite as a shared library, nothing changes.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(_LIBRARY)
        library.sqlite3_shutdown()
        library.sqlite3_config(_CONFIG_MULTITHREAD)
        library.sqlite3_config(_CONFIG_MEMSTATUS, 0)
        library.sqlite3_initialize()
