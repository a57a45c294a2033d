"""A short recording with events of all kinds, for the tests of saved queries."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from support import MS, exec_, exit_, fork, free, make_recording, seen, usage, vanished

from webpf.analysis import saved_queries
from webpf.model.environment import Variable
from webpf.model.events import Event
from webpf.model.process import COSTS

INIT = {"ppid": 1, "parent_ms": -5000}
GCC = b"/usr/bin/gcc\0-c\0a.c\0"
MADE = (Variable("CFLAGS", "set", "-O2"), Variable("MAKELEVEL", "set", "1"))
ODD = (Variable("CFLAGS", "unknown"), Variable("MAKELEVEL", "set", b"\xff"))
BARE = (Variable("CFLAGS", "unset"), Variable("MAKELEVEL", "set", ""))

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
    exec_(102, 20, 21, GCC, "gcc")._replace(environment=MADE),
    exit_(102, 20, 40, comm="gcc", ppid=101),
    free(102, 20, 60, cpu_ms=15),
    fork(103, 45, ppid=101, parent_ms=10, comm="make"),
    exec_(103, 45, 46, GCC, "gcc")._replace(environment=MADE),
    exit_(103, 45, 75, 256, comm="gcc", ppid=101),
    free(103, 45, 95, cpu_ms=25, status=256),
    fork(104, 70, ppid=101, parent_ms=10, comm="make"),
    exec_(104, 70, 71, b"env\0python\0a.py\0", "env")._replace(environment=ODD),
    exec_(104, 70, 72, b"python\0a.py\0", "python")._replace(carried_rss_kib=3000, environment=BARE),
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


MIB = 1 << 20
DOCKER, POD = "d0" * 32, "0f2b5c1e-1a2b-4c3d-8e9f-001122334455"
PLACES: list[tuple[int, str | None, str | None, str | None, str | None]] = [
    (10, f"/system.slice/docker-{DOCKER}.scope", f"docker-{DOCKER}.scope", DOCKER, None),
    (11, f"/system.slice/docker-{DOCKER}.scope/system.slice/ssh.service", "ssh.service", DOCKER, None),
    (12, f"/kubepods/pod{POD}/{'c1' * 32}", None, "c1" * 32, POD),
    (13, "/system.slice/ssh.service", "ssh.service", None, None),
    (14, "/user.slice", None, None, None),
    (15, None, None, None, None),
]
"""Rows of cgroup_paths: id, path, unit, container and pod. A systemd in a container makes a second cgroup there."""


def costly(pid: int, ms: float, cgroup: int, life_ms: float = 100, status: int = 0, **costs: int | None) -> list[Event]:
    """Returns the events of a process with these costs, which lives for life_ms in a cgroup. All other costs are 0."""
    zeros = dict.fromkeys((*COSTS, "max_rss_kib"), 0)
    values: dict[str, Any] = zeros | costs
    peak = values.pop("max_rss_kib")
    begun = fork(pid, ms, 1, -5000)._replace(cgroup_id=cgroup)
    ran = exec_(pid, ms, ms + 1, b"job\0%d\0" % pid, "job")._replace(cgroup_id=cgroup)
    ended = exit_(pid, ms, ms + life_ms, status, "job")._replace(max_rss_kib=peak)
    return [begun, ran, ended, free(pid, ms, ms + life_ms + 5, status=status)._replace(**values)]


COSTLY: list[Event] = [
    seen(1, -5000, ppid=0)._replace(cgroup_id=15),
    *costly(
        201, 0, 10, cpu_ns=40 * MS, user_ns=30 * MS, system_ns=10 * MS, read_bytes=3 * MIB, write_bytes=MIB,
        run_delay_ns=20 * MS, major_faults=9, minor_faults=100, involuntary_switches=6, max_rss_kib=900,
    ),
    *costly(202, 150, 11, status=256, cpu_ns=5 * MS, user_ns=4 * MS, system_ns=MS, run_delay_ns=55 * MS),
    *costly(203, 300, 12, cpu_ns=20 * MS, user_ns=20 * MS, read_bytes=5 * MIB, run_delay_ns=None),
    *costly(204, 450, 13, cpu_ns=9 * MS, user_ns=2 * MS, system_ns=7 * MS, write_bytes=2 * MIB, max_rss_kib=700),
    *costly(205, 600, 14, cpu_ns=MS, system_ns=MS, read_bytes=None, write_bytes=None, run_delay_ns=150 * MS),
    fork(206, 750, 1, -5000)._replace(cgroup_id=15),
    usage(206, 750, 1000, cpu_ms=2),
]  # fmt: skip
"""Processes with costs, in the cgroups of PLACES. One second, as BUILD."""


def make_costly_recording(db: Path) -> None:
    """Writes the recording of COSTLY with its cgroups."""
    make_recording(db, COSTLY)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("DELETE FROM cgroup_paths")
        connection.executemany("INSERT INTO cgroup_paths VALUES (1, ?, ?, ?, ?, ?)", PLACES)


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


def parent_of_many(processes: int) -> list[Event]:
    """Events of a parent with this many children, each with a command line of its own."""
    found: list[Event] = [fork(100, 0), exec_(100, 0, 1)]
    for number in range(processes):
        pid = 1000 + number
        found += [fork(pid, number, ppid=100, parent_ms=0), exec_(pid, number, number + 0.5, b"/bin/true\0%d\0" % pid)]
        found += [exit_(pid, number, number + 1), free(pid, number, number + 2)]
    return found
