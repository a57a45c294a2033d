"""Memory and file size of a real recorder, while processes on the machine try to make them grow."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support import Recorder, children_of, status_of, wait_until, with_commands

from webpf.host import clock
from webpf.kernel.probe import Probe
from webpf.kernel.ring_buffer import DRAIN_BYTES
from webpf.model.events import Event, Exec, Exit

pytestmark = pytest.mark.kernel

Start = Callable[..., Recorder]
Query = Callable[..., list[dict[str, Any]]]

# A program that runs itself this often, with 30,000 bytes of arguments, and then exits with 3.
EXECS_ITSELF = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	static char left[32], big[30000];
	long n = atol(argv[1]);

	if (n <= 0)
		return 3;
	memset(big, 'x', sizeof(big) - 1);
	sprintf(left, "%ld", n - 1);
	execl("/proc/self/exe", argv[0], left, big, (char *)0);
	return 1;
}
"""


def resident_mib(recorder: Recorder) -> float:
    """Returns the resident memory as the kernel counts it, without the ring buffer, of the process that records."""
    pids = [recorder.process.pid, *children_of(recorder.process.pid)]
    return max(int(status_of(pid)["RssAnon"].split()[0]) for pid in pids) / 1024


def start_with_name(program: Path, number: int) -> tuple[int, bytes]:
    """Runs a program by a path of 3,800 bytes that are not UTF-8, different for each number. Returns pid and path."""
    folder = os.fsencode(program.parent)
    parts = [b"\xff" * 230 + b"%c" % (97 + (number >> 4 * at & 15)) for at in range(15)]
    path = folder + b"".join(b"/" + part + b"/.." for part in parts) + b"/" + os.fsencode(program.name)
    return os.posix_spawn(path, [b"t"], {}), path


def test_paths_that_are_not_utf_8(start_recorder: Start, query: Query, tmp_path: Path) -> None:
    """They are not kept in memory, and not stored with escapes of four times their size."""
    program = tmp_path / "t"
    program.symlink_to("/bin/true")
    for letter in range(16):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + b"\xff" * 230 + b"%c" % (97 + letter))).mkdir()
    recorder = start_recorder()
    before = resident_mib(recorder)
    paths: dict[int, bytes] = {}
    for number in range(4_000):
        pid, path = start_with_name(program, number)
        os.waitpid(pid, 0)
        paths[pid] = path
    sql = f"SELECT count(*) AS n FROM {with_commands('programs')} WHERE typeof(filename) = 'blob'"
    wait_until(lambda: query(sql)[0]["n"] >= 3_900, "the programs aren't in the file")
    grown = resident_mib(recorder) - before
    code, errors = recorder.end()
    assert (code, "LOST" in errors) == (0, False)
    assert grown < 40, f"{grown:.0f} MiB"
    for table in ("processes", "programs"):
        rows = query(f"SELECT pid, filename FROM {with_commands(table)} WHERE typeof(filename) = 'blob'")
        stored = {row["pid"]: row["filename"] for row in rows if row["pid"] in paths}
        assert stored == paths, table  # programs of other tests may have such paths too


def test_rotations_leave_nothing_behind(start_recorder: Start, query: Query) -> None:
    recorder = start_recorder("--rotate", "1s")

    def wait_for_segments(count: int) -> None:
        wait_until(lambda: query("SELECT count(*) AS n FROM recordings")[0]["n"] >= count, "it doesn't rotate", 60)

    resident = []
    for segments in (4, 9, 14, 19):
        wait_for_segments(segments)
        resident.append(resident_mib(recorder))
    assert recorder.end()[0] == 0
    # The median: what another test starts meanwhile may need room once, but doesn't for each rotation.
    grown = statistics.median(after - before for before, after in pairwise(resident))
    assert grown < 2, f"{grown:.1f} MiB in 5 rotations: {resident}"


def test_a_short_process_that_fills_the_buffer_of_events(start_recorder: Start, query: Query, tmp_path: Path) -> None:
    """--min-lifetime keeps it: the file has all of its programs, and the last message says so."""
    source = tmp_path / "it.c"
    source.write_text(EXECS_ITSELF)
    try:
        subprocess.run(["gcc", "-O2", "-o", tmp_path / "it", source], check=True)
    except FileNotFoundError:
        pytest.skip("no gcc")
    recorder = start_recorder("--min-lifetime", "3600", "--buffer-mib", "256")
    before = resident_mib(recorder)
    execs = 5_000  # with 150 MB of arguments
    short = subprocess.Popen([tmp_path / "it", str(execs)])
    assert short.wait() == 3
    grown = resident_mib(recorder) - before
    wait_until(lambda: query("SELECT 1 FROM processes WHERE pid = ? AND state = 'exited'", short.pid), "it isn't there")
    code, errors = recorder.end()
    assert code == 0
    assert grown < 64 + 60, f"{grown:.0f} MiB"
    [row] = query("SELECT * FROM processes WHERE pid = ? AND state = 'exited'", short.pid)
    assert (row["exit_code"], row["execs"]) == (3, execs + 1)
    assert query("SELECT count(*) AS n FROM programs WHERE process_id = ?", row["id"]) == [{"n": execs + 1}]
    [recording] = query("SELECT lost, kept_short FROM recordings")
    assert recording["lost"] == 0
    assert recording["kept_short"] >= 1
    assert f"has {recording['kept_short']:,} processes that ended sooner than --min-lifetime" in errors


def test_a_full_ring_buffer_is_drained_in_parts() -> None:
    """Each part has a limited size and ends between two records. An empty ring buffer gives an empty part."""
    probe = Probe(clock.measure_offset(), buffer_mib=64)
    try:
        size = 20_000
        pids = []
        for _ in range(600):
            pids.append(os.posix_spawn("/bin/true", ["true", "x" * size], {}))
            os.waitpid(pids[-1], 0)
        batches: list[list[Event]] = []
        more: list[bool] = []
        while batch := probe.drain():
            batches.append(batch)
            more.append(probe.has_more())
        own = [[event for event in batch if isinstance(event, Exec) and event.pid in pids] for batch in batches]
        assert len([batch for batch in own if batch]) > 3
        # Near the end, new events of other processes can come after the buffer was empty.
        assert more[:3] == [True] * 3 and not more[-1]
        assert max(map(len, own)) <= DRAIN_BYTES // size + 1
        assert [event.pid for batch in own for event in batch] == pids
        assert {event.argv for batch in own for event in batch} == {b"true\0" + b"x" * size + b"\0"}
        ended = {event.pid for batch in batches for event in batch if isinstance(event, Exit)}
        assert set(pids) <= ended
    finally:
        probe.close()
