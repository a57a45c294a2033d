"""Runs the truth suite in chroots of Debian's releases, with their own Python, on the kernel that runs here.

sudo python -m tools.compat.distros [bookworm] [trixie] [sid]

It runs twice in each release: with its BCC, which compiles the BPF programs there; and without any compiler, with
webpf's wheel. Without BCC, a user also installs the wheel with pipx, and records with sudo, as README.md says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tools.cache import Row, keep, report, succeeded
from tools.compat import rootfs
from tools.compat.rootfs import Root
from tools.compat.table import write_table

SUITES = ("bookworm", "trixie", "sid")

# The exit code of the recorded command is that of `webpf record`, and is in the file.
PIPX = """
cd ~
rm -rf .local recording
mkdir recording
pipx install $WHEEL
PATH=$HOME/.local/bin:$PATH
cd recording
sudo $(which webpf) doctor
sudo $(which webpf) record --duration 1
code=0
sudo $(which webpf) record -- sh -c 'exit 42' || code=$?
test $code = 42
webpf verify
webpf query failures --format csv | tee failures.csv
grep -q ',42,' failures.csv
test "$(stat -c %U webpf.db)" = "$(id -un)"
"""


def run_chroot(root: Root) -> Row | None:
    """Runs the suite in the chroot of a release; returns its row, or None without a result."""
    path = rootfs.make(root)
    # Not in /tmp: the chroot has another /tmp.
    result = path / rootfs.TREE / "result.json"
    command = [f"/{rootfs.VENV}/bin/python", f"/{rootfs.TREE}/tools/compat/inside.py", f"/{rootfs.TREE}/{result.name}"]
    subprocess.run(rootfs.enter(path, command), check=False)
    if not result.exists():
        print(f"Debian {root.name} left no result")
        return None
    row: Row = json.loads(result.read_text())
    if not root.has_bcc:
        run_pipx(root, row)
    return keep(row, "chroot")


def run_pipx(root: Root, row: Row) -> None:
    """Installs the wheel with pipx and records, as a user with sudo; adds to the row whether that works."""
    environment = {"HOME": f"/home/{rootfs.USER}", "WHEEL": rootfs.give_wheel(root)} | rootfs.let_pip_in(root.path)
    command = rootfs.enter(root.path, ["runuser", "-u", rootfs.USER, "--", "sh", "-euxc", PIPX], environment)
    called = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(called.stdout, end="", flush=True)
    row["pipx"] = {"exit_code": called.returncode, "said": called.stdout.splitlines()}
    if called.returncode:
        row["failures"]["pipx install"] = row["pipx"]["said"][-1]
        row["failed"] += 1


def main() -> int:
    """Runs all named releases, one after the other, then writes the table."""
    if os.geteuid() != 0:
        raise SystemExit("this needs root: it makes root file systems and loads BPF programs")
    roots = [Root(suite, has_bcc=has_bcc) for suite in sys.argv[1:] or SUITES for has_bcc in (True, False)]
    found = []
    for root in roots:
        row = run_chroot(root)
        if row:
            print(report(row), flush=True)
            found.append(row)
    write_table()
    return 0 if succeeded(found) and len(found) == len(roots) else 1


if __name__ == "__main__":
    sys.exit(main())
