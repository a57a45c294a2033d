"""What git tracks, copied elsewhere, and wheels, installed elsewhere."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from support import PROJECT


def tracked_files(*places: str) -> list[str]:
    """Returns the files that git tracks, in these places or everywhere; without those that are deleted, and links."""
    files = subprocess.run(["git", "ls-files", "-z", *places], cwd=PROJECT, capture_output=True, check=True).stdout
    paths = {name: PROJECT / name for name in files.decode().split("\0")}
    return [name for name, path in paths.items() if path.is_file() and not path.is_symlink()]


def export(folder: Path) -> None:
    """Copies what git tracks."""
    for name in tracked_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((PROJECT / name).read_bytes())


def install(wheel: Path, home: Path) -> Path:
    """Installs a wheel in a virtual environment without the repository; returns its Python."""
    venv.create(home, with_pip=False)
    site = next(home.glob("lib/python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    # The requirements come from where the tests run.
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    return home / "bin" / "python"
