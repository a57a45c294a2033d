"""The folder in which tools keep downloads and results: $WEBPF_TOOLS_CACHE, or else a folder in /var/tmp."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("WEBPF_TOOLS_CACHE") or "/var/tmp/webpf-tools")

TRUTH = "rows"
"""The kind of rows that the truth suite makes."""

Row = dict[str, Any]
"""What one run showed; tools/compat/inside.py says which keys it has."""


def run(*command: str | Path, stdin: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Runs a command that must succeed; returns its stdout. Its stderr is shown."""
    return subprocess.run(
        [str(word) for word in command],
        check=True,
        stdout=subprocess.PIPE,
        input=stdin,
        text=True,
        env=None if environment is None else dict(environment),
    ).stdout


def working_copy() -> list[str]:
    """Returns the files of the source tree: those that git tracks, and new ones that it doesn't ignore."""
    # A clone can belong to the user behind sudo. git refuses it as root, unless safe.directory names it.
    listed = run(
        "git", "-c", f"safe.directory={PROJECT}", "-C", PROJECT,
        "ls-files", "-z", "--cached", "--others", "--exclude-standard",
    )  # fmt: skip
    return sorted(name for name in set(listed.split("\0")) if name and os.path.lexists(PROJECT / name))


def copy_working_copy(to: Path) -> None:
    """Copies the source tree into a folder, and deletes what was there."""
    run("rm", "-rf", "--one-file-system", to)
    to.mkdir(parents=True)
    names = "\0".join(working_copy())
    run("tar", "--directory", PROJECT, "--null", "--files-from=-", "--create", f"--file={to}.tar", stdin=names)
    run("tar", "--directory", to, "--no-same-owner", "--extract", f"--file={to}.tar")
    Path(f"{to}.tar").unlink()


def keep(row: Row, how: str, kind: str = TRUTH) -> Row:
    """Writes a row into the cache. It replaces that of the same system and way to run. kind: its table."""
    row |= {"how": how, "date": datetime.now(timezone.utc).date().isoformat()}
    (CACHE / kind).mkdir(parents=True, exist_ok=True)
    name = "_".join(str(row[key]) for key in ("kernel", "machine", "distribution", "how", "programs"))
    file = CACHE / kind / "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name)
    file.with_name(file.name + ".json").write_text(json.dumps(row, indent=2) + "\n")
    return row


def rows(kind: str = TRUTH) -> list[Row]:
    """Returns the rows of a table, but not those of earlier versions of these tools, which have other keys."""
    found = [json.loads(file.read_text()) for file in sorted((CACHE / kind).glob("*.json"))]
    return [row for row in found if "programs" in row]


def report(row: Row) -> str:
    """Returns a line about a row, and a line for each failed test."""
    counts = f"{row['passed']} passed, {row['failed']} failed, {row['skipped']} skipped in {row['seconds']:.0f} s"
    programs = f"BPF programs {row['programs']}, by BCC {row['bcc']}"
    system = f"Linux {row['kernel']} {row['machine']}, {row['distribution']}, Python {row['python']}"
    line = f"{system}, {programs}: {counts}"
    return "\n".join([line, *(f"    FAILED {name}: {why}" for name, why in row["failures"].items())])


def succeeded(found: Sequence[Row]) -> bool:
    """Returns whether tests ran, and none failed."""
    return bool(found) and all(row["passed"] and not row["failed"] for row in found)
