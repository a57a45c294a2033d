"""The id of the machine: the same as systemd computes for an application."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from webpf.host import machine_id


@pytest.mark.skipif(not shutil.which("systemd-id128"), reason="no systemd-id128")
@pytest.mark.skipif(not Path("/etc/machine-id").exists(), reason="this machine has no id")
def test_as_systemd_hashes_it() -> None:
    """systemd-id128 calls sd_id128_get_machine_app_specific(3)."""
    command = ["systemd-id128", "machine-id", f"--app-specific={machine_id._APPLICATION.hex()}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert machine_id.hashed() == done.stdout.strip()
    assert machine_id.hashed() != Path("/etc/machine-id").read_text().strip()


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"uninitialized\n", b"0" * 32, b"12ab", b"x" * 32, b"\xff" * 32, b"1" * 64]
)
def test_no_id(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "machine-id").write_bytes(content)
    assert machine_id.hashed(tmp_path / "machine-id") is None


def test_no_file(tmp_path: Path) -> None:
    assert machine_id.hashed(tmp_path / "machine-id") is None
    assert machine_id.hashed(tmp_path) is None
