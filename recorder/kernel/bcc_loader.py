"""Finds the distribution's BCC from any Python, and ignores the unrelated package `bcc` of PyPI.

BCC's Python package uses ctypes only, so it works in every interpreter, but distributions install it for their own
Python. So this module searches the folders where distributions put it, and loads it by path.
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

# The first is of Debian and Ubuntu, the others of Fedora, RHEL, Arch, Alpine and openSUSE.
_FOLDERS = (
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
class BccPackage:
    """An installed BCC. folder: of its Python package. version: "unknown" if the package doesn't say."""

    folder: Path
    version: str


def distribution(os_release: Path = Path("/etc/os-release")) -> str | None:
    """Returns the family of this machine's distribution, which is a key of PACKAGES; None if it is unknown."""
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
    """Returns the command that installs BCC on this machine; all of PACKAGES if the distribution is unknown."""
    family = distribution()
    return PACKAGES[family] if family else " or ".join(PACKAGES.values())


def find() -> BccPackage:
    """Returns the first installed BCC. Raises Unavailable, with the command that installs it, if there is none."""
    namesake = None
    for folder in _candidates():
        # BCC has a class BPF. The package `bcc` of PyPI, which is about crystal lattices, has none.
        if re.search(rb"^class BPF\b", (folder / "__init__.py").read_bytes(), re.MULTILINE):
            return BccPackage(folder, _version(folder))
        namesake = folder
    if namesake:
        raise Unavailable(
            f"the Python package in {namesake} is another project that is called bcc too (from PyPI), not BCC",
            f"{install_hint()} && {shlex.quote(sys.executable)} -m pip uninstall bcc",
        )
    raise Unavailable("BCC is not installed", install_hint())


def load() -> ModuleType:
    """Returns BCC's module `bcc`. Raises Unavailable if it is not installed or can't be loaded."""
    package = find()
    loaded = sys.modules.get("bcc")
    if loaded is not None and hasattr(loaded, "BPF"):
        return loaded
    spec = importlib.util.spec_from_file_location(
        "bcc", package.folder / "__init__.py", submodule_search_locations=[str(package.folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError, AttributeError) as error:
        del sys.modules["bcc"]
        raise Unavailable(f"BCC in {package.folder} can't be loaded: {error}", install_hint()) from error
    return module


def _candidates() -> list[Path]:
    folders = [path for pattern in _FOLDERS for path in sorted(Path("/").glob(pattern[1:]), reverse=True)]
    folders += [Path(entry) for entry in sys.path if entry]
    return [folder / "bcc" for folder in folders if (folder / "bcc" / "__init__.py").is_file()]


def _version(folder: Path) -> str:
    try:
        match = re.search(r"__version__ *= *['\"]([^'\"]+)", (folder / "version.py").read_text(errors="replace"))
    except OSError:
        match = None
    return match[1] if match else "unknown"
