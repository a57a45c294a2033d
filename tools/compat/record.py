"""Makes a small recording under a kernel of Debian in qemu, for the tests: tests/fleet/data.

sudo python -m tools.compat.record 6.1 tests/fleet/data/linux-6.1.db
"""

from __future__ import annotations

import sys
from pathlib import Path

from tools.compat.kernels import run_in_guest, series_of
from tools.compat.rootfs import Root


def main() -> int:
    """Boots the kernel, and writes the file that came from it."""
    name, target = sys.argv[1], Path(sys.argv[2])
    result = run_in_guest(name, Root("bookworm", series_of(name)[1]), "tools/compat/record_inside.py")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(result)
    print(f"{target}: {len(result):,} bytes")
    return 0 if result else 1


if __name__ == "__main__":
    sys.exit(main())
