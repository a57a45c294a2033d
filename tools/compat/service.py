"""Tries `webpf service` in machines that boot Debian with systemd: qemu with software emulation.

    sudo python -m tools.compat.service [bookworm] [trixie]

The root file system is on a disk, so it stays over boots: the guest reboots, and cuts its own power. It has webpf's
wheel, and no compiler. service_guest.py is what it runs. Its console is written to a file in the cache, its result
comes through a second serial port. The results go into docs/service.md.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

from tools.cache import CACHE, PROJECT, Row, keep, rows, run
from tools.compat import rootfs
from tools.compat.guest import MACHINES, ON_DISK, from_disk
from tools.compat.kernels import kernel_image, run_machine
from tools.compat.rootfs import Root

SUITES = {"bookworm": "6.1", "trixie": "6.12"}
"""The suites, each with the series of its kernel."""
KIND = "service"
DOCUMENT = PROJECT / "docs" / "service.md"
BEGIN, END = "<!-- tools/compat/service.py: begin -->\n", "<!-- tools/compat/service.py: end -->\n"
LIMIT_SECONDS = 1800
BOOTS = 8  # three, and those after a crash of the emulated machine
DISK = "3G"
GUEST = f"/{rootfs.TREE}/tools/compat/service_guest.py"

UNIT = f"""[Unit]
After=multi-user.target
[Service]
ExecStart=/{rootfs.VENV}/bin/python {GUEST} /var/lib/webpf-test/result
ExecStopPost=/bin/sh -c 'cat /var/lib/webpf-test/result > /dev/{MACHINES["amd64"].result}'
StandardOutput=file:/dev/console
StandardError=file:/dev/console
Environment=HOME=/root LANG=C.UTF-8
TimeoutStopSec=20
[Install]
WantedBy=multi-user.target
"""
MASKED = (
    *("serial-getty@ttyS0.service", "getty@tty1.service", "apt-daily.timer", "apt-daily-upgrade.timer"),
    *("dpkg-db-backup.timer", "fstrim.timer", "e2scrub_all.timer", "systemd-networkd.service"),
)
"""Units that only take time."""


def make_disk(root: Root, image: Path) -> None:
    """Writes a disk with a root file system that runs the test when it has booted."""
    top = rootfs.make(root)
    units = top / "etc/systemd/system"
    (units / "webpf-test.service").write_text(UNIT)
    wants = units / "multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    links = {wants / "webpf-test.service": "../webpf-test.service"} | {units / name: "/dev/null" for name in MASKED}
    for link, target in links.items():
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    (top / "etc/hostname").write_text("guest\n")
    (top / "etc/machine-id").write_text("")
    run("mke2fs", "-q", "-t", "ext4", "-d", top, "-L", "root", "-m", "0", image, DISK)


def run_guest(suite: str) -> Row | None:
    """Boots a suite until its test is over; returns its row, or None without a result."""
    image, root = kernel_image(SUITES[suite]), Root(suite, has_systemd=True)
    console = CACHE / f"console-service-{suite}.txt"
    print(f"booting Debian {suite} with Linux {SUITES[suite]} and systemd; its console is {console}", flush=True)
    begun, lines = time.monotonic(), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        disk, result = Path(folder) / "disk", Path(folder) / "result"
        make_disk(root, disk)
        for _ in range(BOOTS):
            result.unlink(missing_ok=True)
            command = MACHINES[root.architecture].command(image, from_disk(disk), console, result, ON_DISK)
            if not run_machine(command, console, LIMIT_SECONDS):
                print("the emulated machine crashed or was ended; it begins again, with a new disk", flush=True)
                make_disk(root, disk)
                continue
            lines = read_lines(result) or lines
            if any("done" in line for line in lines):
                return keep(make_row(suite, lines, time.monotonic() - begun), KIND, KIND)
    print(f"Debian {suite} left no whole result, only {json.dumps(lines[-3:])}: see {console}")
    return None


def read_lines(result: Path) -> list[dict[str, Any]]:
    """Returns the result that the guest has written at the end of a boot: all lines of all boots until then."""
    text = result.read_text(errors="replace") if result.exists() else ""
    found = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:  # the power was cut while it wrote
            continue
    return found


def make_row(suite: str, lines: list[dict[str, Any]], seconds: float) -> Row:
    """Returns the row for docs/service.md."""
    told = {key: value for line in lines for key, value in line.items()}
    checks = [line for line in lines if "check" in line]
    kernel = re.search(r"Debian ([\d.]+)", told["kernel"])
    return {
        "distribution": suite,
        "kernel": kernel[1] if kernel else told["kernel"],
        "machine": "x86_64",
        "programs": "from the wheel",
        "systemd": told["systemd"].split()[1],
        "passed": sum(line["ok"] for line in checks),
        "failures": {line["check"]: line["found"] for line in checks if not line["ok"]},
        "names": [line["check"] for line in checks],
        "exposure": told["exposure"],
        "peak_mib": told.get("peak_mib"),
        "seconds": round(seconds, 1),
    }


def table(found: list[Row]) -> str:
    """Returns the rows as a Markdown table, below it what failed, and what was checked."""
    columns = ("Debian", "Linux", "systemd", "checks passed", "failed", "exposure", "seconds", "date")
    text = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    for row in found:
        cells = [row["distribution"], row["kernel"], row["systemd"], row["passed"], len(row["failures"])]
        cells += [row["exposure"], f"{row['seconds']:.0f}", row["date"]]
        text += f"| {' | '.join(map(str, cells))} |\n"
    failed = [f"- {row['distribution']}: {name} failed\n" for row in found for name in row["failures"]]
    names = dict.fromkeys(name for row in found for name in row["names"])
    return (
        f"{text}\n{''.join(failed)}"
        + textwrap.fill(f"What was checked: {'; '.join(names)}.", 130, break_on_hyphens=False)
        + "\n"
    )


def write_table() -> None:
    """Replaces the table in docs/service.md; the text around it is written by hand."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    DOCUMENT.write_text(before + BEGIN + table(rows(KIND)) + END + rest.partition(END)[2])


def main() -> int:
    """Runs all named suites, one after the other, then writes the table."""
    if os.geteuid() != 0:
        raise SystemExit("this needs root: it makes root file systems")
    suites = sys.argv[1:] or list(SUITES)
    found = [row for suite in suites if (row := run_guest(suite))]
    for row in found:
        print(
            f"Debian {row['distribution']}: {row['passed']} passed, {len(row['failures'])} failed in {row['seconds']} s"
        )
        for name, why in row["failures"].items():
            print(f"    FAILED {name}: {why}")
    write_table()
    return 0 if len(found) == len(suites) and not any(row["failures"] for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
