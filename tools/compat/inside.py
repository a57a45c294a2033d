"""Runs the truth suite on this system, and writes the result as one JSON object.

    python -m tools.compat.inside RESULT

tools/compat/kernels.py and tools/compat/distros.py run it in the guest or the chroot.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

PROJECT = Path(__file__).resolve().parents[2]
SUITE = "tests/truth"
"""The truth suite: the folder that pytest runs."""
WORKERS = 2
"""The number of tests that run at a time; an emulated machine has two processors."""


def describe_system() -> dict[str, Any]:
    """Returns the versions of this system's parts, and where the BPF programs come from: BCC here, or a wheel."""
    from webpf.kernel import object_format, program_source

    found = program_source.find()
    is_from_wheel = found.origin.startswith(f"{program_source.packaged_path()},")
    release = platform.freedesktop_os_release()
    # Debian's testing and sid have no number yet.
    number = release.get("VERSION_ID") or release["PRETTY_NAME"].split()[-1]
    return {
        "kernel": kernel(),
        "machine": platform.machine(),
        "distribution": f"{release['NAME'].split()[0]} {number}",
        "programs": "from the wheel" if is_from_wheel else "compiled there",
        "bcc": found.compiled.bcc_version,
        "object": hashlib.sha256(object_format.encode(found.compiled)).hexdigest(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def kernel() -> str:
    """Returns the version of the kernel. On Debian, `uname -r` names only the ABI; the version is in `uname -v`."""
    debian = re.search(r"\bDebian ([\d.]+)", platform.version())
    plain = re.match(r"[\d.]*\d", platform.release())
    return debian[1] if debian else plain[0] if plain else platform.release()


def say(*arguments: str) -> dict[str, Any]:
    """Runs a command of webpf; returns its exit code and output."""
    called = subprocess.run(
        [sys.executable, "-m", "webpf", *arguments], check=False, capture_output=True, text=True, cwd="/tmp"
    )
    print(called.stdout + called.stderr, end="", flush=True)
    return {"exit_code": called.returncode, "said": (called.stdout + called.stderr).splitlines()}


def run_suite() -> dict[str, Any]:
    """Runs the truth suite; returns the counts, and the failed and skipped tests with the reasons."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-n",
            str(WORKERS),
            "--dist",
            "loadfile",
            "--color=no",
            "--tb=short",
            "--durations=5",
            "-p",
            "no:cacheprovider",
        ]
        started = time.monotonic()
        code = subprocess.run([*command, f"--junitxml={report}", SUITE], check=False, cwd=PROJECT).returncode
        seconds = time.monotonic() - started
        cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []
    failures = reasons(cases, "failure") | reasons(cases, "error")
    skips = reasons(cases, "skipped")
    if code not in (0, 1):
        failures["pytest"] = f"exit code {code}"
    return {
        "suite": SUITE,
        "passed": len(cases) - len(failures.keys() - {"pytest"}) - len(skips),
        "failed": len(failures),
        "skipped": len(skips),
        "seconds": round(seconds, 1),
        "failures": failures,
        "skips": skips,
    }


def reasons(cases: list[ElementTree.Element], outcome: str) -> dict[str, str]:
    """Returns the names of the tests with this outcome, each with the first line of its reason."""
    found = {case.get("name", "?"): case.find(outcome) for case in cases}
    return {
        name: (element.get("message") or "?").splitlines()[0] for name, element in found.items() if element is not None
    }


def main() -> None:
    """Examines this system, runs the suite, writes the result."""
    row = describe_system()
    print(row, flush=True)
    row["doctor"] = say("doctor")
    row["dry_run"] = say("record", "--dry-run")
    row |= run_suite()
    Path(sys.argv[1]).write_text(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
