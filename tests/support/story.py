"""A short recording with events of all kinds, for the tests of saved queries."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from support import exec_, exit_, fork, free, seen, vanished

from webpf.analysis import saved_queries
from webpf.model.events import Event

INIT = {"ppid": 1, "parent_ms": -5000}
GCC = b"/usr/bin/gcc\0-c\0a.c\0"

BUILD: list[Event] = [
    # Processes from before the recording: init, the first kernel thread, a daemon that ends and one that doesn't.
    seen(1, -5000, ppid=0),
    seen(2, -5000, ppid=0, comm="kthreadd", argv=None, kernel=1),
    seen(30, -2000, comm="daemon", argv=b"daemon\0-v\0"),
    seen(31, -1000, comm="server", argv=b"server\0"),
    # A shell runs make, which runs the same command twice, and two wrappers that crash.
    fork(100, 0, **INIT, comm="init"),
    exec_(100, 0, 1, b"/bin/sh\0-c\0make\0", "sh"),
    fork(101, 10, ppid=100, parent_ms=0),
    exec_(101, 10, 11, b"/usr/bin/make\0", "make"),
    fork(102, 20, ppid=101, parent_ms=10, comm="make"),
    exec_(102, 20, 21, GCC, "gcc"),
    exit_(102, 20, 40, comm="gcc", ppid=101),
    free(102, 20, 60, cpu_ms=15),
    fork(103, 45, ppid=101, parent_ms=10, comm="make"),
    exec_(103, 45, 46, GCC, "gcc"),
    exit_(103, 45, 75, 256, comm="gcc", ppid=101),
    free(103, 45, 95, cpu_ms=25, status=256),
    fork(104, 70, ppid=101, parent_ms=10, comm="make"),
    exec_(104, 70, 71, b"env\0python\0a.py\0", "env"),
    exec_(104, 70, 72, b"python\0a.py\0", "python")._replace(carried_rss_kib=3000),
    exit_(104, 70, 80, 139, comm="python", ppid=101)._replace(max_rss_kib=3000),
    free(104, 70, 100, cpu_ms=8, status=139),
    fork(105, 75, ppid=101, parent_ms=10, comm="make"),
    exec_(105, 75, 76, b"env\0python\0b.py\0", "env"),
    exec_(105, 75, 77, b"python\0b.py\0", "python"),
    exit_(105, 75, 85, 6, comm="python", ppid=101)._replace(max_rss_kib=9000),
    free(105, 75, 105, cpu_ms=4, status=6),
    # A process goes to the background: its parent ends before it.
    fork(106, 86, ppid=101, parent_ms=10, comm="make", uid=33),
    fork(107, 87, ppid=106, parent_ms=86, comm="make", uid=33),
    exit_(106, 86, 90, comm="make", ppid=101),
    free(106, 86, 110, cpu_ms=1),
    exit_(101, 10, 120, 512, comm="make", ppid=100),
    free(101, 10, 140, cpu_ms=5, status=512),
    exit_(100, 0, 130, comm="sh"),
    free(100, 0, 150, cpu_ms=2),
    exit_(107, 87, 190, 9, comm="make"),
    free(107, 87, 490, cpu_ms=3, status=9),  # its parent waited for it late
    exit_(30, -2000, 250, 15, "daemon"),  # its parent never waited for it
    # Two processes whose exit was lost, one that still runs, a kernel thread, and a process with a reused pid.
    fork(108, 260, **INIT, comm="init"),
    free(108, 260, 280, cpu_ms=2, status=256 * 7),
    fork(109, 270, **INIT, comm="init"),
    fork(110, 300, **INIT, comm="init", uid=33)._replace(cgroup_id=7),
    exec_(110, 300, 301, b"/usr/bin/tail\0-f\0/var/log/a b\0", "tail")._replace(cgroup_id=7, uid=33),
    fork(111, 400, ppid=2, parent_ms=-5000, comm="kworker/0:1", kernel=1),
    exit_(111, 400, 401, comm="kworker/0:1", ppid=2),
    fork(102, 500, ppid=110, parent_ms=300, comm="tail", uid=33),
    exit_(102, 500, 510, comm="tail", ppid=110),
    free(102, 500, 530, cpu_ms=1),
    vanished(109, 270, 900),
]
"""It takes one second. Ids are those of the first events: 1 init, 3 daemon, 4 server, 5 sh, 7 make, 9 and 13 gcc ..."""


def needed(name: str, pid: str) -> dict[str, str]:
    """Returns values for the required parameters of a saved query: the pid, or the parameter's example."""
    values = {"pid": pid}
    required = [parameter for parameter in saved_queries.load(name).parameters if parameter.required]
    return {parameter.name: values.get(parameter.name, parameter.example) for parameter in required}


def run(db: Path, name: str, **parameters: str) -> list[dict[str, Any]]:
    """Runs a saved query with parameters as text; returns its rows."""
    with saved_queries.run(db, saved_queries.load(name), parameters) as result:
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def picked(rows: Iterable[dict[str, Any]], *columns: str) -> list[tuple[Any, ...]]:
    """Returns some columns of the rows."""
    return [tuple(row[column] for column in columns) for row in rows]
