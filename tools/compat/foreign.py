"""Root file systems of other architectures, whose programs can't run on this machine: all is unpacked, not installed.

Only what the truth suite needs is then done by hand: the users, and a virtual environment.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools import mirror
from tools.cache import run

PIP_PLATFORMS = {"arm64": ("manylinux2014_aarch64",)}
"""By architecture, the tags of the wheels that run there."""


def unpack(suite: str, architecture: str, packages: Sequence[str], root: Path) -> None:
    """Unpacks a minimal Debian, these packages, and all that they depend on."""
    run(
        "debootstrap", f"--arch={architecture}", "--foreign", "--variant=minbase", f"--keyring={mirror.KEYRING}",
        f"--include={','.join(packages)}", suite, root, mirror.address(),
    )  # fmt: skip
    # debootstrap has unpacked the essential packages, and only downloaded the others.
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        _unpack_package(package, root)
        package.unlink()
    if (root / "proc").is_symlink():  # where debootstrap can't mount
        (root / "proc").unlink()
    (root / "proc").mkdir(exist_ok=True)
    # What the packages' own scripts would do.
    for name in ("passwd", "group"):
        (root / "etc" / name).write_bytes((root / f"usr/share/base-passwd/{name}.master").read_bytes())
    (root / "usr/bin/awk").symlink_to("mawk")


def _unpack_package(package: Path, root: Path) -> None:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as data:
        # /bin and /lib are links to folders, and stay that.
        unpacks = ["tar", "--extract", "--preserve-permissions", "--keep-directory-symlink", "--directory", str(root)]
        subprocess.run(unpacks, stdin=data.stdout, check=True)
    if data.returncode:
        raise SystemExit(f"{package} can't be unpacked")


def make_venv(venv: Path) -> None:
    """Makes the files of a virtual environment of the root's own Python, without pip."""
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python").symlink_to("/usr/bin/python3")
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")


def pip_install(root: Path, venv: str, architecture: str, *arguments: str) -> None:
    """Installs wheels into a virtual environment of a root, with the pip of this machine. venv: without the root."""
    python = (root / "usr/bin/python3").readlink().name
    run(
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
        "--only-binary=:all:", *(f"--platform={tag}" for tag in PIP_PLATFORMS[architecture]),
        "--implementation=cp", f"--python-version={python.removeprefix('python')}",
        "--upgrade", f"--target={root / venv / 'lib' / python / 'site-packages'}", *arguments,
    )  # fmt: skip
