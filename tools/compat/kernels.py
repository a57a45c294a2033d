"""Runs the truth suite under Debian's kernels, each booted in qemu by software emulation.

    sudo python -m tools.compat.kernels [--suite SUITE] [--with-bcc] [own] [5.10] [6.1] [6.12] [7.2] [6.1-arm64]

`own` is the running kernel, without qemu. The guests have webpf's wheel, with the BPF programs that this machine has
compiled, and nothing that could compile them. With --with-bcc they have BCC instead, and compile them. The initrd of
a guest is its whole root file system, so it needs no module and no disk. Its console is written to a file in the cache.
Its result comes through a second serial port.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools import mirror
from tools.cache import CACHE, PROJECT, Row, keep, report, run, succeeded
from tools.compat.guest import MACHINES, from_initrd, initrd
from tools.compat.rootfs import Root
from tools.compat.table import write_table

LIMIT_SECONDS = 3600
BOOTS = 3


def kernel_image(name: str) -> Path:
    """Returns the newest cloud kernel of Debian of a series. It has the drivers of a guest built in.

    name: such as 6.12, or 6.1-arm64.
    """
    series, architecture = series_of(name)
    folder = CACHE / "kernels" / name
    if not any(folder.rglob("vmlinuz*")):
        print(f"fetching Linux {name}", flush=True)
        pattern = rf"^linux-(image|binary)-{re.escape(series)}\.[^ ]*-cloud-{architecture}$"
        package = mirror.fetch(pattern, architecture, folder)
        run("dpkg-deb", "--extract", package, folder)
        package.unlink()
    # In /boot, and since 7.2 beside the modules.
    found = next(folder.rglob("vmlinuz*"), None)
    if found is None:
        raise SystemExit(f"there is no kernel in the package of Linux {name}, in {folder}")
    return found


def series_of(name: str) -> tuple[str, str]:
    """Returns the series and the architecture of a kernel's name."""
    series, _, architecture = name.partition("-")
    architecture = architecture or "amd64"
    if architecture not in MACHINES:
        raise SystemExit(f"no machine of {architecture} can be emulated here; try: make kernels KERNELS={series}-arm64")
    return series, architecture


def boot(name: str, root: Root, console: Path, script: str) -> bytes:
    """Boots a kernel, and waits until the guest has switched itself off. Returns its result; empty if none came.

    script: what the guest runs, a path in the source tree.
    """
    image = kernel_image(name)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        image_of_root, result = Path(folder) / "initrd", Path(folder) / "result"
        initrd(root, script, image_of_root)
        command = MACHINES[root.architecture].command(image, from_initrd(image_of_root), console, result)
        run_machine(command, console)
        return result.read_bytes() if result.exists() else b""


def run_machine(command: list[str], console: Path, limit_seconds: float = LIMIT_SECONDS) -> bool:
    """Runs an emulated machine until it ends, hangs, or has used up its time. Returns whether it ended by itself."""
    guest = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        _await(guest, console, limit_seconds)
        return guest.poll() == 0 and not has_crashed(console)
    finally:
        guest.kill()
        guest.wait()


def _await(guest: subprocess.Popen[bytes], console: Path, limit_seconds: float) -> None:
    deadline = time.monotonic() + limit_seconds
    while time.monotonic() < deadline:
        try:
            guest.wait(5)
            return
        except subprocess.TimeoutExpired:
            if has_crashed(console):
                return
    print(f"the guest has not finished after {limit_seconds:.0f} s", flush=True)


def has_crashed(console: Path) -> bool:
    """Returns whether the emulated machine crashed, not the suite.

    The kernel changes its own running code, for example to attach to a tracepoint. Sometimes qemu then executes a
    temporary breakpoint that has already been removed. The result is an oops or an endless loop.
    """
    text = console.read_text(errors="replace") if console.exists() else ""
    return any(sign in text for sign in ("Kernel panic", "Oops: int3", "soft lockup"))


def run_in_guest(name: str, root: Root, script: str) -> bytes:
    """Runs a script of the source tree under a kernel in qemu; returns its result, empty if there is none."""
    console = CACHE / f"console-{name}-{root.suite}.txt"
    print(f"booting Linux {name} with Debian {root.name}; its console is {console}", flush=True)
    for _ in range(BOOTS):
        result = boot(name, root, console, script)
        if result or not has_crashed(console):
            break
        crashed = console.with_suffix(f".{time.time():.0f}.txt")
        console.rename(crashed)
        print(f"the emulated machine crashed, and is booted again; see {crashed}", flush=True)
    if not result:
        print(f"Linux {name} left no result: see {console}")
    return result


def run_guest(name: str, root: Root) -> Row | None:
    """Runs the suite under a kernel in qemu; returns its row."""
    started = time.monotonic()
    result = run_in_guest(name, root, "tools/compat/inside.py")
    if not result.strip():
        return None
    row: Row = json.loads(result)
    row["whole_seconds"] = round(time.monotonic() - started, 1)
    return keep(row, "emulated")


def run_here() -> Row:
    """Runs the suite under the running kernel, in the virtual environment of this clone; returns its row."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result"
        run_shown([sys.executable, str(PROJECT / "tools/compat/inside.py"), str(result)])
        return keep(json.loads(result.read_text()), "as it is")


def run_shown(command: list[str]) -> None:
    """Runs a command, and shows its output."""
    subprocess.run(command, check=True)


def main() -> int:
    """Runs all named kernels, one after the other, then writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="bookworm", help="the guests' distribution")
    parser.add_argument("--with-bcc", action="store_true", help="the guests compile the BPF programs")
    parser.add_argument("kernels", nargs="*", default=["own", "5.10", "6.1", "6.12", "7.2", "6.1-arm64"])
    options = parser.parse_args()
    if options.with_bcc and any(name != "own" and series_of(name)[1] != "amd64" for name in options.kernels):
        parser.error("--with-bcc is for the kernels of amd64")
    if os.geteuid() != 0:
        raise SystemExit("this needs root: it makes root file systems and loads BPF programs")
    found = []
    for name in options.kernels:
        root = Root(options.suite, "amd64" if name == "own" else series_of(name)[1], options.with_bcc)
        row = run_here() if name == "own" else run_guest(name, root)
        if row:
            print(report(row), flush=True)
            found.append(row)
    write_table()
    return 0 if succeeded(found) and len(found) == len(options.kernels) else 1


if __name__ == "__main__":
    sys.exit(main())
