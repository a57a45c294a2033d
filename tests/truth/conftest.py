"""The program that plays the acts of the truth suite."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def act(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of the compiled act.c."""
    program = tmp_path_factory.mktemp("act") / "act"
    program.parent.chmod(0o755)
    source = Path(__file__).with_name("act.c")
    try:
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", program, source], check=True)
    except FileNotFoundError:
        pytest.skip("no gcc")
    return str(program)
