"""Conditions in which a command may be called: closed or full streams, unusual environments, a deleted folder.

Each is a shell script that ends in `exec "$@"`, or a change of the environment.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

UNSET = None


@dataclass(frozen=True)
class Surroundings:
    """How to call a command: with a shell script, and with environment variables (UNSET removes a variable)."""

    script: str = 'exec "$@"'
    environment: Mapping[str, str | None] = field(default_factory=dict)
    stdout_fails: bool = False
    """Whether writing to stdout fails."""
    same_stdout: bool = True
    """Whether stdout must be the same, byte by byte, as in usual conditions."""
    same_code: bool = True
    """Whether the exit code must be the same."""

    def run(self, command: list[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
        """Runs the command; fails if it takes longer than a minute."""
        environment = {name: value for name, value in os.environ.items() if name not in ("WEBPF_DB", "COLUMNS")}
        for name, value in self.environment.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        return subprocess.run(
            ["/bin/sh", "-c", self.script, "sh", *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )


_IN_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
_GONE = 'mkdir gone && cd gone && rmdir "$PWD" && exec "$@"'
_NO_TEMPORARY_FOLDER = """exec unshare --mount sh -c '
    mount --bind . /mnt && mount -o remount,bind,ro /mnt || exit
    for folder in /tmp /var/tmp /usr/tmp /dev/shm; do
        [ ! -d $folder ] || mount -t tmpfs -o ro none $folder || exit
    done
    cd /mnt && exec "$@"' sh "$@"
"""

SURROUNDINGS = {
    "as usual": Surroundings(),
    "stdout closed": Surroundings('exec "$@" >&-', stdout_fails=True),
    "stderr closed": Surroundings('exec "$@" 2>&-'),
    "stdin closed": Surroundings('exec "$@" <&-'),
    "all closed": Surroundings('exec "$@" <&- >&- 2>&-', stdout_fails=True),
    "stdout and stdin closed": Surroundings('exec "$@" <&- >&-', stdout_fails=True),
    "stdout full": Surroundings('exec "$@" > /dev/full', stdout_fails=True),
    "stderr full": Surroundings('exec "$@" 2> /dev/full'),
    "both full": Surroundings('exec "$@" > /dev/full 2>&1', stdout_fails=True),
    "stdout for reading": Surroundings('exec "$@" 1< /dev/null', stdout_fails=True),
    "C": Surroundings(environment=_IN_C, same_stdout=False),
    "POSIX as Python likes it": Surroundings(environment={"LC_ALL": "POSIX"}),
    "ISO-8859-1": Surroundings(environment={"LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0"}, same_stdout=False),
    "no such locale": Surroundings(environment={"LC_ALL": "xx_XX.KOI8-R", "PYTHONUTF8": "0"}, same_stdout=False),
    "output in ASCII": Surroundings(environment={"PYTHONIOENCODING": "ascii"}, same_stdout=False),
    "output strict": Surroundings(environment={"PYTHONIOENCODING": "ascii:strict"}, same_stdout=False),
    "output in UTF-16": Surroundings(environment={"PYTHONIOENCODING": "utf-16"}, same_stdout=False),
    "output in KOI8": Surroundings(environment={"PYTHONIOENCODING": "koi8-r"}, same_stdout=False),
    "TMPDIR missing": Surroundings(environment={"TMPDIR": "/nonexistent"}),
    "TMPDIR not for writing": Surroundings(environment={"TMPDIR": "/proc"}),
    "SUDO_UID too large": Surroundings(environment={"SUDO_UID": "99999999999", "SUDO_GID": "99999999999"}),
    "SUDO_UID just too large": Surroundings(environment={"SUDO_UID": "4294967295", "SUDO_GID": "0"}),
    "SUDO_GID too large": Surroundings(environment={"SUDO_UID": "0", "SUDO_GID": "9" * 30}),
    "SUDO_UID text": Surroundings(environment={"SUDO_UID": "abc", "SUDO_GID": "abc"}),
    "SUDO_UID negative": Surroundings(environment={"SUDO_UID": "-1", "SUDO_GID": "-1"}),
    "SUDO_UID empty": Surroundings(environment={"SUDO_UID": "", "SUDO_GID": ""}),
    "SUDO_GID unset": Surroundings(environment={"SUDO_UID": "0", "SUDO_GID": UNSET}),
    "SUDO_UID endless": Surroundings(environment={"SUDO_UID": "9" * 5000, "SUDO_GID": "0"}),
    "HOME unset": Surroundings(environment={"HOME": UNSET, "USER": UNSET, "LOGNAME": UNSET}),
    "HOME missing": Surroundings(environment={"HOME": "/nonexistent"}),
    "TERM unset": Surroundings(environment={"TERM": UNSET}),
    "TERM dumb": Surroundings(environment={"TERM": "dumb"}),
    "TERM unknown": Surroundings(environment={"TERM": "\udcff"}),
    "COLUMNS 0": Surroundings(environment={"COLUMNS": "0", "LINES": "0"}),
    "COLUMNS negative": Surroundings(environment={"COLUMNS": "-5"}),
    "COLUMNS text": Surroundings(environment={"COLUMNS": "wide", "LINES": "\udcff"}),
    "COLUMNS a digit for Unicode": Surroundings(environment={"COLUMNS": "²", "LINES": "٣"}),
    "COLUMNS endless": Surroundings(environment={"COLUMNS": "9" * 5000}),
    "TZ unknown": Surroundings(environment={"TZ": "Nowhere/At/All"}),
    "PATH unset": Surroundings(environment={"PATH": UNSET}),
    "PATH without a folder": Surroundings(environment={"PATH": "/nonexistent"}),
    "colour forced": Surroundings(environment={"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}, same_stdout=False),
    "folder gone": Surroundings(_GONE, same_stdout=False, same_code=False),
    "no temporary folder": Surroundings(_NO_TEMPORARY_FOLDER, same_stdout=False, same_code=False),
}
"""All surroundings by name, except those that need files (a locale, a cgroup)."""
