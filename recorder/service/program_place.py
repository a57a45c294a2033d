"""Where webpf's own program is, and whether the service may run it from there."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shlex
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

from ..errors import CannotCreate
from ..host import invocation

_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # by ProtectHome and PrivateTmp
_OTHERS_WRITE = 0o022
_DEPENDENCIES = ("sqlite_utils", "typer", "rich")
_NEW_PLACE = "/opt/webpf"


def find_command() -> list[str]:
    """Returns the words with which the service calls this webpf: the script that was called, or Python with -m."""
    called = Path(sys.argv[0]).absolute()
    if called.name == "__main__.py":
        return [sys.executable, "-I", "-m", "webpf"]
    return [str(called)]


def check(command: list[str], arguments: list[str]) -> None:
    """Raises CannotCreate if the service could not run this command, or if another user than root could change it.

    The service may read every file and trace every process: whoever can change its program has its rights. arguments:
    of this call of webpf; the hint repeats them.
    """
    for path in _needed(command):
        why = why_not(path)
        if why:
            parts = (
                ["sudo", "python3", "-m", "venv", _NEW_PLACE],
                ["sudo", f"{_NEW_PLACE}/bin/pip", "install", _source()],
                ["sudo", f"{_NEW_PLACE}/bin/webpf", *arguments],
            )
            message = f"the service can't run webpf from here: {why}; install it where only root can write"
            raise CannotCreate(message, " && ".join(map(shlex.join, parts)))


def why_not(path: Path) -> str:
    """Returns why a service must not, or can't, use this file or folder; empty if it can."""
    for each in dict.fromkeys((*_ways_to(path.absolute()), *_ways_to(Path(os.path.realpath(path))))):
        if str(each) in _HIDDEN:
            return f"{path} is below {each}, which services don't see"
        status = each.stat()
        if status.st_uid != 0:
            return f"{each} belongs to another user than root (uid {status.st_uid})"
        mode = stat.S_IMODE(status.st_mode)
        if mode & _OTHERS_WRITE:
            return f"{each} can be written by other users than root (mode {mode:04o})"
        if not mode & (stat.S_IXOTH if each.is_dir() else stat.S_IROTH):
            return f"other users than root have no access to {each} (mode {mode:04o})"
    return ""


def _ways_to(path: Path) -> Iterator[Path]:
    yield from reversed(path.parents)
    yield path


def _needed(command: list[str]) -> list[Path]:
    """Returns files and folders that the program needs: itself, Python, its library, webpf, and what webpf imports."""
    found = [importlib.util.find_spec(name) for name in _DEPENDENCIES]
    modules = [Path(spec.origin) for spec in found if spec is not None and spec.origin is not None]
    return [Path(command[0]), Path(sys.executable), Path(os.__file__), Path(__file__), *modules]


def _source() -> str:
    """Returns what webpf was installed from, as far as that is known, as an argument of pip."""
    if invocation.update_hint():
        return str(Path(__file__).resolve().parents[2])
    try:
        distribution = importlib.metadata.distribution("webpf")
        recorded = json.loads(distribution.read_text("direct_url.json") or "{}")  # PEP 610
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return "./webpf.whl"
    url = str(recorded.get("url", ""))
    if url.startswith("file:"):
        return unquote(urlparse(url).path)
    if "vcs_info" in recorded:
        return f"{recorded['vcs_info'].get('vcs')}+{url}"
    return url or f"./webpf-{distribution.version}-py3-none-any.whl"
