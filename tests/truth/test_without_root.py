"""A recorder that is no longer root records the same: after the change only its maps are left to it."""

from __future__ import annotations

import os
import platform
import tempfile
from functools import partial
from pathlib import Path

import pytest
from fates import Fate, Query, now, reap, repeated_if_not_freed, row_of, rows_of, wait_for_free, wait_for_zombie
from support import NOBODY, Recorder, children_of, status_of, wait_until

from webpf.kernel import preflight

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can stop being root"),
]

# Before Linux 5.19, operations on BPF maps need CAP_BPF.
KEPT = 0 if tuple(map(int, platform.release().split("-")[0].split(".")[:2])) >= (5, 19) else 1 << preflight.CAP_BPF


@pytest.mark.parametrize("arguments", [(), ("--events", "none"), ("--comm", "true")])
@repeated_if_not_freed
def test_the_user_records_what_wait4_says(arguments: tuple[str, ...], query: Query) -> None:
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, NOBODY, NOBODY)
        user = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY), "SUDO_USER": "nobody"}
        recorder = Recorder(Path(name, "webpf.db"), arguments, user)
        try:
            recorder.wait_until_recording()
            [writer] = [pid for pid in children_of(recorder.process.pid) if status_of(pid)["Uid"].split() != ["0"] * 4]
            fields = status_of(writer)
            assert fields["Uid"].split() == fields["Gid"].split() == [str(NOBODY)] * 4
            assert [int(fields[name], 16) for name in ("CapPrm", "CapEff")] == [KEPT] * 2
            fates = [run_true() for _ in range(50)]
            ask = partial(query, db=recorder.db)
            wait_until(lambda: all(rows_of(ask, fate) for fate in fates), "one is not in the file")
            wait_for_free(lambda: all(is_freed(ask, fate) for fate in fates))
        finally:
            code, errors = recorder.end()
        assert (code, "complete, no event was lost" in errors) == (0, True), errors
        for fate in fates:
            row = row_of(ask, fate)
            assert (row["comm"], row["status"]) == ("true", fate.status)
            assert abs(row["cpu_ns"] - fate.cpu_ns) <= 2000, "wait4() cuts each of two times to microseconds"


def run_true() -> Fate:
    """Runs a program, and waits for it when it has left its CPU: then wait4() says all that it cost."""
    before = now()
    pid = os.posix_spawn("/bin/true", ["/bin/true"], os.environ)
    wait_for_zombie(pid)
    return reap(pid, before)


def is_freed(query: Query, fate: Fate) -> bool:
    """Whether the process with this fate is in the file, with what it cost."""
    return any(row["cpu_ns"] is not None for row in rows_of(query, fate))
