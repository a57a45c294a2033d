"""Emulated machines: what qemu is called with, and the initrd, which is a guest's whole root file system."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.cache import CACHE, run
from tools.compat import rootfs

SLOWNESS = 20
"""How much slower a guest is, at worst, for the deadlines of the tests."""


@dataclass(frozen=True)
class Machine:
    """How qemu emulates an architecture: 2 CPUs, and serial ports for the console and for the result.

    console and result: the names of these ports in the guest. second_port: what adds the port for the result, with the
    file on this machine as {}.
    """

    qemu: str
    options: tuple[str, ...]
    memory_mib: int
    console: str
    result: str
    second_port: tuple[str, ...]

    def command(self, kernel: Path, root: Sequence[str], console: Path, result: Path, append: str = "") -> list[str]:
        """Returns the command that boots a guest.

        root: options for its root file system; from_initrd() and from_disk() return them. console and result: files for
        what the guest writes. append: words for the kernel.
        """
        return [
            self.qemu, *self.options, "-accel", "tcg,thread=multi", "-smp", "2", "-m", str(self.memory_mib),
            "-nodefaults", "-no-reboot", "-display", "none", "-monitor", "none",
            "-kernel", str(kernel), *root,
            "-append", f"console={self.console} panic=-1 loglevel=5 sysrq_always_enabled {append}".strip(),
            "-serial", f"file:{console}", *(word.format(result) for word in self.second_port),
        ]  # fmt: skip


MACHINES = {
    "amd64": Machine(
        "qemu-system-x86_64", ("-machine", "q35", "-cpu", "max"), 4096, "ttyS0", "ttyS1", ("-serial", "file:{}")
    ),
    # Its board has one serial port. Pointer authentication as Arm defines it takes half of the time to emulate.
    "arm64": Machine(
        "qemu-system-aarch64", ("-machine", "virt,gic-version=3", "-cpu", "max,pauth-impdef=on"), 5000,
        "ttyAMA0", "ttyS0", ("-chardev", "file,id=result,path={}", "-device", "pci-serial,chardev=result"),
    ),
}  # fmt: skip
"""By Debian's name of an architecture."""

ON_DISK = "root=/dev/nvme0n1 rw"
"""Words for a kernel whose root is from_disk()."""


def from_initrd(image: Path) -> list[str]:
    """Returns qemu's options for a root file system in memory."""
    return ["-initrd", str(image)]


def from_disk(image: Path) -> list[str]:
    """Returns qemu's options for a root file system on a disk, which stays over boots.

    Debian's kernels have the drivers for this kind of disk, and for ext4, built in. What the guest has written is on
    this machine when the guest is cut off, but not what its page cache held.
    """
    return ["-drive", f"file={image},format=raw,if=none,id=disk,cache=unsafe", "-device", "nvme,drive=disk,serial=1"]


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
cd /{rootfs.TREE}
/{rootfs.VENV}/bin/python $SCRIPT /tmp/result
stty -F /dev/$RESULT raw
cat /tmp/result > /dev/$RESULT
echo o > /proc/sysrq-trigger
sleep 60
"""

# Not needed to run tests, and the guest must unpack the image at each boot.
LEFT_OUT = re.compile(
    r"\./((proc|sys|dev|tmp|run|boot|debootstrap|var/cache|var/lib/apt/lists|usr/share/(doc|man|info|locale))/."
    r"|srv/[^/]*\.whl$)"
    r"|.*/(lib[atlu]san\.a|libhwasan\.a|libtsan_.*|lto1|cc1plus|perl5?/5.*)($|/)"
)
WEBPF = re.compile(rf"\./({rootfs.TREE}|{rootfs.VENV}/lib/[^/]*/site-packages/webpf[^/]*)($|/)")
"""What is installed again at each run."""


def initrd(root: rootfs.Root, script: str, to: Path) -> None:
    """Writes an initrd: the root file system, then webpf and /init. The first part is kept for later runs.

    script: what the guest runs, with the file for its result: a path in the source tree.
    """
    top = rootfs.make(root)
    base, made_for = CACHE / f"root-{root.name}.cpio", CACHE / f"root-{root.name}.cpio.recipe"
    names = names_below(top)
    if not base.exists() or not made_for.exists() or made_for.read_text() != rootfs.recipe(root):
        archive(top, [name for name in names if not LEFT_OUT.match(name) and not WEBPF.match(name)], base)
        made_for.write_text(rootfs.recipe(root))
    with tempfile.TemporaryDirectory() as folder:
        init = INIT.replace("$RESULT", MACHINES[root.architecture].result).replace("$SCRIPT", script)
        (Path(folder) / "init").write_text(init)
        (Path(folder) / "init").chmod(0o755)
        archive(Path(folder), ["init"], Path(folder) / "init.cpio")
        archive(top, [name for name in names if WEBPF.match(name)], Path(folder) / "webpf.cpio")
        # The kernel unpacks archives that follow each other.
        to.write_bytes(b"")
        for part in (base, Path(folder) / "webpf.cpio", Path(folder) / "init.cpio"):
            run("sh", "-c", f"cat '{part}' >> '{to}'")


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
