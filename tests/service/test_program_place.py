"""Which programs the service may run: only those that nobody but root can change, and that its user can read."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import NOBODY

from webpf.errors import CannotCreate
from webpf.service import program_place

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of root that all can read, and not below /tmp."""
    folder = Path(f"/opt/webpf-test-{os.getpid()}")
    (folder / "bin").mkdir(parents=True, mode=0o755)
    program = folder / "bin" / "webpf"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    yield folder
    subprocess.run(["rm", "-r", folder], check=True)


def test_a_program_of_root(place: Path) -> None:
    assert program_place.why_not(place / "bin" / "webpf") == ""


@pytest.mark.parametrize("at", [".", "bin", "bin/webpf"])
def test_a_program_that_others_can_change(place: Path, at: str) -> None:
    os.chown(place / at, NOBODY, 0)
    assert f"{place / at} belongs to another user than root (uid {NOBODY})" == program_place.why_not(
        place / "bin" / "webpf"
    )
    os.chown(place / at, 0, 0)
    (place / at).chmod(0o775)
    assert "can be written by other users than root (mode 0775)" in program_place.why_not(place / "bin" / "webpf")


@pytest.mark.parametrize(("at", "mode"), [(".", 0o700), ("bin", 0o750), ("bin/webpf", 0o700)])
def test_a_program_that_others_can_not_read(place: Path, at: str, mode: int) -> None:
    (place / at).chmod(mode)
    expected = f"other users than root have no access to {place / at} (mode {mode:04o})"
    assert program_place.why_not(place / "bin" / "webpf") == expected


@pytest.mark.parametrize("way", ["direct", "linked"])
def test_a_program_where_services_see_nothing(place: Path, tmp_path: Path, way: str) -> None:
    hidden = tmp_path / "webpf"
    hidden.write_text("#!/bin/sh\n")
    (place / "link").symlink_to(hidden)
    assert program_place.why_not(hidden if way == "direct" else place / "link")


def test_the_refusal_says_how_to_install_webpf_elsewhere(place: Path) -> None:
    (place / "bin").chmod(0o700)
    with pytest.raises(CannotCreate) as refused:
        program_place.check([str(place / "bin" / "webpf")], ["service", "install", "--keep", "7 d"])
    assert "\n" not in refused.value.message
    make, install, again = refused.value.hint.split(" && ")
    assert make == "sudo python3 -m venv /opt/webpf"
    assert shlex.split(install)[:3] == ["sudo", "/opt/webpf/bin/pip", "install"]
    source = Path(shlex.split(install)[3])
    assert source.suffix == ".whl" or (source / "pyproject.toml").exists()
    assert shlex.split(again) == ["sudo", "/opt/webpf/bin/webpf", "service", "install", "--keep", "7 d"]


def test_the_command_is_absolute(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["bin/webpf", "service", "install"])
    assert program_place.find_command() == [str(place / "bin" / "webpf")]
    monkeypatch.setattr(sys, "argv", ["/somewhere/webpf/__main__.py", "service", "install"])
    assert program_place.find_command() == [sys.executable, "-I", "-m", "webpf"]
