"""What git tracks, copied elsewhere, and wheels, installed elsewhere."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from support import PROJECT


def export(folder: Path) -> None:
    """Copies what git tracks."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True).stdout
    tracked = [name for name in files.decode().split("\0") if name and not (PROJECT / name).is_symlink()]
    for name in tracked:
        if (PROJECT / name).is_file():
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
