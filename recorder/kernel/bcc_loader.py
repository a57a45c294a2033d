"""Finds the distribution's BCC from any Python, and tells it from the unrelated package of that name on PyPI.

BCC's Python part is plain Python over ctypes and works in every interpreter, but it is installed for the
distribution's own. So it is looked for where distributions put it, and loaded by path.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ..errors import Unavailable

# Debian and Ubuntu; Fedora, RHEL, Arch, Alpine, openSUSE.
_PLACES = (
    "/usr/lib/python3/dist-packages",
    "/usr/lib/python3*/site-packages",
    "/usr/lib64/python3*/site-packages",
    "/usr/local/lib/python3*/dist-packages",
    "/usr/local/lib/python3*/site-packages",
)

PACKAGES = {
    "debian": "sudo apt-get install python3-bpfcc",
    "fedora": "sudo dnf install python3-bcc",
    "arch": "sudo pacman -S python-bcc",
    "alpine": "sudo apk add py3-bcc",
}
"""The command that installs BCC, by family of distributions."""

_FAMILIES = {
    "ubuntu": "debian",
    "rhel": "fedora",
    "centos": "fedora",
    "rocky": "fedora",
    "almalinux": "fedora",
    "manjaro": "arch",
    "endeavouros": "arch",
}


@dataclass(frozen=True)
class Found:
    """A copy of BCC: the folder of its package, and its version as far as it says."""

    folder: Path
    version: str


def distribution(os_release: Path = Path("/etc/os-release")) -> str | None:
    """The family of this machine's distribution, a key of PACKAGES; None if it is not one of them."""
    try:
        text = os_release.read_text(errors="replace")
    except OSError:
        return None
    fields: dict[str, str] = dict(re.findall(r"^(\w+)=[\"']?([^\"'\n]*)[\"']?$", text, re.MULTILINE))
    for name in [fields.get("ID", ""), *fields.get("ID_LIKE", "").split()]:
        family = _FAMILIES.get(name, name)
        if family in PACKAGES:
            return family
    return None


def install_hint() -> str:
    """The command that installs BCC on this machine; all of them if the distribution is not known."""
    family = distribution()
    return PACKAGES[family] if family else " or ".join(PACKAGES.values())


def find() -> Found:
    """The first real copy of BCC. Raises Unavailable, with the command that installs it, if there is none."""
    impostor = None
    for folder in _candidates():
        # The real one has the class BPF; the "bcc" of PyPI, a crystal lattice, has not.
        if re.search(rb"^class BPF\b", (folder / "__init__.py").read_bytes(), re.MULTILINE):
            return Found(folder, _version(folder))
        impostor = folder
    if impostor:
        raise Unavailable(
            f"the Python package in {impostor} is another project that is called bcc too (from PyPI), not BCC",
            f"{install_hint()} && {shlex.quote(sys.executable)} -m pip uninstall bcc",
        )
    raise Unavailable("BCC is not installed", install_hint())


def load() -> ModuleType:
    """BCC's module `bcc`. Raises Unavailable if it is not installed or can't be loaded."""
    found = find()
    loaded = sys.modules.get("bcc")
    if loaded is not None and hasattr(loaded, "BPF"):
        return loaded
    spec = importlib.util.spec_from_file_location(
        "bcc", found.folder / "__init__.py", submodule_search_locations=[str(found.folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError, AttributeError) as error:
        del sys.modules["bcc"]
        raise Unavailable(f"BCC in {found.folder} can't be loaded: {error}", install_hint()) from error
    return module


def _candidates() -> list[Path]:
    places = [path for pattern in _PLACES for path in sorted(Path("/").glob(pattern[1:]), reverse=True)]
    places += [Path(entry) for entry in sys.path if entry]
    return [place / "bcc" for place in places if (place / "bcc" / "__init__.py").is_file()]


def _version(folder: Path) -> str:
    try:
        match = re.search(r"__version__ *= *['\"]([^'\"]+)", (folder / "version.py").read_text(errors="replace"))
    except OSError:
        match = None
    return match[1] if match else "unknown"
