"""Modules that libraries import only because they are installed."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNNEEDED = ("pandas", "numpy")

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, UNNEEDED)), reason="pandas and numpy aren't installed"
)


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("program", [["-m", "webpf"], ["-c", "from webpf.__main__ import main; main()"]])
def test_the_program_does_not_import_them(program: list[str], built: Path, tmp_path: Path) -> None:
    shutil.copy(built, tmp_path / "built.db")
    ended = run("-X", "importtime", *program, "rebuild", "built.db", folder=tmp_path)
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "sqlite_utils" in imported
    assert imported.isdisjoint(UNNEEDED)


def test_another_program_has_them(built: Path, tmp_path: Path) -> None:
    shutil.copy(built, tmp_path / "built.db")
    code = (
        "from pathlib import Path; from webpf.storage import rebuild; rebuild.rebuild(Path('built.db'))\n"
        "import sqlite_utils.db, pandas; print(sqlite_utils.db.pd is pandas)"
    )
    ended = run("-c", code, folder=tmp_path)
    assert (ended.stdout, ended.returncode) == ("True\n", 0)
