"""Runs the truth suite in chroots of Debian's releases, with their own BCC and Python, on the kernel that runs here.

sudo python -m tools.compat.distros [bookworm] [trixie] [sid]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tools.cache import Row, keep, report, succeeded
from tools.compat import rootfs
from tools.compat.table import write_table


def run_chroot(suite: str) -> Row | None:
    """Runs the suite in the chroot of a release; returns its row, or None without a result."""
    root = rootfs.make(suite)
    # Not in /tmp: the chroot has another /tmp.
    result = root / rootfs.TREE / "result.json"
    command = [f"/{rootfs.VENV}/bin/python", f"/{rootfs.TREE}/tools/compat/inside.py", f"/{rootfs.TREE}/{result.name}"]
    subprocess.run(rootfs.enter(root, command), check=False)
    if not result.exists():
        print(f"Debian {suite} left no result")
        return None
    return keep(json.loads(result.read_text()), "chroot")


def main() -> int:
    """Runs all named releases, one after the other, then writes the table."""
    if os.geteuid() != 0:
        raise SystemExit("this needs root: it makes root file systems and loads BPF programs")
    suites = sys.argv[1:] or ["bookworm", "trixie", "sid"]
    found = []
    for suite in suites:
        row = run_chroot(suite)
        if row:
            print(report(row), flush=True)
            found.append(row)
    write_table()
    return 0 if succeeded(found) and len(found) == len(suites) else 1


if __name__ == "__main__":
    sys.exit(main())
