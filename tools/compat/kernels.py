"""Runs the truth suite under Debian's kernels, each booted in qemu by software emulation.

    sudo python -m tools.compat.kernels [--suite SUITE] [own] [5.10] [6.1] [6.12] [7.2]

`own` is the running kernel, without qemu. The initrd of a guest is its whole root file system, so it needs no module
and no disk. Its console is written to a file in the cache. Its result comes through a second serial port.
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
from tools.compat import rootfs
from tools.compat.table import write_table

MEMORY_MIB = 4096
LIMIT_SECONDS = 3600
BOOTS = 3
SLOWNESS = 20
"""How much slower a guest is, at worst, for the deadlines of the tests."""

# PID 1 of the guest. When it ends, the kernel panics, and then qemu ends.
INIT = f"""#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
exec > /dev/console 2>&1
export PATH={rootfs.PATH} HOME=/root LANG=C.UTF-8 WEBPF_TEST_SLOWNESS={SLOWNESS}
ip link set lo up
cd /{rootfs.TREE}
/{rootfs.VENV}/bin/python tools/compat/inside.py /tmp/result
stty -F /dev/ttyS1 raw
cat /tmp/result > /dev/ttyS1
echo o > /proc/sysrq-trigger
sleep 60
"""

# Not needed to run tests, and the guest must unpack the image at each boot.
LEFT_OUT = re.compile(
    rf"\./({rootfs.TREE}|(proc|sys|dev|tmp|run|boot|var/cache|var/lib/apt/lists|usr/share/(doc|man|info|locale))/.)"
    r"|.*/(lib[atlu]san\.a|libhwasan\.a|libtsan_.*|lto1|cc1plus|perl5?/5.*)($|/)"
)


def kernel_image(series: str) -> Path:
    """Returns the newest cloud kernel of Debian of a series, such as 6.12. It has the drivers of a guest built in."""
    folder = CACHE / "kernels" / series
    if not any(folder.rglob("vmlinuz*")):
        print(f"fetching Linux {series}", flush=True)
        package = mirror.fetch(rf"^linux-(image|binary)-{re.escape(series)}\.[^ ]*-cloud-amd64$", folder)
        run("dpkg-deb", "--extract", package, folder)
        package.unlink()
    # In /boot, and since 7.2 beside the modules.
    found = next(folder.rglob("vmlinuz*"), None)
    if found is None:
        raise SystemExit(f"there is no kernel in the package of Linux {series}, in {folder}")
    return found


def archive(top: Path, names: list[str], to: Path) -> None:
    """Packs files into a cpio archive in the format that the kernel reads."""
    with to.open("wb") as out:
        subprocess.run(
            ["cpio", "--null", "--create", "--format=newc", "--quiet", "--owner=0:0"],
            check=True, cwd=top, input="\0".join(names).encode(), stdout=out,
        )  # fmt: skip


def names_below(top: Path) -> list[str]:
    """Returns all files and folders below a folder, each after the folder that contains it."""
    return run("env", "-C", top, "find", ".", "-xdev", "-print0").rstrip("\0").split("\0")


def initrd(suite: str, to: Path) -> None:
    """Writes an initrd: the root file system, then the source tree and /init. The first part is kept for later runs."""
    root = rootfs.make(suite)
    base, made_for = CACHE / f"root-{suite}.cpio", CACHE / f"root-{suite}.cpio.recipe"
    if not base.exists() or not made_for.exists() or made_for.read_text() != rootfs.recipe():
        archive(root, [name for name in names_below(root) if not LEFT_OUT.match(name)], base)
        made_for.write_text(rootfs.recipe())
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "init").write_text(INIT)
        (Path(folder) / "init").chmod(0o755)
        archive(Path(folder), ["init"], Path(folder) / "init.cpio")
        tree = [f"./{rootfs.TREE}{name[1:]}" for name in names_below(root / rootfs.TREE)]
        archive(root, tree, Path(folder) / "tree.cpio")
        # The kernel unpacks archives that follow each other.
        to.write_bytes(b"")
        for part in (base, Path(folder) / "tree.cpio", Path(folder) / "init.cpio"):
            run("sh", "-c", f"cat '{part}' >> '{to}'")


def boot(image: Path, suite: str, console: Path) -> Row | None:
    """Boots a kernel, and waits until the guest has switched itself off. Returns None without a result in time."""
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        initrd(suite, Path(folder) / "initrd")
        result = Path(folder) / "result"
        command = [
            "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
            "-m", str(MEMORY_MIB), "-nodefaults", "-no-reboot", "-display", "none", "-monitor", "none",
            "-kernel", str(image), "-initrd", str(Path(folder) / "initrd"),
            "-append", "console=ttyS0 panic=-1 loglevel=5 sysrq_always_enabled",
            "-serial", f"file:{console}", "-serial", f"file:{result}",
        ]  # fmt: skip
        guest = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            _await(guest, console)
        finally:
            guest.kill()
            guest.wait()
        text = result.read_text(errors="replace").strip() if result.exists() else ""
    found: Row | None = json.loads(text) if text else None
    return found


def _await(guest: subprocess.Popen[bytes], console: Path) -> None:
    """Waits until the guest has ended, hangs, or has used up its time."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        try:
            guest.wait(5)
            return
        except subprocess.TimeoutExpired:
            if has_crashed(console):
                return
    print(f"the guest has not finished after {LIMIT_SECONDS} s", flush=True)


def has_crashed(console: Path) -> bool:
    """Returns whether the emulated machine crashed, not the suite.

    The kernel changes its own running code, for example to attach to a tracepoint. Sometimes qemu then executes a
    temporary breakpoint that has already been removed. The result is an oops or an endless loop.
    """
    text = console.read_text(errors="replace") if console.exists() else ""
    return any(sign in text for sign in ("Kernel panic", "Oops: int3", "soft lockup"))


def run_guest(series: str, suite: str) -> Row | None:
    """Runs the suite under a kernel in qemu; returns its row."""
    console = CACHE / f"console-{series}-{suite}.txt"
    print(f"booting Linux {series} with Debian {suite}; its console is {console}", flush=True)
    for _ in range(BOOTS):
        started = time.monotonic()
        row = boot(kernel_image(series), suite, console)
        if row is not None or not has_crashed(console):
            break
        crashed = console.with_suffix(f".{time.time():.0f}.txt")
        console.rename(crashed)
        print(f"the emulated machine crashed, and is booted again; see {crashed}", flush=True)
    if row is None:
        print(f"Linux {series} left no result: see {console}")
        return None
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
    parser.add_argument("kernels", nargs="*", default=["own", "5.10", "6.1", "6.12", "7.2"])
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("this needs root: it makes root file systems and loads BPF programs")
    found = []
    for series in options.kernels:
        row = run_here() if series == "own" else run_guest(series, options.suite)
        if row:
            print(report(row), flush=True)
            found.append(row)
    write_table()
    return 0 if succeeded(found) and len(found) == len(options.kernels) else 1


if __name__ == "__main__":
    sys.exit(main())
