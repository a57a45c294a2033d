"""What a recorder and its helpers keep in memory, from /proc/PID/smaps_rollup and /proc/PID/maps."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Recorder

from tools.bench.compare import family

pytestmark = pytest.mark.kernel
MOST_MIB = 31  # 25 on Debian 12; besides, 16 are the ring buffer, and some pages of files that others share


def test_a_recorder_keeps_no_libraries_that_it_does_not_need(start_recorder: Callable[..., Recorder]) -> None:
    recorder = start_recorder("--quiet")
    pids = family(recorder.process.pid)
    assert len(pids) == 3
    maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in pids)
    assert "libsqlite3" in maps and "bpf-map" in maps
    assert not re.search("libcrypto|libbcc|LLVM|libclang|numpy|pandas", maps)
    found = [
        int(re.search(r"^Pss_Anon: +(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)[1])  # type: ignore[index]
        for pid in pids
    ]
    assert sum(found) / 1024 < MOST_MIB
