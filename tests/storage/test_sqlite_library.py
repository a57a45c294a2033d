"""In the recorder's process, SQLite takes no lock for each value, and two threads can still use it in turn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LOOK = """
import ctypes, sqlite3, sys, threading
from webpf.storage import sqlite_library

library = ctypes.CDLL("libsqlite3.so.0")
library.sqlite3_db_mutex.restype = ctypes.c_void_p
library.sqlite3_db_mutex.argtypes = [ctypes.c_void_p]


def has_mutex():
    db = ctypes.c_void_p()
    assert library.sqlite3_open(b":memory:", ctypes.byref(db)) == 0
    mutex = library.sqlite3_db_mutex(db)
    library.sqlite3_close(db)
    return mutex is not None


before = has_mutex()
sqlite_library.disable_locks()
connection = sqlite3.connect(sys.argv[1], check_same_thread=False)
connection.execute("CREATE TABLE t (n)")
thread = threading.Thread(target=lambda: connection.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)]))
thread.start()
thread.join()
print(before, has_mutex(), connection.execute("SELECT sum(n) FROM t").fetchone()[0])
"""


def test_a_connection_has_no_lock_of_its_own(tmp_path: Path) -> None:
    """SQLite itself confirms this: sqlite3_db_mutex() returns NULL for a connection without a lock."""
    result = subprocess.run([sys.executable, "-c", LOOK, tmp_path / "t.db"], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["True", "False", "3"]
