"""Reading processes in unusual states from /proc."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import wait_until

from webpf.host import procfs
from webpf.model.events import Seen

LEADER_LEAVES = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=[600]).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def found(pid: int) -> Seen | None:
    """Returns what webpf reads of a process."""
    return next((alive for alive in procfs.scan(0, 4096, {}) if alive.pid == pid), None)


def is_zombie(pid: int) -> bool:
    """Whether the leader has ended, and its parent has not waited for it."""
    stat = procfs.read_stat(pid)
    return stat is not None and stat.state == "Z"


@contextmanager
def ended(child: subprocess.Popen[bytes]) -> Iterator[int]:
    """Yields the pid of a child, and kills the child afterwards."""
    try:
        yield child.pid
    finally:
        child.kill()
        child.wait()


def test_a_process_whose_leader_has_left() -> None:
    """Other threads still run, so the process is alive, and its program is read from one of them."""
    with ended(subprocess.Popen([sys.executable, "-c", LEADER_LEAVES])) as pid:
        wait_until(lambda: is_zombie(pid), "the leader stays")
        alive = found(pid)
        assert alive is not None
        assert alive.filename == os.path.realpath(sys.executable)
        assert alive.argv == b"\0".join(map(os.fsencode, (sys.executable, "-c", LEADER_LEAVES))) + b"\0"


def test_a_program_whose_path_is_longer_than_a_page(tmp_path: Path) -> None:
    home = os.open(".", os.O_RDONLY)
    try:
        os.chdir(tmp_path)
        for _ in range(20):
            Path("d" * 250).mkdir()
            os.chdir("d" * 250)
        shutil.copy("/bin/sleep", "sleep")
        child = subprocess.Popen(["./sleep", "600"])
    finally:
        os.chdir(home)
        os.close(home)
    with ended(child) as pid:
        wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "sleep has not begun")
        alive = found(pid)
        assert alive is not None
        assert (alive.filename, alive.argv, alive.execs) == (None, b"./sleep\x00600\0", 1)


def test_a_zombie_has_ended() -> None:
    with ended(subprocess.Popen(["/bin/sleep", "600"])) as pid:
        assert found(pid) is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: is_zombie(pid), "it lives")
        assert found(pid) is None
